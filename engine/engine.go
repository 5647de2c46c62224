// Package engine moves bytes between volumes and objects. It knows no project,
// user, SQL or queue, and of keys only those it is handed.
//
// A backup walks the chunks that may have changed, and writes the root last:
//
//	plan -> ReadAt -> zero? -> hash -> parent's? -> compress -> seal -> pack -> Put
//	                                                     entry -> layer -> Put
//	                                                                       root -> Put
//
// and a restore walks back, in the order of the packs:
//
//	root -> Stat every object -> layers -> Get -> open -> decompress -> hash -> WriteAt
//
// The formats are in engine/pack and engine/manifest, and doc/design.md.
//
// Memory is a sum that does not grow with volumes or backups. Everything large
// lies outside the Go heap and comes out of two budgets that all jobs of a
// process share: buffers for what is read, and buffers for packs. A worker first
// gets the one, then the other, and gives back the first without waiting for
// more of it. Nobody waits for room for packs while his job holds a pack that
// could be uploaded, and a job that waits for a buffer gives its pack up as soon
// as somebody waits for room; so jobs cannot wait for one another in a circle.
// The packs of one job get smaller when more jobs run.
//
// Backups that Cinder's own service made are restored and verified, too (package
// cinderbackup). Their objects can only be checked whole, so one is decompressed
// into room for packs and held against its MD5 before any of it is written. What
// their lists take is the one thing that lies on the heap; maxChain bounds it for
// the process.
//
// A Reader gives any part of a backup without restoring it: a chunk is fetched
// when it is asked for, checked, and kept for a while within the reader's bound.
//
// What may run beside what, for one backup; a Reader counts as a restore:
//
//	          Backup   Restore  Verify  Delete
//	Backup    never    never    never   never
//	Restore   never    yes      yes     never
//	Verify    never    yes      yes     yes
//	Delete    never    never    yes     yes
//
// Backups of one volume may run beside one another and beside deletes of any
// other; which objects a delete may take is decided by its caller, who knows
// what other roots reach.
package engine

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/stowage/stowage/engine/chunk"
)

// Options are the engine's knobs. The zero value takes the defaults.
type Options struct {
	Hash       chunk.Algorithm // of new lineages; 0: BLAKE3
	ChunkBytes int             // of new lineages; 0: 256 KiB
	PackBytes  int             // aimed at; 0: 64 MiB

	Readers    int   // reads of a volume in flight, a job; 0: 8
	Fetches    int   // reads of objects in flight, a job; 0: 16
	CPUs       int   // chunks worked on at once, all jobs; 0: GOMAXPROCS
	JobCPUs    int   // chunks worked on at once, a job; 0: CPUs
	PackBudget int64 // bytes of packs being filled or uploaded, all jobs; 0: 128 MiB
	ReadBudget int64 // bytes of reads in flight, all jobs; 0: 64 MiB

	// BytesPerSecond bounds what all jobs together send to and get from stores,
	// JobBytesPerSecond what one does. 0: no bound.
	BytesPerSecond, JobBytesPerSecond int64
}

// readBytes is how much of a volume, or of a pack, is read at a time: one
// object of RBD.
const readBytes = 4 << 20

// readSlack is room for the seal of a chunk that fills a buffer.
const readSlack = 4096

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if o.Hash == 0 {
		o.Hash = chunk.BLAKE3
	}
	set(&o.ChunkBytes, chunk.DefaultBytes)
	set(&o.PackBytes, 64<<20)
	set(&o.Readers, 8)
	set(&o.Fetches, 16)
	set(&o.CPUs, runtime.GOMAXPROCS(0))
	set(&o.JobCPUs, o.CPUs)
	if o.PackBudget == 0 {
		o.PackBudget = 128 << 20
	}
	if o.ReadBudget == 0 {
		o.ReadBudget = 64 << 20
	}
	o.ReadBudget = max(o.ReadBudget, readBytes)
	o.PackBudget = max(o.PackBudget, smallestPack)
	return o
}

// Engine does the work of one process, within one set of limits.
type Engine struct {
	opts   Options
	cpu    *semaphore.Weighted
	reads  *buffers
	packs  *semaphore.Weighted
	crowd  crowd
	rooms  *buffers // of packs
	chains *semaphore.Weighted
	jobs   atomic.Int64  // backups that run
	rate   *rate.Limiter // nil: no bound
	codecs codecs
}

// New makes an engine.
func New(o Options) *Engine {
	o = o.withDefaults()
	return &Engine{
		opts:   o,
		cpu:    semaphore.NewWeighted(int64(o.CPUs)),
		reads:  newBuffers(readBytes+readSlack, int(o.ReadBudget/readBytes), int(o.ReadBudget/readBytes)),
		packs:  semaphore.NewWeighted(o.PackBudget),
		crowd:  crowd{all: map[*packer]bool{}},
		rooms:  newBuffers(o.PackBytes+packSlack, 0, 0), // new ones have only what is written to them
		rate:   limiter(o.BytesPerSecond),
		chains: semaphore.NewWeighted(maxChain),
	}
}

// Progress tells how far a job is. It is read by others while the job runs.
type Progress struct{ done, all, stored atomic.Int64 }

// Get gives bytes done and bytes in all. For a backup they are bytes of chunks
// that must be looked at, for a restore or a deep verification bytes of the
// volume, for a delete or a quick verification objects.
func (p *Progress) Get() (done, all int64) { return p.done.Load(), p.all.Load() }

// Stored is how many bytes a backup has stored so far.
func (p *Progress) Stored() int64 { return p.stored.Load() }

// Percent is done of all, at most 99: only a job's end makes it 100.
func (p *Progress) Percent() int {
	done, all := p.Get()
	if all <= 0 {
		return 0
	}
	return int(min(done*100/all, 99))
}
