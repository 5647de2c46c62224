package lvm

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

const compared = `<superblock uuid="" time="2" transaction="3" data_block_size="128" nr_data_blocks="0">
  <diff left="2" right="3">
    <same begin="0" length="16"/>
    <different begin="16" length="32"/>
    <same begin="48" length="32"/>
    <left_only begin="80" length="16"/>
    <same begin="96" length="48"/>
    <right_only begin="320" length="16"/>
  </diff>
</superblock>
`

// testDelta compares device 2, of 24 MiB, with device 3, of 32 MiB.
func testDelta() *delta {
	return &delta{was: &lv{ThinID: "2"}, is: &lv{ThinID: "3"}, wasSize: 24 << 20, isSize: 32 << 20}
}

func TestDelta(t *testing.T) {
	d := testDelta()
	if err := d.parse(strings.NewReader(compared)); err != nil {
		t.Fatal(err)
	}
	if d.mapped != 16+32+32+48+16 || d.sectors != 128 {
		t.Errorf("%d blocks of %d sectors", d.mapped, d.sectors)
	}
	const k = 64 << 10
	for _, c := range []struct {
		offset, length int64
		want           []stowage.Extent
	}{
		{0, d.isSize, []stowage.Extent{{Offset: 16 * k, Length: 32 * k}, {Offset: 80 * k, Length: 16 * k}, {Offset: 320 * k, Length: 16 * k}}},
		{47*k + 5, k, []stowage.Extent{{Offset: 47*k + 5, Length: k - 5}}}, {48 * k, 32 * k, nil}, {95 * k, k, []stowage.Extent{{Offset: 95 * k, Length: k}}},
		{17 * k, 0, nil}, {336 * k, 100 * k, nil},
	} {
		var got []stowage.Extent
		err := d.changed.walk(t.Context(), c.offset, c.length, func(e stowage.Extent) error { got = append(got, e); return nil })
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("[%d, +%d): got %v, %v, want %v", c.offset, c.length, got, err, c.want)
		}
	}
}

// A volume of one size only, whose last chunk is cut off, or not.
func TestDeltaBehindTheEndOfTheBase(t *testing.T) {
	const k = 64 << 10
	for _, c := range []struct {
		was  int64
		want []stowage.Extent
	}{
		{32 << 20, nil}, {16 << 20, nil}, {16<<20 + 512, []stowage.Extent{{Offset: 16 << 20, Length: k}}},
		{32<<20 - 512, []stowage.Extent{{Offset: 32<<20 - k, Length: k}}}, {40 << 20, nil},
	} {
		d := testDelta()
		d.wasSize = c.was
		text := strings.Replace(compared, "different", "same", 1)
		text = strings.Replace(strings.Replace(text, "left_only", "same", 1), "right_only", "same", 1)
		if err := errors.Join(d.parse(strings.NewReader(text)), d.grown()); err != nil {
			t.Fatal(err)
		}
		var got []stowage.Extent
		err := d.changed.walk(t.Context(), 0, d.isSize, func(e stowage.Extent) error { got = append(got, e); return nil })
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("a base of %d bytes: %v, %v, want %v", c.was, got, err, c.want)
		}
	}
}

