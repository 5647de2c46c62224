//go:build cgo

package codec

import (
	"bytes"
	"flag"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "write the golden files of this build")

const built = "libzstd"

// pure is what the build without cgo has.
func pure(t testing.TB) (*zstd.Encoder, *zstd.Decoder) {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	return enc, dec
}

func TestEitherBuildReadsTheOthersFrames(t *testing.T) {
	c := open(t)
	enc, dec := pure(t)
	for _, n := range lengths {
		for kind, src := range map[string][]byte{"noise": noise(n), "text": text(n), "zeros": make([]byte, n)} {
			got := make([]byte, n)
			if err := c.Decompress(got, enc.EncodeAll(src, nil)); err != nil || !bytes.Equal(got, src) {
				t.Errorf("libzstd reads %d bytes of %s: %v", n, kind, err)
			}
			frame, err := c.Compress(nil, src)
			if err != nil {
				t.Fatal(err)
			}
			got, err = dec.DecodeAll(frame, make([]byte, 0, n))
			if err != nil || !bytes.Equal(got, src) {
				t.Errorf("pure Go reads %d bytes of %s: %v", n, kind, err)
			}
		}
	}
}

// compare holds what libzstd made of a frame against pure Go, if that takes it.
func compare(t *testing.T, src, got []byte) {
	_, dec := pure(t)
	if want, err := dec.DecodeAll(src, make([]byte, 0, len(got))); err == nil && !bytes.Equal(got, want) {
		t.Fatal("libzstd and pure Go read different things")
	}
}
