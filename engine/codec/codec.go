// Package codec compresses with zstd, level 1 or thereabouts: through libzstd
// where there is cgo, in pure Go where there is not. Either reads what the other
// wrote; the format is the zstd frame (RFC 8878). It is pure.
//
// A Codec belongs to one goroutine at a time.
package codec

import "github.com/stowage/stowage"

// Codecs of chunks, as they stand in packs and maps.
const (
	Zeros byte = 0 // nothing is stored
	Raw   byte = 1
	Zstd  byte = 2
)

// Codec holds the state of one compressor and decompressor.
type Codec struct{ impl }

// New makes a Codec.
func New() (*Codec, error) {
	c := &Codec{}
	if err := c.open(); err != nil {
		return nil, err
	}
	return c, nil
}

// Bound is how long the frame of n bytes can get.
func Bound(n int) int { return n + n>>8 + 1024 }

// Compress gives the frame of src, in dst's room if that has Bound(len(src))
// bytes of capacity.
func (c *Codec) Compress(dst, src []byte) ([]byte, error) { return c.compress(dst[:0], src) }

// Chunk compresses a chunk if that makes it at least 3 % smaller, and says how
// it is to be stored. What it gives is src itself, or in dst's room.
func (c *Codec) Chunk(dst, src []byte) (byte, []byte, error) {
	frame, err := c.compress(dst[:0], src)
	if err != nil {
		return 0, nil, err
	}
	if len(frame)*100 > len(src)*97 {
		return Raw, src, nil
	}
	return Zstd, frame, nil
}

// Decompress fills dst with what the one frame that is src holds: neither less
// nor more than len(dst) bytes, whatever src claims. Corrupt: it is not that.
func (c *Codec) Decompress(dst, src []byte) error {
	var n int
	err := oneFrame(src, len(dst))
	if err == nil {
		n, err = c.decompress(dst, src)
	}
	if err != nil {
		return stowage.Wrap(stowage.Corrupt, err, "%d bytes that are no zstd frame of %d", len(src), len(dst))
	}
	if n != len(dst) {
		return stowage.Errorf(stowage.Corrupt, "a zstd frame holds %d bytes instead of %d", n, len(dst))
	}
	return nil
}

// Close gives up what is held outside the heap.
func (c *Codec) Close() { c.close() }
