package codec

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stowage/stowage"
)

func open(t testing.TB) *Codec {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func noise(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// text is something that gets smaller, though not next to nothing.
func text(n int) []byte {
	words := []string{"volume ", "chunk ", "pack ", "root ", "map ", "layer ", "fence ", "page\n"}
	r := rand.New(rand.NewPCG(1, 2))
	var p []byte
	for len(p) < n {
		p = append(p, words[r.IntN(len(words))]...)
	}
	return p[:n]
}

var lengths = []int{0, 1, 2, 9, 10, 33, 34, 255, 256, 257, 1023, 1025, 65535, 65536, 65791, 65792, 1 << 17, 1<<17 + 1, 256 << 10, 4 << 20, 4<<20 - 1}

func TestWhatGoesInComesOut(t *testing.T) {
	c := open(t)
	for _, n := range lengths {
		for kind, src := range map[string][]byte{"noise": noise(n), "text": text(n), "zeros": make([]byte, n)} {
			room := make([]byte, 0, Bound(n))
			frame, err := c.Compress(room, src)
			if err != nil || len(frame) > Bound(n) {
				t.Fatalf("%d bytes of %s: %d, %v", n, kind, len(frame), err)
			}
			if &frame[0] != &room[:1][0] {
				t.Errorf("%d bytes of %s: the frame is not in the room it was given", n, kind)
			}
			got := make([]byte, n)
			if err := c.Decompress(got, frame); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("%d bytes of %s: %v", n, kind, err)
			}
			if small, err := c.Compress(nil, src); err != nil || !bytes.Equal(small, frame) {
				t.Errorf("%d bytes of %s, without room: %v", n, kind, err)
			}
		}
	}
}

// A chunk is a frame only where that pays: readers rely on a frame being
// shorter than what it holds.
func TestAChunkIsCompressedOnlyIfThatPays(t *testing.T) {
	c := open(t)
	some := lengths
	for n := range 400 {
		some = append(some, n)
	}
	for _, n := range some {
		for kind, src := range map[string][]byte{"noise": noise(n), "text": text(n), "zeros": make([]byte, n)} {
			how, stored, err := c.Chunk(make([]byte, 0, Bound(n)), src)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case how == Raw:
				if !bytes.Equal(stored, src) {
					t.Errorf("%d bytes of %s, raw, are others", n, kind)
				}
				if n >= 64<<10 && kind != "noise" {
					t.Errorf("%d bytes of %s are not compressed", n, kind)
				}
			case how != Zstd, len(stored)*100 > n*97:
				t.Errorf("%d bytes of %s: codec %d, %d bytes", n, kind, how, len(stored))
			}
		}
	}
}

func TestLengthsOtherThanPromisedAreCorrupt(t *testing.T) {
	c := open(t)
	for _, n := range []int{1, 100, 70000} {
		frame, err := c.Compress(nil, text(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []int{0, n - 1, n + 1, 2 * n} {
			if other == n {
				continue
			}
			if err := c.Decompress(make([]byte, other), frame); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("%d bytes as %d: %v", n, other, err)
			}
		}
	}
}

func TestPartsOfAFrameAreCorrupt(t *testing.T) {
	c := open(t)
	for _, src := range [][]byte{nil, text(300), noise(300), make([]byte, 300)} {
		frame, err := c.Compress(nil, src)
		if err != nil {
			t.Fatal(err)
		}
		for n := range frame {
			if err := c.Decompress(make([]byte, len(src)), frame[:n]); stowage.CodeOf(err) != stowage.Corrupt {
				t.Errorf("%d of %d bytes of a frame: %v", n, len(frame), err)
			}
		}
		if err := c.Decompress(make([]byte, len(src)), append(frame, 0)); stowage.CodeOf(err) != stowage.Corrupt {
			t.Errorf("a byte more: %v", err)
		}
	}
}

// After whatever nonsense, the same Codec reads what is right.
func TestACodecSurvivesNonsense(t *testing.T) {
	c := open(t)
	frame, err := c.Compress(nil, text(5000))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	got := make([]byte, 5000)
	for range 2000 {
		bad := bytes.Clone(frame)
		bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
		_ = c.Decompress(got, bad)
		if err := c.Decompress(got, frame); err != nil || !bytes.Equal(got, text(5000)) {
			t.Fatalf("it does not: %v", err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	each(b, func(b *testing.B, c *Codec, src []byte) {
		room := make([]byte, 0, Bound(len(src)))
		for b.Loop() {
			if _, _, err := c.Chunk(room, src); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecompress(b *testing.B) {
	each(b, func(b *testing.B, c *Codec, src []byte) {
		frame, err := c.Compress(nil, src)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, len(src))
		for b.Loop() {
			if err := c.Decompress(dst, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func each(b *testing.B, fn func(*testing.B, *Codec, []byte)) {
	for name, src := range map[string][]byte{"text": text(256 << 10), "noise": noise(256 << 10)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			fn(b, open(b), src)
		})
	}
}
