// Package chunk knows what a chunk is: a fixed length of a volume, known by the
// hash of its bytes, or by being zeros. It is pure.
package chunk

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/stowage/stowage"
)

// Bounds and default of the length of chunks, in bytes. Lengths are powers of two.
const (
	MinBytes     = 64 << 10
	DefaultBytes = 256 << 10
	MaxBytes     = 4 << 20
)

// MaxNumber bounds the numbers of chunks.
const MaxNumber = 1 << 48

// ValidBytes reports whether n is a length chunks may have.
func ValidBytes(n int) bool { return n >= MinBytes && n <= MaxBytes && n&(n-1) == 0 }

// Hash is what a chunk is known by, 256 bits.
type Hash [32]byte

// Algorithm is how the hash is made; its number stands in every object.
type Algorithm byte

// The algorithms there are.
const (
	SHA256 Algorithm = 1
	BLAKE3 Algorithm = 2
)

// ParseAlgorithm reads a name as String gives it.
func ParseAlgorithm(name string) (Algorithm, error) {
	for _, a := range []Algorithm{SHA256, BLAKE3} {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, stowage.Errorf(stowage.Invalid, "there is no hash %q: it is sha256 or blake3", name)
}

// Known reports whether a is an algorithm at all.
func (a Algorithm) Known() bool { return a == SHA256 || a == BLAKE3 }

func (a Algorithm) String() string {
	switch a {
	case SHA256:
		return "sha256"
	case BLAKE3:
		return "blake3"
	}
	return fmt.Sprintf("hash %d", byte(a))
}

// Sum gives the hash of p. The algorithm must be known.
func (a Algorithm) Sum(p []byte) Hash {
	switch a {
	case SHA256:
		return sha256.Sum256(p)
	case BLAKE3:
		return blake3.Sum256(p)
	}
	panic("chunk: " + a.String() + " is not known")
}

var zeros [4096]byte

// IsZero reports whether all bytes are zero. Data is found out by a look at
// three bytes, nearly always.
func IsZero(p []byte) bool {
	if n := len(p); n == 0 || p[0]|p[n/2]|p[n-1] != 0 {
		return n == 0
	}
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}
