package manifest

import (
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Entry says where a chunk of the volume is. With codec.Zeros nothing but the
// number of the chunk is set.
type Entry struct {
	Chunk  uint64
	Codec  byte
	Pack   Place
	Offset int64 // in the pack
	Stored int   // bytes, the seal included
	Hash   chunk.Hash
}

// check holds an entry against the bounds of the format.
func (e *Entry) check(f *seal.Format) error {
	if e.Chunk >= chunk.MaxNumber {
		return corrupt("there cannot be a chunk %d", e.Chunk)
	}
	over := sealBytes(f.Cipher)
	switch e.Codec {
	case codec.Zeros:
		if *e != (Entry{Chunk: e.Chunk}) {
			return corrupt("chunk %d is zeros, and somewhere", e.Chunk)
		}
		return nil
	case codec.Raw, codec.Zstd:
	default:
		return corrupt("the codec %d of chunk %d is not known", e.Codec, e.Chunk)
	}
	switch {
	case e.Pack.Number < 1 || e.Pack.Number > MaxObjectNumber || e.Pack.Fence > MaxFence:
		return corrupt("there cannot be a pack %d of an attempt %d", e.Pack.Number, e.Pack.Fence)
	case e.Stored <= over || e.Stored > f.ChunkBytes+over || e.Codec == codec.Zstd && e.Stored == f.ChunkBytes+over:
		return corrupt("chunk %d has %d bytes stored", e.Chunk, e.Stored)
	case e.Offset < seal.HeaderBytes || e.Offset > MaxPackBytes-int64(e.Stored):
		return corrupt("chunk %d is at %d of a pack", e.Chunk, e.Offset)
	}
	return nil
}

// Object is a map object as a root lists it.
type Object struct {
	Place
	Bytes       int64
	Entries     uint64
	First, Last uint64 // its first and its last chunk
	MD5         [16]byte
	Index       chunk.Hash // of its index box as stored
}

// minMapBytes is what the shortest map object has: a page and an index of a byte.
const minMapBytes = seal.HeaderBytes + 1 + 1 + seal.TrailerBytes

// check holds what is said of a map object against the bounds of the format,
// for a volume of so many chunks.
func (o *Object) check(chunks uint64) error {
	switch {
	case o.Number < 1 || o.Number > MaxObjectNumber:
		return corrupt("there cannot be a map object %d", o.Number)
	case o.Bytes < minMapBytes || o.Bytes > MaxMapBytes:
		return corrupt("map object %d has %d bytes", o.Number, o.Bytes)
	case o.Entries < 1 || o.Entries > objectPages*pageEntries:
		return corrupt("map object %d has %d entries", o.Number, o.Entries)
	case o.First > o.Last || o.Last >= chunks || o.Last-o.First < o.Entries-1:
		return corrupt("map object %d has %d entries from %d to %d of %d chunks", o.Number, o.Entries, o.First, o.Last, chunks)
	}
	return nil
}

// Layer is map objects in ascending order of chunks, which do not overlap.
type Layer []Object

// Entries is how many entries a layer has.
func (l Layer) Entries() (n uint64) {
	for i := range l {
		n += l[i].Entries
	}
	return n
}
