package pack

import (
	"encoding/binary"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// TrailerBytes is how long a pack's trailer is.
const TrailerBytes = seal.TrailerBytes

// Trailer is what a pack ends with.
type Trailer = seal.Trailer

// ParseTrailer reads the last TrailerBytes of a pack that has objectBytes in
// all. What it gives is small enough to be read and parsed, whoever wrote it.
// Corrupt: it is no pack's trailer.
func ParseTrailer(tail []byte, objectBytes int64) (Trailer, error) {
	if objectBytes > MaxBytes {
		return Trailer{}, stowage.Errorf(stowage.Corrupt, "a pack of %d bytes", objectBytes)
	}
	t, err := seal.ParseTrailer(seal.Pack, tail, objectBytes)
	if err != nil {
		return Trailer{}, err
	}
	return t, checkTrailer(t, 0)
}

// checkTrailer holds the numbers of a trailer against one another. A chunk's
// box has one byte more than the seal, at least.
func checkTrailer(t Trailer, overhead int) error {
	if t.Count < 1 || t.Count > MaxChunks || t.IndexPlain != t.Count*entryBytes {
		return stowage.Errorf(stowage.Corrupt, "a pack of %d chunks with %d bytes of index", t.Count, t.IndexPlain)
	}
	if room := t.IndexOffset - seal.HeaderBytes; room > MaxBytes || room < int64(t.Count)*int64(1+overhead) {
		return stowage.Errorf(stowage.Corrupt, "a pack of %d chunks in %d bytes", t.Count, room)
	}
	return nil
}

// ParseIndex opens and reads the index box that t tells of, in a pack of chunks
// of at most chunkBytes. The box is overwritten. Corrupt: it is not the index
// of such a pack.
func ParseIndex(t Trailer, boxes *seal.Boxes, indexBox []byte, chunkBytes int, c *codec.Codec) ([]Entry, error) {
	if err := checkTrailer(t, boxes.Overhead()); err != nil {
		return nil, err
	}
	if len(indexBox) != t.IndexStored {
		return nil, stowage.Errorf(stowage.Corrupt, "%d bytes of index instead of %d", len(indexBox), t.IndexStored)
	}
	frame, err := boxes.Open(indexBox, seal.IndexBox)
	if err != nil {
		return nil, err
	}
	index := make([]byte, t.IndexPlain)
	if err := c.Decompress(index, frame); err != nil {
		return nil, err
	}
	entries := make([]Entry, t.Count)
	numbers := make([]uint64, t.Count)
	at := int64(seal.HeaderBytes)
	for i := range entries {
		raw := index[i*entryBytes:][:entryBytes]
		e := Entry{
			Number: binary.BigEndian.Uint64(raw),
			Codec:  raw[8],
			Offset: at,
			// Too large for an int, they are negative, or out of bounds.
			Stored: int(binary.BigEndian.Uint32(raw[9:])),
			Length: int(binary.BigEndian.Uint32(raw[13:])),
			Hash:   chunk.Hash(raw[21:]),
		}
		if err := e.check(chunkBytes, boxes.Overhead()); err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint32(raw[17:]) != 0 {
			return nil, stowage.Errorf(stowage.Corrupt, "the entry of chunk %d is damaged", e.Number)
		}
		at += int64(e.Stored) // at most MaxChunks times chunk.MaxBytes
		entries[i], numbers[i] = e, e.Number
	}
	if at != t.IndexOffset {
		return nil, stowage.Errorf(stowage.Corrupt, "the chunks of a pack end at %d, and its index begins at %d", at, t.IndexOffset)
	}
	slices.Sort(numbers)
	if len(slices.Compact(numbers)) != len(entries) {
		return nil, stowage.Errorf(stowage.Corrupt, "a chunk is in a pack twice")
	}
	return entries, nil
}

// Plain opens the box of a chunk, decompresses it and checks its hash. The bytes
// it gives are in dst's room or in box's; the box is overwritten. dst has
// capacity for the longest chunk there may be: what claims to decompress to
// more than that is refused. Corrupt: it is not what was stored.
func Plain(c *codec.Codec, boxes *seal.Boxes, alg chunk.Algorithm, e Entry, box, dst []byte) ([]byte, error) {
	longest := chunk.MaxBytes
	if e.Codec == codec.Zstd {
		longest = min(longest, cap(dst))
	}
	if err := e.check(longest, boxes.Overhead()); err != nil {
		return nil, err
	}
	if len(box) != e.Stored {
		return nil, stowage.Errorf(stowage.Corrupt, "%d bytes of chunk %d instead of %d", len(box), e.Number, e.Stored)
	}
	plain, err := boxes.Open(box, e.Number)
	if err != nil {
		return nil, err
	}
	if e.Codec == codec.Zstd {
		if err := c.Decompress(dst[:e.Length], plain); err != nil {
			return nil, err
		}
		plain = dst[:e.Length]
	}
	if alg.Sum(plain) != e.Hash {
		return nil, stowage.Errorf(stowage.Corrupt, "chunk %d does not have the hash it was stored under", e.Number)
	}
	return plain, nil
}
