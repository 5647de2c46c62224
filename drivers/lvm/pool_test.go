package lvm

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// heldPool is a Runner with a thin pool: one copy of its metadata, at a block.
type heldPool struct {
	held  string
	dump  func(ctx context.Context, stdout io.Writer) error
	fails string // the message that fails
	calls []string
}

func (p *heldPool) Run(ctx context.Context, c Command, stdout io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line := strings.TrimPrefix(c.String(), "dmsetup ")
	if c.Args[0] != "version" && c.Args[0] != "vgs" {
		p.calls = append(p.calls, line)
	}
	switch {
	case c.Args[0] == "vgs":
		_, err := io.WriteString(stdout, `{"report":[{"vg":[{"vg_free":"1","vg_extent_size":"4194304"}]}]}`)
		return err
	case c.Args[0] == "status":
		_, err := io.WriteString(stdout, "0 524288 thin-pool 2 113/1024 128/4096 "+p.held+" rw no_discard_passdown queue_if_no_space - 256 \n")
		return err
	case c.Args[0] == "message":
		if c.Args[3] == p.fails {
			return &ExitError{Command: line, Code: 1, Stderr: "Device or resource busy"}
		}
		p.held = map[string]string{"reserve_metadata_snap": "33", "release_metadata_snap": "-"}[c.Args[3]]
		return nil
	case strings.HasPrefix(line, "thin_dump"):
		return p.dump(ctx, stdout)
	}
	return nil
}

func good(_ context.Context, stdout io.Writer) error {
	_, err := io.WriteString(stdout, dumped)
	return err
}

const (
	poolStatus  = "status vg--1-pool-tpool"
	poolReserve = "message vg--1-pool-tpool 0 reserve_metadata_snap"
	poolRelease = "message vg--1-pool-tpool 0 release_metadata_snap"
	poolDump    = "thin_dump --format xml --metadata-snap --dev-id 7 /dev/mapper/vg--1-pool_tmeta"
)

// The copy is given up on every path, and nobody else's is.
func TestMetadataIsHeldForAMoment(t *testing.T) {
	away := errors.New("away")
	for what, c := range map[string]struct {
		pool  heldPool
		note  string
		whole bool
		left  string // held in the end
		want  []string
	}{
		"as usual":           {heldPool{held: "-", dump: good}, "", false, "-", []string{poolStatus, poolReserve, poolStatus, poolDump, poolRelease}},
		"an old note":        {heldPool{held: "-", dump: good}, "33", false, "-", []string{poolStatus, poolReserve, poolStatus, poolDump, poolRelease}},
		"held by a dead one": {heldPool{held: "12", dump: good}, "12", false, "-", []string{poolStatus, poolRelease, poolReserve, poolStatus, poolDump, poolRelease}},
		"held by one who died before he knew": {heldPool{held: "12", dump: good}, "?", false, "-",
			[]string{poolStatus, poolRelease, poolReserve, poolStatus, poolDump, poolRelease}},
		"held by another":              {heldPool{held: "12", dump: good}, "", true, "12", []string{poolStatus}},
		"held by another since a note": {heldPool{held: "12", dump: good}, "33", true, "12", []string{poolStatus}},
		"another was faster":           {heldPool{held: "-", dump: good, fails: "reserve_metadata_snap"}, "", true, "-", []string{poolStatus, poolReserve}},
		"the dump fails": {heldPool{held: "-", dump: func(context.Context, io.Writer) error { return away }}, "", true, "-",
			[]string{poolStatus, poolReserve, poolStatus, poolDump, poolRelease}},
		"the dump is cut short": {heldPool{held: "-", dump: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, dumped[:300]); return err }}, "", true, "-",
			[]string{poolStatus, poolReserve, poolStatus, poolDump, poolRelease}},
	} {
		state := t.TempDir()
		note := filepath.Join(state, "vg-1.pool.metadata")
		if err := os.WriteFile(note, []byte(c.note), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Open(t.Context(), Options{VolumeGroup: "vg-1", Host: "h", Runner: &c.pool, StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		m := testMapping()
		m.v, m.known, m.lv.Pool = v, false, "pool"
		var sum int64
		err = m.walk(t.Context(), 0, m.size, func(e stowage.Extent) error { sum += e.Length; return nil })
		want := int64(7 * 64 << 10)
		if c.whole {
			want = m.size
		}
		if sum != want || err != nil {
			t.Errorf("%s: %d bytes of %d, %v", what, sum, want, err)
		}
		if !slices.Equal(c.pool.calls, c.want) || c.pool.held != c.left {
			t.Errorf("%s: held %s after\n  %s", what, c.pool.held, strings.Join(c.pool.calls, "\n  "))
		}
		if text, err := os.ReadFile(note); err != nil || len(text) > 0 && !strings.HasPrefix(what, "held by another") {
			t.Errorf("%s: the note says %q, %v", what, text, err)
		}
	}
}

func TestMetadataIsReleasedWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &heldPool{held: "-", dump: func(ctx context.Context, _ io.Writer) error { cancel(); return ctx.Err() }}
	v, err := Open(ctx, Options{VolumeGroup: "vg-1", Host: "h", Runner: p, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	m := testMapping()
	m.v, m.known, m.lv.Pool = v, false, "pool"
	if err := m.walk(ctx, 0, m.size, nil); !errors.Is(err, context.Canceled) || p.held != "-" {
		t.Errorf("held %s, %v", p.held, err)
	}
	// Nothing was learnt, so it is asked again.
	p.dump = good
	if err := m.walk(t.Context(), 0, 512, nil); err != nil || m.blocks == nil {
		t.Errorf("the second time: %v", err)
	}
}
