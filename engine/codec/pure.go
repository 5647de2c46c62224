//go:build !cgo

package codec

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// impl is klauspost's zstd.
type impl struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func (i *impl) open() (err error) {
	i.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true)) // a frame even for nothing, as libzstd makes one
	if err != nil {
		return fmt.Errorf("make a zstd encoder: %w", err)
	}
	// What is decoded whole never gets longer than the room it is given.
	i.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return fmt.Errorf("make a zstd decoder: %w", err)
	}
	return nil
}

func (i *impl) compress(dst, src []byte) ([]byte, error) { return i.enc.EncodeAll(src, dst), nil }

func (i *impl) decompress(dst, src []byte) (int, error) {
	out, err := i.dec.DecodeAll(src, dst[:0:len(dst)])
	return len(out), err
}

func (i *impl) close() { i.dec.Close() }
