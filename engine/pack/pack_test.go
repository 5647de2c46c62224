package pack

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stowage/stowage"
)

const chunkBytes = 1 << 12

var update = flag.Bool("update", false, "write the golden files")

func build(t testing.TB, compress bool, chunks map[int][]byte) []byte {
	t.Helper()
	w, err := NewWriter(MaxBytes(16, chunkBytes), compress)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 16 {
		if c, ok := chunks[n]; ok {
			if err := w.Add(n, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	return bytes.Clone(w.Finish())
}

func sample() map[int][]byte {
	noise := make([]byte, chunkBytes)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	return map[int][]byte{0: bytes.Repeat([]byte("text "), 700), 3: noise, 15: {42}}
}

func TestWhatGoesInComesOut(t *testing.T) {
	for _, compress := range []bool{true, false} {
		data := build(t, compress, sample())
		p, err := Parse(data, 16, chunkBytes)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(chunkBytes)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if len(p.Entries) != 3 {
			t.Fatalf("%d chunks", len(p.Entries))
		}
		for _, e := range p.Entries {
			plain, err := r.Plain(p, e, make([]byte, chunkBytes))
			if err != nil || !bytes.Equal(plain, sample()[e.Number]) {
				t.Errorf("chunk %d: %v", e.Number, err)
			}
		}
	}
}

// The bytes of version 1, written once: they must be readable for ever.
func TestGolden(t *testing.T) {
	const name = "testdata/v1-raw.hex"
	chunks := map[int][]byte{1: []byte("stowage"), 2: {0, 1, 2}}
	if *update {
		if err := os.WriteFile(name, []byte(hex.Dump(build(t, false, chunks))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(build(t, false, chunks)); got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestChunksComeInOrder(t *testing.T) {
	w, err := NewWriter(100, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(2, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(2, []byte{1}); err == nil {
		t.Error("the same number again is taken")
	}
}

func TestABombGivesNoMoreThanItsLength(t *testing.T) {
	data := build(t, true, map[int][]byte{0: make([]byte, chunkBytes)})
	// The entry says one byte; the frame holds 4096.
	at := len(data) - tailLen - entryLen + 9
	data[at], data[at+1], data[at+2], data[at+3] = 0, 0, 0, 1
	p, err := Parse(data, 16, chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Plain(p, p.Entries[0], make([]byte, chunkBytes)); stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("got %v", err)
	}
}

// Whatever the bytes, parsing gives a pack within its bounds or Corrupt.
func FuzzParse(f *testing.F) {
	f.Add(build(f, true, sample()))
	f.Add(build(f, false, sample()))
	f.Add([]byte(magic + "\x00\x00\x00\x00" + ending))
	r, err := NewReader(chunkBytes)
	if err != nil {
		f.Fatal(err)
	}
	room := make([]byte, chunkBytes)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, 16, chunkBytes)
		if err != nil {
			if stowage.CodeOf(err) != stowage.Corrupt {
				t.Fatalf("error %v has another code", err)
			}
			return
		}
		for _, e := range p.Entries {
			plain, err := r.Plain(p, e, room)
			if err != nil && stowage.CodeOf(err) != stowage.Corrupt {
				t.Fatalf("error %v has another code", err)
			}
			if err == nil && len(plain) > chunkBytes {
				t.Fatalf("a chunk of %d bytes", len(plain))
			}
		}
	})
}
