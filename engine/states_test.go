package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// bytesState is a small volume, all its bytes.
type bytesState struct {
	r    *rig
	data []byte
}

func (s *bytesState) loose(stowage.Extent) bool { return s.r.rng.IntN(20) == 0 }

func (s *bytesState) source() drivers.Source {
	return &memSource{data: s.data, holds: s.loose}
}

func (s *bytesState) since(bases map[string]state) drivers.Source {
	c := &changeSource{memSource: &memSource{data: s.data, holds: s.loose}, bases: map[string][]byte{}}
	for id, b := range bases {
		c.bases[id] = b.(*bytesState).data
	}
	if len(s.data) > grain { // told of before it says that the base is gone
		c.lies = []stowage.Extent{{Offset: int64(s.r.rng.IntN(len(s.data) - grain)), Length: grain}}
	}
	return c
}

func (s *bytesState) target() (drivers.Target, func() error) {
	t := &memTarget{t: s.r.t, data: bytes.Repeat([]byte{0xaa}, len(s.data))}
	return t, func() error {
		if !bytes.Equal(t.data, s.data) {
			return fmt.Errorf("from byte %d on", differAt(t.data, s.data))
		}
		return nil
	}
}

// next is the volume after a write, a discard or more room.
func (s *bytesState) next() *bytesState {
	n := &bytesState{r: s.r, data: bytes.Clone(s.data)}
	at := s.r.rng.IntN(len(n.data))
	part := n.data[at:min(len(n.data), at+1+s.r.rng.IntN(300*kib))]
	switch s.r.rng.IntN(8) {
	case 0:
		if len(n.data) < 4*mib {
			n.data = append(n.data, make([]byte, 1+s.r.rng.IntN(200*kib))...)
		}
	case 1:
		if len(n.data) < 4*mib {
			n.data = append(n.data, s.r.mixed(1+s.r.rng.IntN(200*kib))...)
		}
	case 2, 3:
		clear(part)
	case 4:
		part[0]++
	default:
		copy(part, s.r.mixed(len(part)))
	}
	return n
}

// stampedState is a large volume of which each chunk begins with a number, and
// is zeros after it; without a number it is a hole.
type stampedState struct {
	r      *rig
	stamps []uint32
	bytes  int64
}

// write gives so many chunks in a row another number, and takes some away.
func (s *stampedState) write(n int) *stampedState {
	next := &stampedState{r: s.r, stamps: append([]uint32(nil), s.stamps...), bytes: s.bytes}
	from := s.r.rng.IntN(len(s.stamps) - n + 1)
	for i := range next.stamps[from : from+n] {
		next.stamps[from+i] = s.r.rng.Uint32() | 0x80000000
		if s.r.rng.IntN(20) == 0 {
			next.stamps[from+i] = 0
		}
	}
	return next
}

func (s *stampedState) source() drivers.Source { return stampedSource{s} }

func (s *stampedState) since(bases map[string]state) drivers.Source {
	return stampedChanges{stampedSource{s}, bases}
}

func (s *stampedState) target() (drivers.Target, func() error) {
	t := &stampedTarget{of: s, got: make([]uint32, len(s.stamps))}
	return t, t.differs
}

// chunk gives the place of a chunk in the volume.
func (s *stampedState) chunk(i int) stowage.Extent {
	at := int64(i) * unitBytes
	return stowage.Extent{Offset: at, Length: min(unitBytes, s.bytes-at)}
}

type stampedSource struct{ *stampedState }

func (s stampedSource) Size() int64  { return s.bytes }
func (s stampedSource) Close() error { return nil }

func (s stampedSource) ReadAt(p []byte, offset int64) (int, error) {
	if offset%unitBytes != 0 || offset+int64(len(p)) > s.bytes {
		return 0, io.ErrUnexpectedEOF
	}
	clear(p)
	for at := 0; at < len(p); at += unitBytes {
		binary.BigEndian.PutUint32(p[at:], s.stamps[(offset+int64(at))/unitBytes])
	}
	return len(p), nil
}

func (s stampedSource) Allocated(_ context.Context, _, _ int64, fn func(stowage.Extent) error) error {
	return s.each(func(i int) bool { return s.stamps[i] != 0 }, fn)
}

func (s stampedSource) each(wanted func(int) bool, fn func(stowage.Extent) error) error {
	for i := range s.stamps {
		if wanted(i) {
			if err := fn(s.chunk(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

type stampedChanges struct {
	stampedSource
	bases map[string]state
}

func (s stampedChanges) Changed(_ context.Context, base stowage.Snapshot, _, _ int64, fn func(stowage.Extent) error) error {
	old, ok := s.bases[base.ID].(*stampedState)
	if !ok {
		return stowage.Errorf(stowage.NotFound, "there is no snapshot %s", base.ID)
	}
	return s.each(func(i int) bool { return s.stamps[i] != old.stamps[i] || i%97 == 0 }, fn)
}

// stampedTarget remembers the numbers of what is written.
type stampedTarget struct {
	of  *stampedState
	mu  sync.Mutex
	got []uint32
}

func (t *stampedTarget) Size() int64                         { return t.of.bytes }
func (t *stampedTarget) Close() error                        { return nil }
func (t *stampedTarget) Flush() error                        { return nil }
func (t *stampedTarget) WriteZeroes(_, _ int64) error        { return nil }
func (t *stampedTarget) Empty(context.Context) (bool, error) { return true, nil }

func (t *stampedTarget) WriteAt(p []byte, offset int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.got[offset/unitBytes] = binary.BigEndian.Uint32(p)
	return len(p), nil
}

func (t *stampedTarget) differs() error {
	for i, stamp := range t.of.stamps {
		if t.got[i] != stamp {
			return fmt.Errorf("from chunk %d on", i)
		}
	}
	return nil
}
