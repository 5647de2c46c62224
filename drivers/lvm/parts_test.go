package lvm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestNames(t *testing.T) {
	long := strings.Repeat("a-", 50)
	for _, c := range []struct{ group, volume, name string }{
		{"vg-1", "volume-a", "stowage-inflight.1"}, {"vg", "volume-a", "snapshot-1"}, {"vg", "volume-a", "pvmove0"},
		{"vg", "volume-a", "x_tmeta"}, {strings.Repeat("-", 30)[1:], long, long}, {"stack-volumes-lvmdriver-1", long, "stowage-inflight." + long[:36]},
	} {
		name := lvName(c.group, c.volume, c.name)
		if reserved(name) || len(deviceName(c.group, name))+len("-real") > 127 || !validName(name) {
			t.Errorf("%+v: %s", c, name)
		}
		if name == lvName(c.group, c.volume+"b", c.name) {
			t.Errorf("%+v: the same for another volume", c)
		}
	}
	uuid := "5e2c1d04-8f5e-4a57-9d8b-6a1f6f3b0c11"
	if name := lvName("stack-volumes-lvmdriver-1", "volume-"+uuid, "stowage-inflight."+uuid); !strings.HasPrefix(name, "stowage-inflight."+uuid+".") {
		t.Errorf("no operator will know %s", name)
	}
	if got := deviceName("a-b", "c--d.e_f"); got != "a--b-c----d.e_f" {
		t.Errorf("got %s", got)
	}
}

func TestSnapshotID(t *testing.T) {
	good := thickUUID + "/" + snapUUID
	if id, ok := parseID(good); !ok || id.String() != good {
		t.Errorf("%+v, %v", id, ok)
	}
	for _, text := range []string{"", "/", "1", good + "0", "x" + good, good + "/", thickUUID, thickUUID + "/", strings.ReplaceAll(good, "-", "a"), good[:len(good)-1] + "!"} {
		if id, ok := parseID(text); ok {
			t.Errorf("%q was read as %+v", text, id)
		}
	}
}

