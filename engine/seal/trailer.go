package seal

import (
	"encoding/binary"

	"github.com/stowage/stowage"
)

// TrailerBytes is how long the trailer of a pack or a map object is.
const TrailerBytes = 32

// MaxIndexPlain bounds what an index may become when it is decompressed.
const MaxIndexPlain = 64 << 20

// Trailer is what a pack or a map object ends with: where its index is.
//
//	u64  offset of the index box
//	u32  its stored length
//	u32  plain length of the index
//	u32  number of chunks or pages
//	4    zeros
//	8    the ending word
//
// It is in no box, so it is only as true as what is found where it points to:
// the index must open, and say as many as Count.
type Trailer struct {
	IndexOffset int64
	IndexStored int // of the box, the seal included
	IndexPlain  int // of the index, decompressed
	Count       int // of chunks in a pack, of pages in a map object
}

// ending is the word that objects of a kind end with; "": they have no trailer.
func (k Kind) ending() string {
	switch k {
	case Pack:
		return "STOWPEND"
	case Map:
		return "STOWMEND"
	}
	return ""
}

// Append appends the trailer's bytes, of a pack or a map object.
func (t Trailer) Append(dst []byte, k Kind) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.IndexOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.IndexStored))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.IndexPlain))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.Count))
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, k.ending()...)
}

// ParseTrailer reads the last TrailerBytes of an object of this kind that has
// objectBytes in all. What it gives lies within the object: the index box
// fills the room between its offset and the trailer exactly. How many chunks
// or pages there may be is for the caller to say. Corrupt: it is no trailer.
func ParseTrailer(k Kind, tail []byte, objectBytes int64) (Trailer, error) {
	if len(tail) != TrailerBytes || string(tail[24:]) != k.ending() {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "the object does not end as a %s", k)
	}
	if binary.BigEndian.Uint32(tail[20:]) != 0 {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "the object's trailer is damaged")
	}
	// What does not fit 63 bits is negative here, and so out of bounds.
	offset := int64(binary.BigEndian.Uint64(tail))
	stored := int64(binary.BigEndian.Uint32(tail[8:]))
	plain := int64(binary.BigEndian.Uint32(tail[12:]))
	count := int64(binary.BigEndian.Uint32(tail[16:]))
	if room := objectBytes - TrailerBytes; offset < HeaderBytes || offset > room || stored != room-offset {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "%d bytes of index at %d of an object of %d", stored, offset, objectBytes)
	}
	// No encoder makes more than that longer, and no seal.
	if longest := plain + plain/256 + 2048; stored < 1 || stored > longest || plain < 1 || plain > MaxIndexPlain {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "%d bytes of index from %d stored ones", plain, stored)
	}
	// An entry of any index has a byte at least.
	if count < 1 || count > plain {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "%d entries in %d bytes of index", count, plain)
	}
	return Trailer{IndexOffset: offset, IndexStored: int(stored), IndexPlain: int(plain), Count: int(count)}, nil
}
