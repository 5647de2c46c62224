package cinderbackup

import (
	"compress/bzip2"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/stowage/stowage"
)

// Compression is how a data object is compressed.
type Compression byte

// The compressions there are.
const (
	None Compression = iota
	Zlib
	Bzip2
	Zstd
)

// compressions by the names that stand in _metadata: those of the option, in
// lower case. What cinder-backup calls gzip is a zlib stream, too; and it asks
// no more of "none" than that it is no other.
var compressions = map[string]Compression{
	"none": None, "off": None, "no": None, "zlib": Zlib, "gzip": Zlib, "bz2": Bzip2, "bzip2": Bzip2, "zstd": Zstd,
}

// maxWindow bounds what a zstd frame may ask the reader to remember. What
// cinder-backup makes asks for 2 MiB, and every reader must grant 8.
const maxWindow = 16 << 20

// Decompress fills dst with what an object holds: neither less nor more, and
// whatever it claims. Corrupt: it is not that. An error of r stays what it is.
func Decompress(dst []byte, r io.Reader, c Compression) error {
	from := &source{from: r}
	err := fill(dst, from, c)
	switch {
	case err == nil:
		return nil
	case from.err != nil:
		return from.err
	case stowage.CodeOf(err) == stowage.Corrupt:
		return err
	}
	return stowage.Wrap(stowage.Corrupt, err, "it cannot be decompressed")
}

// source remembers an error of the store, which decompressors may wrap.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func fill(dst []byte, r io.Reader, c Compression) error {
	plain := r
	switch c {
	case None:
	case Zlib:
		z, err := zlib.NewReader(r)
		if err != nil {
			return err
		}
		plain = z
	case Bzip2:
		plain = bzip2.NewReader(r)
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		plain = z
	}
	if n, err := io.ReadFull(plain, dst); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return corrupt("it holds %d bytes instead of %d", n, len(dst))
		}
		return err
	}
	switch n, err := io.ReadFull(plain, make([]byte, 1)); {
	case n > 0:
		return corrupt("it holds more than %d bytes", len(dst))
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