func TestStoreStatus(t *testing.T) {
	for text, want := range map[string]int{"snapshot 16/16384 16": 0, "snapshot 8192/16384 64": 50, "snapshot 16384/16384 64": 100} {
		if got, ok := filled(strings.Fields(text)); got != want || !ok {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"snapshot Invalid", "snapshot Overflow", "snapshot Merge failed", "snapshot 1/0", "linear 1/2", "snapshot"} {
		if _, ok := filled(strings.Fields(text)); ok {
			t.Errorf("%s is said to be valid", text)
		}
	}
}

const dumped = `<superblock uuid="" time="1" transaction="2" flags="0" version="2" data_block_size="128" nr_data_blocks="0">
  <device dev_id="7" mapped_blocks="7" transaction="1" creation_time="1" snap_time="1">
    <range_mapping origin_begin="1" data_begin="0" length="3" time="0"/>
    <single_mapping origin_block="4" data_block="9" time="1"/>
    <single_mapping origin_block="63" data_block="10" time="1"/>
    <range_mapping origin_begin="64" data_begin="11" length="2" time="0"/>
  </device>
</superblock>
`

func testMapping() *mapping {
	return &mapping{lv: &lv{Name: "s", ThinID: "7"}, size: 70<<16 - 512, turn: make(chan struct{}, 1), known: true}
}

func TestMapping(t *testing.T) {
	m := testMapping()
	if err := m.parse(strings.NewReader(dumped)); err != nil {
		t.Fatal(err)
	}
	walk := func(offset, length int64) (found []stowage.Extent) {
		err := m.walk(t.Context(), offset, length, func(e stowage.Extent) error { found = append(found, e); return nil })
		if err != nil {
			t.Error(err)
		}
		return found
	}
	const k = 64 << 10
	for _, c := range []struct {
		offset, length int64
		want           []stowage.Extent
	}{
		{0, m.size, []stowage.Extent{{Offset: k, Length: 4 * k}, {Offset: 63 * k, Length: 3 * k}}},
		{k + 1, 5, []stowage.Extent{{Offset: k + 1, Length: 5}}},
		{5 * k, 58 * k, nil}, {5*k - 1, 1, []stowage.Extent{{Offset: 5*k - 1, Length: 1}}}, {66 * k, 4*k - 512, nil}, {k, 0, nil},
		{65*k + 9, 2 * k, []stowage.Extent{{Offset: 65*k + 9, Length: k - 9}}},
	} {
		if got := walk(c.offset, c.length); len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || len(got) > 1 && got[1] != c.want[1] {
			t.Errorf("[%d, +%d): got %v, want %v", c.offset, c.length, got, c.want)
		}
	}
}

// A list that is not whole, or not of this device, is no list.
func TestMappingRefusesHalves(t *testing.T) {
	for what, text := range map[string]string{
		"nothing": "", "cut short": dumped[:len(dumped)-15], "a block missing": strings.Replace(dumped, `length="2"`, `length="1"`, 1),
		"a line missing": strings.Replace(dumped, "    <single_mapping origin_block=\"4\" data_block=\"9\" time=\"1\"/>\n", "", 1),
		"another device": strings.Replace(dumped, `dev_id="7"`, `dev_id="17"`, 1), "no size of blocks": strings.Replace(dumped, "data_block_size", "size", 1),
		"beyond the end": strings.Replace(dumped, `origin_block="63"`, `origin_block="630"`, 1), "negative": strings.Replace(dumped, `"63"`, `"-63"`, 1),
		"overflowing": strings.Replace(dumped, `origin_begin="64"`, `origin_begin="9223372036854775807"`, 1), "unknown": strings.Replace(dumped, "<single", "<double", 1),
		"no device": "<superblock data_block_size=\"128\" >\n</superblock>\n", "not XML": "thin_dump: no current metadata snap\n",
	} {
		if err := testMapping().parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// O_DIRECT on a file has the rules it has on a device.
func TestDirect(t *testing.T) {
	const size = 3<<20 + 8192
	path := filepath.Join(t.TempDir(), "disk")
	want := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(want)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Skipf("no O_DIRECT here: %v", err)
	}
	defer f.Close()
	d := &direct{f: f, size: size, block: aligned}
	big := make([]byte, size+1)
	for _, c := range []struct{ offset, length int64 }{
		{0, size}, {1, 1}, {4095, 2}, {4096, 4096}, {4097, 4096}, {1<<20 - 1, 1<<20 + 2}, {size - 1, 1}, {0, 0}, {8192, 1 << 20}, {5, 3 << 20},
	} {
		got := big[1 : 1+c.length] // not aligned in memory either
		if n, err := d.readAt(got, c.offset); int64(n) != c.length || err != nil || !bytes.Equal(got, want[c.offset:c.offset+c.length]) {
			t.Fatalf("readAt %+v: %d, %v", c, n, err)
		}
		_, _ = r.Read(got)
		copy(want[c.offset:], got)
		if n, err := d.writeAt(got, c.offset); int64(n) != c.length || err != nil {
			t.Fatalf("writeAt %+v: %d, %v", c, n, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("writeAt %+v: not what was written, %v", c, err)
		}
	}
	tg := &target{d: d}
	for _, c := range []struct{ offset, length int64 }{{1, 1}, {4095, 2}, {4096, 4096}, {4095, 4098}, {9000, 2 << 20}, {size - 3, 3}, {7, 0}} {
		if err := tg.zero(c.offset, c.length); err != nil {
			t.Fatalf("zero %+v: %v", c, err)
		}
		clear(want[c.offset : c.offset+c.length])
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("zero %+v: not what was to be, %v", c, err)
		}
	}
	if zeros, err := d.zeros(12288, 1<<20); !zeros || err != nil {
		t.Errorf("zeros: %v, %v", zeros, err)
	}
	if zeros, err := d.zeros(0, 1<<20); zeros || err != nil {
		t.Errorf("zeros of data: %v, %v", zeros, err)
	}
}

func TestProcesses(t *testing.T) {
	p := processes{env: []string{"MARK=here"}}
	var out bytes.Buffer
	sh := func(script string) Command {
		return Command{Path: "/bin/sh", Args: []string{"-c", script}, Timeout: time.Minute}
	}
	if err := p.Run(t.Context(), sh("echo $LC_ALL $MARK $HOME; echo a warning >&2"), &out); err != nil || out.String() != "C here\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	var exit *ExitError
	if err := p.Run(t.Context(), sh("echo why >&2; exit 5"), io.Discard); !errors.As(err, &exit) || exit.Code != 5 || exit.Stderr != "why" {
		t.Errorf("got %v", err)
	}
	slow := sh("sleep 60")
	slow.Timeout = 50 * time.Millisecond
	wantCoded(t, "a command without end", p.Run(t.Context(), slow, io.Discard), stowage.Unavailable)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := p.Run(ctx, sh("sleep 60"), io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that nobody waits for: %v", err)
	}
	// A change runs to its end.
	ctx, cancel = context.WithCancel(t.Context())
	begun := filepath.Join(t.TempDir(), "begun")
	go func() {
		for {
			if _, err := os.Stat(begun); err == nil || t.Context().Err() != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	out.Reset()
	change := sh("touch " + begun + "; sleep 0.3; echo done")
	change.Changes = true
	if err := p.Run(ctx, change, &out); err != nil || out.String() != "done\n" {
		t.Errorf("a change that nobody waits for: %q, %v", out.String(), err)
	}
	if err := p.Run(ctx, change, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("a change that need not begin: %v", err)
	}
}
