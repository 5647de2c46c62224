// Package pack is the format of the objects chunks travel in. It is pure: bytes
// in, bytes out. doc/design.md tells the bytes:
//
//	header │ boxes of chunks, one after the other │ index box │ trailer
//
// A tenant can write over a pack, and a disk can lose a bit of it. Every count,
// length and offset is held against its bounds before it is used, and what is
// wrong is Corrupt. What each check can promise:
//
//   - A chunk that Plain gives has the hash its entry says. It says nothing of
//     the entry, which is a map's or an index's.
//   - Sealed, a box is this object's and of this number, and nothing in it was
//     changed; and no box of an object opens under a header that is not its own.
//   - Not sealed, the index is held together by the lengths (they must add up
//     to the pack exactly) and by the hashes. Chunk numbers are held by nothing
//     but the object's own digest, nor are salt and number in the header: so
//     the digest is to be looked at first, and the header to be compared with
//     what the name and the root say it is.
package pack

import (
	"encoding/binary"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
)

// Bounds of a pack: its length in bytes, and how many chunks are in it.
const (
	MaxBytes  = 128 << 20
	MaxChunks = 65536
)

// entryBytes is how long an entry of the index is.
const entryBytes = 8 + 1 + 4 + 4 + 4 + 32

// Entry is a chunk in a pack.
type Entry struct {
	Number uint64 // of the chunk, in the volume
	Codec  byte   // codec.Raw or codec.Zstd
	Offset int64  // of its box in the object
	Stored int    // length of its box, the seal included
	Length int    // of the plain bytes
	Hash   chunk.Hash
}

// check holds an entry against what a chunk of at most chunkBytes can be.
func (e Entry) check(chunkBytes, overhead int) error {
	switch inside := e.Stored - overhead; {
	case e.Number >= chunk.MaxNumber:
		return stowage.Errorf(stowage.Corrupt, "chunk number %d is out of bounds", e.Number)
	case e.Length < 1 || e.Length > chunkBytes:
		return stowage.Errorf(stowage.Corrupt, "chunk %d has %d bytes", e.Number, e.Length)
	case e.Codec != codec.Raw && e.Codec != codec.Zstd:
		return stowage.Errorf(stowage.Corrupt, "chunk %d has codec %d", e.Number, e.Codec)
	case e.Codec == codec.Raw && inside != e.Length, inside < 1 || inside > e.Length, e.Codec == codec.Zstd && inside == e.Length:
		return stowage.Errorf(stowage.Corrupt, "chunk %d has %d bytes, stored as %d with codec %d", e.Number, e.Length, e.Stored, e.Codec)
	}
	return nil
}

// appendEntry appends an entry of the index. The offset is not in it: it is the
// sum of what is before.
func appendEntry(dst []byte, e Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.Number)
	dst = append(dst, e.Codec)
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Stored))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.Length))
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, e.Hash[:]...)
}
