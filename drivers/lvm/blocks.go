package lvm

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/stowage/stowage"
)

// blockSet is a set of a thin volume's blocks, as a pool counts them. A bit
// each: 32 MiB for 16 TiB in blocks of 64 KiB.
type blockSet struct {
	blockBytes int64
	bits       []uint64
	size       int64 // of the volume, for messages
}

// maxSectors bounds the size of a block; lvm2 makes none above 1 GiB.
const maxSectors = 1 << 22

// newBlockSet makes an empty set for a volume; how large a block is, the tools
// tell in sectors.
func newBlockSet(size, sectors int64) (*blockSet, error) {
	if sectors < 1 || sectors > maxSectors {
		return nil, fmt.Errorf("blocks of %d sectors", sectors)
	}
	blocks := (size + sectors*512 - 1) / (sectors * 512)
	return &blockSet{blockBytes: sectors * 512, bits: make([]uint64, (blocks+63)/64), size: size}, nil
}

// add puts n blocks from b on into the set.
func (s *blockSet) add(b, n int64) error {
	if b < 0 || n < 1 || b > int64(len(s.bits))*64-n {
		return fmt.Errorf("not within %d bytes", s.size)
	}
	for ; n > 0; b, n = b+1, n-1 {
		s.bits[b/64] |= 1 << (b % 64)
	}
	return nil
}

// walk calls fn for what the runs of blocks in the set have of the range.
func (s *blockSet) walk(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	if length == 0 {
		return nil
	}
	end := offset + length
	last := (end + s.blockBytes - 1) / s.blockBytes
	for b := s.next(offset/s.blockBytes, true); b < last; b = s.next(b, true) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list extents: %w", err)
		}
		to := s.next(b, false)
		start, stop := max(offset, b*s.blockBytes), min(end, to*s.blockBytes)
		if err := fn(stowage.Extent{Offset: start, Length: stop - start}); err != nil {
			return err
		}
		b = to
	}
	return nil
}

// next gives the first block at or behind b that is in the set, or is not; the
// number of bits if there is none.
func (s *blockSet) next(b int64, in bool) int64 {
	for i := b / 64; i < int64(len(s.bits)); i++ {
		word := s.bits[i]
		if !in {
			word = ^word
		}
		if i == b/64 {
			word &= ^uint64(0) << (b % 64)
		}
		if word != 0 {
			return i*64 + int64(bits.TrailingZeros64(word))
		}
	}
	return int64(len(s.bits)) * 64
}

// attribute reads a number of a tag, not negative.
func attribute(line []byte, key string) (int64, error) {
	_, rest, ok := bytes.Cut(line, []byte(" "+key+`="`))
	text, _, closed := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || !closed || err != nil || n < 0 {
		return 0, fmt.Errorf("no number %s", key)
	}
	return n, nil
}
