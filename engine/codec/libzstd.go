//go:build cgo

package codec

import (
	"runtime"

	"github.com/DataDog/zstd"
)

// impl is libzstd. Its contexts are freed when nothing refers to ctx any more,
// which must not be before the C code has returned: hence KeepAlive.
type impl struct{ ctx zstd.Ctx }

func (i *impl) open() error { i.ctx = zstd.NewCtx(); return nil }

func (i *impl) compress(dst, src []byte) ([]byte, error) {
	defer runtime.KeepAlive(i.ctx)
	return i.ctx.CompressLevel(dst[:cap(dst)], src, zstd.BestSpeed)
}

func (i *impl) decompress(dst, src []byte) (int, error) {
	defer runtime.KeepAlive(i.ctx)
	if len(dst) == 0 { // it wants an address, not room: a byte too many is an error
		dst = make([]byte, 1)
	}
	return i.ctx.DecompressInto(dst, src)
}

func (i *impl) close() { i.ctx = nil }
