package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/time/rate"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
)

const (
	// hashBuffer is how much of a _sha256file is read at a time: hashes of 1 GiB,
	// with the usual blocks, take some two MiB there.
	hashBuffer = 256 << 10
	// leastBlock is the shortest block whose hashes are looked at: of shorter ones
	// there would be too many.
	leastBlock = 4 << 10
)

// blockSums are the hashes of a volume's blocks, of which cinder-backup writes all
// with every backup, also with an increment. What a chain gives is held against
// them: an MD5 says that an object is whole, and this that it is the right one.
type blockSums struct {
	next func() (int64, [32]byte, bool)
	stop func()
	err  error // why there are no more

	block int64
	first int64 // the block that sums begins with
	sums  [][32]byte
}

var errEnough = errors.New("no more hashes are asked for")

func (e *Engine) newBlockSums(ctx context.Context, store drivers.Store, p cinderbackup.Prefix) *blockSums {
	b := &blockSums{}
	object := &reading{ctx: ctx, store: store, name: p.Hashes(), buf: make([]byte, hashBuffer), limits: []*rate.Limiter{e.rate}}
	b.next, b.stop = iter.Pull2(func(yield func(int64, [32]byte) bool) {
		b.err = cinderbackup.ReadHashes(object, p, func(block int64, sum [32]byte) error {
			if block < leastBlock || !yield(block, sum) {
				return errEnough
			}
			return nil
		})
	})
	return b
}

// of gives the hashes of the blocks that an object lies in, as far as there are
// any. Objects come in the order of their offsets. A list that is missing, or is
// none, is not missed: no restore needs it.
func (b *blockSums) of(p cinderbackup.Part) (s sums, err error) {
	for b.err == nil && (b.block == 0 || (b.first+int64(len(b.sums)))*b.block < p.End()) {
		block, sum, ok := b.next()
		if !ok {
			break
		}
		b.block = block
		b.sums = append(b.sums, sum)
		b.forget(p.Offset)
	}
	if _, bad := DamageOf(b.err); b.err != nil && !bad && !errors.Is(b.err, errEnough) {
		return s, b.err
	}
	if b.block == 0 {
		return s, nil
	}
	b.forget(p.Offset)
	return sums{b.block, b.first, append([][32]byte(nil), b.sums...)}, nil
}

// forget forgets the hashes of what lies before an offset.
func (b *blockSums) forget(offset int64) {
	if n := min(offset/b.block-b.first, int64(len(b.sums))); n > 0 {
		b.sums, b.first = b.sums[n:], b.first+n
	}
}

// sums are the hashes of some blocks.
type sums struct {
	block, first int64
	list         [][32]byte
}

// differs gives the offset of the first block in a run that is not what the hash
// says; data begins with the run. Blocks that are not whole are passed over, but
// for the last one of the volume.
func (s sums) differs(r stowage.Extent, data []byte, volume int64) (at int64, differs bool) {
	if s.block == 0 {
		return 0, false
	}
	for at := (r.Offset + s.block - 1) / s.block * s.block; at < r.End(); at += s.block {
		end := min(at+s.block, volume)
		i := at/s.block - s.first
		if end > r.End() || i < 0 || i >= int64(len(s.list)) {
			continue
		}
		if sha256.Sum256(data[at-r.Offset:end-r.Offset]) != s.list[i] {
			return at, true
		}
	}
	return 0, false
}

// wrong says that an object is whole, and not the one the backup needs.
func wrong(at int64) string {
	return fmt.Sprintf("it is whole, and what it has of the volume at %d is not what was backed up", at)
}
