// Package seal is the format of what every object begins with, its header, and
// of the boxes everything else in it is in: sealed with AES-256-GCM under a key
// of the object's own, or open where there is no encryption. It also wraps the
// keys of projects with the operator's master key. It is pure.
//
// doc/design.md tells the bytes.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
)

// HeaderBytes is how long a header is.
const HeaderBytes = 64

// Version is the version of the format that is written.
const Version = 1

// Kind is what an object is: the first 8 bytes of it.
type Kind string

// The kinds of objects.
const (
	Pack Kind = "STOWPACK"
	Map  Kind = "STOWMAP_"
	Root Kind = "STOWROOT"
)

// Cipher is how boxes are sealed.
type Cipher byte

// The ciphers there are.
const (
	None      Cipher = 0
	AES256GCM Cipher = 1
)

// Numbers of boxes that are no chunks or pages.
const (
	IndexBox uint64 = 1 << 63
	BodyBox  uint64 = 0
)

// KeyID tells the keys of projects apart.
type KeyID [16]byte

// Salt makes the keys of the objects of one attempt its own.
type Salt [24]byte

// Format is what all objects that one root leads to have in common.
type Format struct {
	Cipher     Cipher
	Hash       chunk.Algorithm
	ChunkBytes int
	KeyID      KeyID // zeros without a cipher
}

// Header is what an object begins with.
type Header struct {
	Kind Kind
	Format
	Salt   Salt
	Number uint64 // of the object; 0 for a root
}

// Check holds a format against what there is. Corrupt: it is none.
func (f Format) Check() error {
	switch {
	case f.Cipher != None && f.Cipher != AES256GCM:
		return stowage.Errorf(stowage.Corrupt, "cipher %d is not known", f.Cipher)
	case !f.Hash.Known():
		return stowage.Errorf(stowage.Corrupt, "%s is not known", f.Hash)
	case !chunk.ValidBytes(f.ChunkBytes):
		return stowage.Errorf(stowage.Corrupt, "chunks cannot have %d bytes", f.ChunkBytes)
	case f.Cipher == None && f.KeyID != KeyID{}:
		return stowage.Errorf(stowage.Corrupt, "there is a key and no cipher")
	}
	return nil
}

// Append appends the header's bytes.
func (h Header) Append(dst []byte) []byte {
	dst = append(dst, h.Kind...)
	dst = append(dst, Version, byte(h.Cipher), byte(h.Hash), 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.ChunkBytes))
	dst = append(dst, h.KeyID[:]...)
	dst = append(dst, h.Salt[:]...)
	return binary.BigEndian.AppendUint64(dst, h.Number)
}

// ParseHeader reads the header that data begins with, of an object of this
// kind. Corrupt: it is none, or of a version that is not known.
func ParseHeader(kind Kind, data []byte) (Header, error) {
	if len(data) < HeaderBytes || Kind(data[:8]) != kind {
		return Header{}, stowage.Errorf(stowage.Corrupt, "the object is no %s", kind)
	}
	if data[8] != Version {
		return Header{}, stowage.Errorf(stowage.Corrupt, "version %d of the format is not known", data[8])
	}
	if data[11] != 0 {
		return Header{}, stowage.Errorf(stowage.Corrupt, "the object's header is damaged")
	}
	h := Header{
		Kind: kind,
		Format: Format{
			Cipher: Cipher(data[9]), Hash: chunk.Algorithm(data[10]),
			ChunkBytes: int(binary.BigEndian.Uint32(data[12:])), KeyID: KeyID(data[16:32]),
		},
		Salt: Salt(data[32:56]), Number: binary.BigEndian.Uint64(data[56:]),
	}
	return h, h.Check()
}

// Boxes seals and opens the boxes of one object. It may be used by many
// goroutines at once.
type Boxes struct {
	header [HeaderBytes]byte
	aead   cipher.AEAD // nil: open boxes
}

// New gives the boxes of the object with this header. secret is the project's
// key; without a cipher it is not looked at.
func New(h Header, secret *Secret) (*Boxes, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	b := &Boxes{}
	copy(b.header[:], h.Append(nil))
	if h.Cipher == None {
		return b, nil
	}
	if secret == nil {
		return nil, stowage.Errorf(stowage.Invalid, "the object is sealed, and there is no key")
	}
	key, err := hkdf.Key(sha256.New, secret[:], h.Salt[:], "stowage object key"+string(b.header[:]), 32)
	if err != nil {
		return nil, fmt.Errorf("derive the object's key: %w", err)
	}
	if b.aead, err = gcm(key); err != nil {
		return nil, err
	}
	return b, nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return aead, nil
}

// Overhead is how much longer a box is than what is in it.
func (b *Boxes) Overhead() int {
	if b.aead == nil {
		return 0
	}
	return b.aead.Overhead()
}

// Seal appends the box of plain to dst. No number may be used twice in an
// object for different bytes.
func (b *Boxes) Seal(dst, plain []byte, number uint64) []byte {
	if b.aead == nil {
		return append(dst, plain...)
	}
	nonce := nonce(number)
	return b.aead.Seal(dst, nonce[:], plain, b.header[:])
}

// Open gives what is in a box, in box's own room: box is not what it was
// afterwards. Corrupt: it is not a box of this object and number.
func (b *Boxes) Open(box []byte, number uint64) ([]byte, error) {
	if b.aead == nil {
		return box, nil
	}
	nonce := nonce(number)
	plain, err := b.aead.Open(box[:0], nonce[:], box, b.header[:])
	if err != nil {
		return nil, stowage.Errorf(stowage.Corrupt, "a sealed part of the object was changed")
	}
	return plain, nil
}

func nonce(number uint64) (n [12]byte) {
	binary.BigEndian.PutUint64(n[4:], number)
	return n
}
