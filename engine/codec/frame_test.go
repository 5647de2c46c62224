package codec

import (
	"bytes"
	"os"
	"runtime"
	"testing"

	"github.com/stowage/stowage"
)

// head is a frame's magic and descriptor, and a window of 8 MiB.
const head = "\x28\xb5\x2f\xfd\x00\x68"

// What each decoder would take, and nobody writes.
func TestOnlyOneFrameOfTodaysFormatIsRead(t *testing.T) {
	c := open(t)
	one, err := c.Compress(nil, text(1000))
	if err != nil {
		t.Fatal(err)
	}
	skipped := []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip")
	for name, src := range map[string][]byte{
		"nothing":             {},
		"zeros":               make([]byte, 100),
		"a skipped frame":     append(bytes.Clone(skipped), one...),
		"one behind it":       append(bytes.Clone(one), skipped...),
		"two frames":          append(bytes.Clone(one), one...),
		"an empty one more":   append(bytes.Clone(one), head+"\x01\x00\x00"...),
		"version 0.5":         append([]byte("\x25\xb5\x2f\xfd"), one[4:]...),
		"version 0.7":         append([]byte("\x27\xb5\x2f\xfd"), one[4:]...),
		"version 0.7 behind":  append(bytes.Clone(one), "\x27\xb5\x2f\xfd\x20\x00\x00\x00\x00"...),
		"a dictionary":        []byte("\x28\xb5\x2f\xfd\x01\x68\x07\x01\x00\x00"),
		"a reserved bit":      []byte("\x28\xb5\x2f\xfd\x08\x68\x01\x00\x00"),
		"a block of no kind":  []byte(head + "\x07\x00\x00"),
		"a block too long":    []byte(head + "\x03\x00\x20\x00"),
		"no last block":       []byte(head + "\x00\x00\x00"),
		"no window":           []byte("\x28\xb5\x2f\xfd\x00"),
		"another length":      []byte("\x28\xb5\x2f\xfd\x20\x05\x01\x00\x00"),
		"a checksum, cut off": []byte("\x28\xb5\x2f\xfd\x04\x68\x01\x00\x00\x99\xe9\xd8"),
	} {
		for _, n := range []int{0, 1, 1000, 2000} {
			if err := c.Decompress(make([]byte, n), src); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("%s for %d bytes: %v", name, n, err)
			}
		}
	}
}

// What the format allows and our encoders do not make is read all the same.
func TestOtherWritersFramesAreRead(t *testing.T) {
	c := open(t)
	for name, x := range map[string]struct{ src, want string }{
		"raw blocks":       {head + "\x08\x00\x00a\x11\x00\x00bc", "abc"},
		"a run":            {head + "\x23\x00\x00x", "xxxx"},
		"empty blocks":     {head + "\x00\x00\x00\x00\x00\x00\x09\x00\x00a", "a"},
		"a checksum":       {"\x28\xb5\x2f\xfd\x04\x68\x01\x00\x00\x99\xe9\xd8\x51", ""},
		"8 bytes' length":  {"\x28\xb5\x2f\xfd\xe0\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00a", "a"},
		"length of 1 byte": {"\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00a", "a"},
	} {
		got := make([]byte, len(x.want))
		if err := c.Decompress(got, []byte(x.src)); err != nil || string(got) != x.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, n := range []int{len(x.want) + 1, max(0, len(x.want)-1)} {
			if err := c.Decompress(make([]byte, n), []byte(x.src)); n != len(x.want) && stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("%s, as %d bytes: %v", name, n, err)
			}
		}
	}
}

// bomb is a frame of 1 GiB of zeros in 32 KiB, which does not say how much it is.
func bomb() []byte {
	p := []byte(head)
	for i := range 8192 {
		last := byte(0)
		if i == 8191 {
			last = 1
		}
		p = append(p, 2|last, 0x00, 0x10, 0)
	}
	return p
}

func TestABombCostsNoMoreThanWasPromised(t *testing.T) {
	c := open(t)
	liar := append([]byte("\x28\xb5\x2f\xfd\xc0\x68\x00\x00\x00\x40\x00\x00\x00\x00"), bomb()[6:]...)
	dst := make([]byte, 64<<10, 1<<20)
	for name, src := range map[string][]byte{"silent": bomb(), "says so": liar} {
		for range 2 { // the first time, the decoder gets its tables
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := c.Decompress(dst, src)
			runtime.ReadMemStats(&after)
			if stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("a bomb that is %s: %v", name, err)
			}
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 2<<20 {
				t.Errorf("a bomb that is %s costs %d bytes", name, cost)
			}
		}
	}
	if !bytes.Equal(dst[len(dst):cap(dst)], make([]byte, cap(dst)-len(dst))) {
		t.Error("it writes beyond the room")
	}
}

// The frames of either encoder, made once: every build reads both.
func TestGoldenFrames(t *testing.T) {
	c := open(t)
	for _, name := range []string{"libzstd", "pure"} {
		path := "testdata/" + name + ".zst"
		if *update && name == built {
			frame, err := c.Compress(nil, text(20000))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, frame, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		frame, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 20000)
		if err := c.Decompress(got, frame); err != nil || !bytes.Equal(got, text(20000)) {
			t.Errorf("the frame of %s: %v", name, err)
		}
	}
}

// Whatever the bytes, the room is filled or it is Corrupt, and nothing beyond
// the room is touched.
func FuzzDecompress(f *testing.F) {
	c := open(f)
	for _, src := range [][]byte{nil, []byte("a"), text(2000), noise(500), make([]byte, 4000)} {
		frame, err := c.Compress(nil, src)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame, len(src))
		f.Add(append(frame, frame...), 2*len(src))
	}
	f.Add(bomb(), 65536)
	f.Add([]byte("\x27\xb5\x2f\xfd\x20\x00\x00\x00\x00"), 0)
	f.Fuzz(func(t *testing.T, src []byte, n int) {
		if n < 0 || n > 1<<20 {
			return
		}
		room := bytes.Repeat([]byte{0xa5}, n+64)
		err := c.Decompress(room[:n], src)
		if err != nil && stowage.CodeOf(err) != stowage.Corrupt {
			t.Fatalf("error %v has another code", err)
		}
		if !bytes.Equal(room[n:], bytes.Repeat([]byte{0xa5}, 64)) {
			t.Fatal("it writes beyond the room")
		}
		if err == nil {
			compare(t, src, room[:n])
		}
	})
}
