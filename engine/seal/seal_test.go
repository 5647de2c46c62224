package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
)

// sealed is a header with something in every field.
func sealed() Header {
	h := Header{Kind: Pack, Number: 0x0102030405060708, Format: Format{
		Cipher: AES256GCM, Hash: chunk.BLAKE3, ChunkBytes: 256 << 10,
	}}
	for i := range h.KeyID {
		h.KeyID[i] = byte(0x40 + i)
	}
	for i := range h.Salt {
		h.Salt[i] = byte(0x80 + i)
	}
	return h
}

func secret() *Secret {
	var s Secret
	for i := range s {
		s[i] = byte(i)
	}
	return &s
}

func boxes(t testing.TB, h Header, s *Secret) *Boxes {
	t.Helper()
	b, err := New(h, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func corrupt(t testing.TB, what string, err error) {
	t.Helper()
	if stowage.CodeOf(err) != stowage.Corrupt {
		t.Errorf("%s: %v", what, err)
	}
}

// The bytes of the page, by hand.
func TestAHeaderIsWhatThePageSays(t *testing.T) {
	const want = "53544f575041434b" + // STOWPACK
		"01" + "01" + "02" + "00" + "00040000" +
		"404142434445464748494a4b4c4d4e4f" +
		"808182838485868788898a8b8c8d8e8f9091929394959697" +
		"0102030405060708"
	got := sealed().Append(nil)
	if hex.EncodeToString(got) != want || len(got) != HeaderBytes {
		t.Errorf("it is\n%x, not\n%s", got, want)
	}
	h, err := ParseHeader(Pack, append(got, "the rest"...))
	if err != nil || h != sealed() {
		t.Errorf("read back: %+v, %v", h, err)
	}
}

func TestWhatIsNoHeaderIsCorrupt(t *testing.T) {
	good := sealed().Append(nil)
	for n := range good {
		_, err := ParseHeader(Pack, good[:n])
		corrupt(t, fmt.Sprintf("%d bytes", n), err)
	}
	for _, k := range []Kind{Map, Root, "", "x"} {
		_, err := ParseHeader(k, good)
		corrupt(t, "another kind, "+string(k), err)
	}
	for name, at := range map[string][]int{
		"kind": {0, 1, 2, 3, 4, 5, 6, 7}, "version": {8}, "cipher": {9}, "hash": {10}, "zero": {11}, "length": {12, 13, 14, 15},
	} {
		for _, i := range at {
			for bit := range 8 {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << bit
				if _, err := ParseHeader(Pack, bad); err == nil {
					t.Errorf("%s: bit %d of byte %d may be another", name, bit, i)
				}
			}
		}
	}
	open := sealed()
	open.Cipher = None
	_, err := ParseHeader(Pack, open.Append(nil))
	corrupt(t, "a key and no cipher", err)
}

// Written from doc/design.md alone: this is all a restore tool has to do.
func TestABoxOpensByThePage(t *testing.T) {
	h := sealed()
	box := boxes(t, h, secret()).Seal(nil, []byte("the only copy"), 7)
	header := h.Append(nil)
	key, err := hkdf.Key(sha256.New, secret()[:], h.Salt[:], "stowage object key"+string(header), 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := aead.Open(nil, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}, box, header)
	if err != nil || string(plain) != "the only copy" {
		t.Errorf("%q, %v", plain, err)
	}
	if len(box) != len(plain)+16 {
		t.Errorf("the seal has %d bytes", len(box)-len(plain))
	}
}

// Bytes once written are to be read for ever.
func TestGoldenBox(t *testing.T) {
	const want = "361d7b2e5cfd0bb3e834c7a35554aaee6766d18621c9ef"
	box := boxes(t, sealed(), secret()).Seal(nil, []byte("stowage"), IndexBox)
	if hex.EncodeToString(box) != want {
		t.Errorf("the box is %x", box)
	}
}

func TestBoxesAreOpenedInTheirOwnRoom(t *testing.T) {
	open := sealed()
	open.Cipher, open.KeyID = None, KeyID{}
	for _, h := range []Header{sealed(), open} {
		b := boxes(t, h, secret())
		for _, n := range []int{0, 1, 100, 256 << 10} {
			plain := bytes.Repeat([]byte{42}, n)
			room := make([]byte, 0, n+b.Overhead())
			box := b.Seal(room, plain, 3)
			if len(box) != cap(room) || n > 0 && &box[0] != &room[:1][0] {
				t.Fatalf("the box of %d bytes has %d", n, len(box))
			}
			got, err := b.Open(box, 3)
			if err != nil || !bytes.Equal(got, plain) || n > 0 && &got[0] != &box[0] {
				t.Errorf("a box of %d: %v", n, err)
			}
		}
	}
}

func TestABoxOpensOnlyWhereItBelongs(t *testing.T) {
	box := boxes(t, sealed(), secret()).Seal(nil, []byte("secret"), 7)
	mine := func() []byte { return bytes.Clone(box) }
	other := *secret()
	other[31]++
	_, err := boxes(t, sealed(), &other).Open(mine(), 7)
	corrupt(t, "another project's key", err)
	for _, number := range []uint64{0, 6, 8, 7 | IndexBox, IndexBox, 7 << 32} {
		_, err := boxes(t, sealed(), secret()).Open(mine(), number)
		corrupt(t, fmt.Sprintf("number %d", number), err)
	}
	for name, change := range map[string]func(*Header){
		"kind":   func(h *Header) { h.Kind = Map },
		"hash":   func(h *Header) { h.Hash = chunk.SHA256 },
		"length": func(h *Header) { h.ChunkBytes *= 2 },
		"key id": func(h *Header) { h.KeyID[0]++ },
		"salt":   func(h *Header) { h.Salt[23]++ },
		"number": func(h *Header) { h.Number++ },
	} {
		h := sealed()
		change(&h)
		_, err := boxes(t, h, secret()).Open(mine(), 7)
		corrupt(t, "another "+name, err)
	}
	for i := range len(box) * 8 {
		bad := mine()
		bad[i/8] ^= 1 << (i % 8)
		_, err := boxes(t, sealed(), secret()).Open(bad, 7)
		corrupt(t, fmt.Sprintf("bit %d", i), err)
	}
	for n := range box {
		_, err := boxes(t, sealed(), secret()).Open(mine()[:n], 7)
		corrupt(t, fmt.Sprintf("%d bytes", n), err)
	}
}

func TestThereAreNoBoxesWithoutAKeyOrOfNoFormat(t *testing.T) {
	if _, err := New(sealed(), nil); stowage.CodeOf(err) != stowage.Invalid {
		t.Errorf("without a key: %v", err)
	}
	for name, change := range map[string]func(*Header){
		"cipher": func(h *Header) { h.Cipher = 2 },
		"hash":   func(h *Header) { h.Hash = 0 },
		"length": func(h *Header) { h.ChunkBytes = 100 },
		"key":    func(h *Header) { h.Cipher = None },
	} {
		h := sealed()
		change(&h)
		_, err := New(h, secret())
		corrupt(t, name, err)
	}
}

func TestManySealAtOnce(t *testing.T) {
	b := boxes(t, sealed(), secret())
	var all sync.WaitGroup
	for n := range uint64(16) {
		all.Go(func() {
			plain := bytes.Repeat([]byte{byte(n)}, 5000)
			for range 20 {
				got, err := b.Open(b.Seal(nil, plain, n), n)
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("box %d: %v", n, err)
				}
			}
		})
	}
	all.Wait()
}

// Whatever the bytes, it is a header that gives the same bytes, or Corrupt.
func FuzzParseHeader(f *testing.F) {
	f.Add(string(Pack), sealed().Append(nil))
	f.Add(string(Map), Header{Kind: Map, Number: 1, Format: Format{Hash: chunk.SHA256, ChunkBytes: chunk.MinBytes}}.Append(nil))
	f.Add(string(Root), []byte(Root))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		h, err := ParseHeader(Kind(kind), data)
		if err != nil {
			corrupt(t, "an error", err)
			return
		}
		if !bytes.Equal(h.Append(nil), data[:HeaderBytes]) {
			t.Errorf("%+v are not these bytes", h)
		}
		boxes(t, h, secret())
	})
}

func BenchmarkSeal(b *testing.B) {
	x := boxes(b, sealed(), secret())
	plain := make([]byte, 256<<10)
	room := make([]byte, 0, len(plain)+x.Overhead())
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		x.Seal(room, plain, 1)
	}
}

func BenchmarkOpen(b *testing.B) {
	x := boxes(b, sealed(), secret())
	box := x.Seal(nil, make([]byte, 256<<10), 1)
	room := make([]byte, len(box))
	b.SetBytes(int64(len(box)))
	for b.Loop() {
		copy(room, box)
		if _, err := x.Open(room, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		boxes(b, sealed(), secret())
	}
}
