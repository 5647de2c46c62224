package codec

import (
	"encoding/binary"
	"fmt"
)

// What RFC 8878 says of a frame.
const (
	frameMagic   = 0xFD2FB528
	maxBlock     = 128 << 10 // bytes a block stands for
	blockRLE     = 1
	blockUnknown = 3
)

// contentBytes is how many bytes tell the content's length, by the two top
// bits of the descriptor.
var contentBytes = [4]int{0, 2, 4, 8}

// oneFrame holds src against what a decoder may be given at all: one frame of
// today's format from the first byte to the last, with no dictionary, of n
// bytes if it says how many. It looks at the frame's and its blocks' headers
// only.
//
// The decoders themselves take more than that: several frames in a row, frames
// to be skipped, and, with libzstd, the formats from before there was one,
// whose code nobody tends any more. None of it is for a tenant to reach.
func oneFrame(src []byte, n int) error {
	if len(src) < 5 || binary.LittleEndian.Uint32(src) != frameMagic {
		return fmt.Errorf("it does not begin as a frame")
	}
	descriptor := src[4]
	src = src[5:]
	if descriptor&0x0b != 0 { // a reserved bit, or a dictionary
		return fmt.Errorf("a frame of a kind that is not written, %#02x", descriptor)
	}
	content, single := contentBytes[descriptor>>6], descriptor&0x20 != 0
	switch {
	case !single:
		content++ // the window's byte is before it
	case content == 0:
		content = 1
	}
	if len(src) < content {
		return fmt.Errorf("it ends in the frame's header")
	}
	size := src[:content]
	if !single {
		size = size[1:]
	}
	if len(size) > 0 && contentSize(size) != uint64(n) {
		return fmt.Errorf("a frame of %d bytes", contentSize(size))
	}
	src = src[content:]
	for last := false; !last; {
		if len(src) < 3 {
			return fmt.Errorf("it ends before its last block")
		}
		head := int(src[0]) | int(src[1])<<8 | int(src[2])<<16
		kind, length := head>>1&3, head>>3
		if kind == blockUnknown || length > maxBlock {
			return fmt.Errorf("a block of kind %d and %d bytes", kind, length)
		}
		if kind == blockRLE {
			length = 1
		}
		if src = src[3:]; len(src) < length {
			return fmt.Errorf("it ends within a block")
		}
		src, last = src[length:], head&1 != 0
	}
	if sum := int(descriptor & 4); len(src) != sum { // a checksum has 4 bytes, if there is one
		return fmt.Errorf("%d bytes after the last block", len(src))
	}
	return nil
}

// contentSize reads the content's length, of 1, 2, 4 or 8 bytes.
func contentSize(p []byte) uint64 {
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	}
	return binary.LittleEndian.Uint64(p)
}