// A comparison that is not whole, or not of these two, is none.
func TestDeltaRefusesHalves(t *testing.T) {
	swap := func(old, young string) string {
		if !strings.Contains(compared, old) {
			t.Fatalf("there is no %s to replace", old)
		}
		return strings.Replace(compared, old, young, 1)
	}
	for what, text := range map[string]string{
		"nothing": "", "no end": swap("</superblock>", ""), "cut short": compared[:len(compared)-40], "no inner end": swap("  </diff>\n", ""),
		"ended twice": compared + "</superblock>\n", "records behind the end": swap("</superblock>", `<same begin="400" length="1"/></superblock>`),
		"two comparisons": swap("  </diff>\n", "  </diff>\n  <diff left=\"2\" right=\"3\">\n  </diff>\n"),
		"another base":    swap(`left="2"`, `left="12"`), "another snapshot": swap(`right="3"`, `right="2"`), "no pair": swap(` left="2" right="3"`, ""),
		"the wrong way round": swap(`left="2" right="3"`, `left="3" right="2"`), "no size of blocks": swap("data_block_size", "size"),
		"blocks of nothing": swap(`size="128"`, `size="0"`), "huge blocks": swap(`size="128"`, `size="9999999999"`),
		"out of order": swap(`begin="48"`, `begin="40"`), "negative": swap(`begin="48"`, `begin="-48"`), "no length": swap(` length="32"`, ""),
		"empty": swap(`begin="48" length="32"`, `begin="48" length="0"`), "beyond the end": swap(`begin="320"`, `begin="5120"`),
		"overflowing": swap(`begin="320" length="16"`, `begin="320" length="9223372036854775807"`), "unknown": swap("<different", "<perhaps"),
		"no pool": swap(`<superblock uuid="" time="2" transaction="3" data_block_size="128" nr_data_blocks="0">`, ""),
		"twice":   compared + compared, "a word": "No metadata snapshot\n" + compared,
	} {
		if err := testDelta().parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// deltaPool is a pool with two snapshots, of which lvs and the tools tell.
type deltaPool struct {
	heldPool
	lvs    []lv
	status string
}

func (p *deltaPool) Run(ctx context.Context, c Command, stdout io.Writer) error {
	switch {
	case c.Args[0] == "lvs":
		return (&recorder{lvs: p.lvs}).Run(ctx, c, stdout)
	case c.Args[0] == "status" && !strings.HasSuffix(c.Args[1], "-tpool"):
		p.calls = append(p.calls, c.String())
		_, err := io.WriteString(stdout, p.status)
		return err
	case strings.HasPrefix(c.String(), "thin_delta"):
		p.calls = append(p.calls, c.String())
		return p.dump(ctx, stdout)
	}
	return p.heldPool.Run(ctx, c, stdout)
}

// The pool's metadata is held for the comparison alone and given up on every
// path; two that were compared are not compared again; what cannot be told is
// NotFound, and whoever wants to stop is told so.
func TestChangedAsksOnce(t *testing.T) {
	away := errors.New("away")
	tell := func(text string, err error) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			_, failed := io.WriteString(w, text)
			return errors.Join(failed, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for what, c := range map[string]struct {
		dump   func(context.Context, io.Writer) error
		status string
		held   string
		code   stowage.Code
		ends   error
	}{
		"as usual":               {dump: tell(compared, nil)},
		"held by another":        {dump: tell(compared, nil), held: "12", code: stowage.NotFound},
		"the tool fails":         {dump: tell(compared, away), code: stowage.NotFound},
		"the tool says too much": {dump: tell(compared+"?", nil), code: stowage.NotFound},
		"a block less":           {dump: tell(strings.Replace(compared, `length="48"`, `length="47"`, 1), nil), code: stowage.NotFound},
		"the kernel gives up":    {dump: tell(compared, nil), status: "0 65536 Fail", code: stowage.NotFound},
		"nobody waits":           {dump: func(context.Context, io.Writer) error { cancel(); return context.Canceled }, ends: context.Canceled},
	} {
		within := t.Context()
		if c.ends != nil {
			within = ctx
		}
		origin := thinLV("volume-a", thinUUID)
		base, young := snapLV(origin, keptOne), snapLV(origin, "stowage-inflight.1")
		base.ThinID, young.ThinID, young.UUID = "2", "3", otherUUID
		base.Size, young.Size = "25165824", "33554432"
		p := &deltaPool{heldPool: heldPool{held: "-", dump: c.dump}, lvs: []lv{origin, base, young}, status: "0 65536 thin 18432 43007 \n"}
		if c.status != "" {
			p.status = c.status
		}
		if c.held != "" {
			p.held = c.held
		}
		v, err := Open(t.Context(), Options{VolumeGroup: "vg-1", Host: "h", Runner: p, StateDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		s := &thinSource{source: &source{v: v, lv: &young, d: &direct{size: 32 << 20}}, turn: make(chan struct{}, 1)}
		snap := stowage.Snapshot{Name: keptOne, ID: thinUUID + "/" + snapUUID, Volume: location(v, "volume-a")}
		var sum int64
		for range 2 {
			sum = 0
			err = s.Changed(within, snap, 0, 32<<20, func(e stowage.Extent) error { sum += e.Length; return nil })
		}
		switch {
		case c.ends != nil && !errors.Is(err, c.ends), c.code != "" && (err == nil || stowage.CodeOf(err) != c.code), c.ends == nil && c.code == "" && err != nil:
			t.Errorf("%s: got %v (%s)", what, err, stowage.CodeOf(err))
		case err == nil && sum != 64*64<<10, err != nil && sum != 0:
			t.Errorf("%s: %d bytes, %v", what, sum, err)
		}
		asked := 0
		for _, call := range p.calls {
			if strings.HasPrefix(call, "thin_delta") {
				asked++
			}
		}
		if err == nil && asked != 1 {
			t.Errorf("%s: asked %d times", what, asked)
		}
		if want := c.held; p.held != "-" && p.held != want {
			t.Errorf("%s: held %s after\n  %s", what, p.held, strings.Join(p.calls, "\n  "))
		}
	}
}

const keptOne = "backup.6c0a5f5e-5d0c-4c55-9d4f-0f3a5d2b8a11.snap.1"
