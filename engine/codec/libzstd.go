//go:build cgo

package codec

import "github.com/DataDog/zstd"

// impl is libzstd.
type impl struct{ ctx zstd.Ctx }

func (i *impl) open() error { i.ctx = zstd.NewCtx(); return nil }

func (i *impl) compress(dst, src []byte) ([]byte, error) {
	return i.ctx.CompressLevel(dst[:cap(dst)], src, zstd.BestSpeed)
}

func (i *impl) decompress(dst, src []byte) (int, error) { return i.ctx.DecompressInto(dst, src) }

func (i *impl) close() {}
