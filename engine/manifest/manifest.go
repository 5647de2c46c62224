// Package manifest is the format of what says where a backup's chunks are: the
// map, in layers of map objects, and the root that leads to all of it. It also
// has the sets of objects that deleting is arithmetic with. It is pure: bytes
// in, bytes out, and a function that fetches ranges.
//
// doc/design.md tells the bytes. A tenant can write to his container, so all
// that is read here may be made up: every count, length and offset is held
// against its bounds, and against the bytes that are there, before it is used.
// What is wrong has the code Corrupt.
package manifest

import (
	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Bounds of what one backup may have.
const (
	MaxObjectNumber = 1<<31 - 1 // of a pack or map object of an attempt; they begin at 1
	MaxFence        = 1<<63 - 1
	MaxPackBytes    = 128 << 20
	MaxPackChunks   = 1 << 16
	MaxMapBytes     = 64 << 20
	MaxLayers       = 64
	MaxMapObjects   = 1 << 18 // of all layers
	MaxPacks        = 1 << 22
	MaxAttempts     = 1 << 16
	MaxBodyBytes    = 256 << 20 // plain
	MaxInfoBytes    = 1 << 20   // of JSON
	MaxVolumeBytes  = 1 << 50

	pageEntries   = 1024
	maxPagePlain  = 128 << 10
	objectPages   = 4096
	objectBytes   = 16 << 20 // from here on, a map object is finished
	maxIndexPlain = 2 << 20  // 4,096 pages and 65,536 attempts have less
)

// bodyRatio bounds how much more a root's body may become than what is stored
// of it, beyond MaxInfoBytes of JSON: a pack has 16 bytes of MD5 that do not
// compress among some 30, so that a real one stays far below.
const bodyRatio = 16

func corrupt(format string, args ...any) error {
	return stowage.Errorf(stowage.Corrupt, format, args...)
}

// sealBytes is how much longer than its content a box is.
func sealBytes(c seal.Cipher) int {
	if c == seal.None {
		return 0
	}
	return 16
}

// maxStored is how long the box of the frame of plain bytes can get.
func maxStored(plain int) int { return codec.Bound(plain) + 16 }

// unbox opens a box and decompresses what is in it into dst, all of it. What
// the box was is gone afterwards.
func unbox(b *seal.Boxes, c *codec.Codec, dst, box []byte, number uint64) error {
	frame, err := b.Open(box, number)
	if err != nil {
		return err
	}
	if len(frame) == 0 || len(dst) == 0 {
		return corrupt("a part of the object is empty")
	}
	return c.Decompress(dst, frame)
}
