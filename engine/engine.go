// Package engine moves bytes between volumes and objects. It knows no project,
// user, token, SQL or queue.
//
// A backup walks the snapshot region by region:
//
//	Allocated -> ReadAt -> zero? -> hash -> compress -> pack -> Put -> manifest
//
// and a restore walks back:
//
//	manifest -> Stat every pack -> Get -> check -> decompress -> check -> WriteAt
//
// The formats are in engine/pack and engine/manifest. Every region is packed by
// one worker in buffers that are made once and used again, so memory is
// workers x (region + chunk) and does not grow with the volume:
// 3 x (32 MiB + 4 MiB + zstd's state) with the defaults.
//
// What may run beside what, for one backup:
//
//	          Backup   Restore  Delete
//	Backup    never    never    never
//	Restore   never    yes      never
//	Delete    never    never    yes
//
// Backups of different names touch nothing in common. The caller keeps to the
// table with the states of the rows.
package engine

import (
	"context"
	"sync/atomic"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/manifest"
)

// Options are the engine's knobs. The zero value takes the defaults.
type Options struct {
	Workers    int  // regions worked on at once; 0: 3
	PackBytes  int  // length of a region; 0: 32 MiB; volumes over 8 TiB take more, up to 128 MiB for 32 TiB
	ChunkBytes int  // 0: 4 MiB
	NoCompress bool // store chunks as they are
}

func (o Options) withDefaults(volumeBytes int64) Options {
	if o.Workers == 0 {
		o.Workers = 3
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 4 << 20
	}
	if o.PackBytes == 0 {
		o.PackBytes = 32 << 20
	}
	o.PackBytes = max(o.PackBytes/o.ChunkBytes, 1) * o.ChunkBytes
	for volumeBytes/int64(o.PackBytes) >= manifest.MaxPacks && o.PackBytes+o.ChunkBytes <= maxRegion {
		o.PackBytes += o.ChunkBytes
	}
	return o
}

// Progress tells how far a job is. It is read by others while the job runs.
type Progress struct{ done, all atomic.Int64 }

// Get gives bytes done and bytes in all. For a backup they are bytes of
// allocated extents, for a restore bytes of the volume.
func (p *Progress) Get() (done, all int64) { return p.done.Load(), p.all.Load() }

// Percent is done of all, at most 99: only a job's end makes it 100.
func (p *Progress) Percent() int {
	done, all := p.Get()
	if all <= 0 {
		return 0
	}
	return int(min(done*100/all, 99))
}

// Engine does the work with one set of options.
type Engine struct{ opts Options }

// New makes an engine.
func New(o Options) *Engine { return &Engine{opts: o} }

// maxRegion leaves room for what a pack has besides its chunks.
const maxRegion = 128 << 20

// zeroRun is the grain at which zeros within a chunk become holes on restore.
const zeroRun = 64 << 10

var zeros = make([]byte, zeroRun)

// allocated sums the bytes a source says may hold data.
func allocated(ctx context.Context, src drivers.Source) (int64, error) {
	var sum int64
	err := src.Allocated(ctx, 0, src.Size(), func(e stowage.Extent) error {
		sum += e.Length
		return nil
	})
	return sum, err
}
