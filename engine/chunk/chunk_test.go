package chunk

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/stowage/stowage"
)

func TestLengthsArePowersOfTwoWithinBounds(t *testing.T) {
	for n := range MaxBytes*2 + 2 {
		want := n == 64<<10 || n == 128<<10 || n == 256<<10 || n == 512<<10 || n == 1<<20 || n == 2<<20 || n == 4<<20
		if ValidBytes(n) != want {
			t.Fatalf("%d: valid is %v", n, !want)
		}
	}
	for _, n := range []int{-1, -MinBytes, -1 << 63} {
		if ValidBytes(n) {
			t.Errorf("%d is valid", n)
		}
	}
	if !ValidBytes(DefaultBytes) {
		t.Error("the default is not")
	}
}

// The hashes are those of the standards: a restore tool has other code for them.
func TestHashesAreTheStandardOnes(t *testing.T) {
	for _, x := range []struct {
		a       Algorithm
		in, hex string
	}{
		{SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{BLAKE3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
		{BLAKE3, "abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"},
	} {
		if h := x.a.Sum([]byte(x.in)); hex.EncodeToString(h[:]) != x.hex {
			t.Errorf("%s of %q is %x", x.a, x.in, h)
		}
	}
}

func TestAlgorithmsHaveNames(t *testing.T) {
	for a := range 256 {
		a := Algorithm(a)
		back, err := ParseAlgorithm(a.String())
		if a.Known() != (err == nil) || err == nil && back != a {
			t.Errorf("%s: known is %v, read back as %s: %v", a, a.Known(), back, err)
		}
		if err != nil && stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, name := range []string{"", "SHA256", "sha256 ", "md5"} {
		if _, err := ParseAlgorithm(name); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestOneByteAnywhereIsData(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4095, 4096, 4097, 8191, 8192, 8193, 20000} {
		p := make([]byte, n)
		if !IsZero(p) {
			t.Errorf("%d zeros are taken for data", n)
		}
		for i := range p {
			for _, bit := range []byte{1, 0x80} {
				if p[i] = bit; IsZero(p) {
					t.Fatalf("byte %d of %d is overlooked", i, n)
				}
			}
			p[i] = 0
		}
	}
	if !IsZero(nil) {
		t.Error("nothing is taken for data")
	}
}

// A chunk need not begin at an even address, and what is around it is not its.
func TestZerosAmidData(t *testing.T) {
	room := make([]byte, 3*4096)
	for i := range room {
		room[i] = 0xff
	}
	for from := range 16 {
		p := room[from : from+4099]
		clear(p)
		if !IsZero(p) {
			t.Errorf("zeros at %d are taken for data", from)
		}
		for i := range p {
			p[i] = 0xff
		}
	}
}

func noise(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

func BenchmarkSum(b *testing.B) {
	p := noise(DefaultBytes)
	for _, a := range []Algorithm{SHA256, BLAKE3} {
		b.Run(a.String(), func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				a.Sum(p)
			}
		})
	}
}

func BenchmarkIsZero(b *testing.B) {
	late := make([]byte, DefaultBytes)
	late[DefaultBytes-2] = 1
	for name, p := range map[string][]byte{"zeros": make([]byte, DefaultBytes), "data": noise(DefaultBytes), "late": late} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				IsZero(p)
			}
		})
	}
}
