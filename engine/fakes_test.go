package engine

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// memStore keeps objects in memory, and takes no name twice.
type memStore struct {
	t        testing.TB
	noETags  bool // as a store that does not keep them
	slow     func(name string)
	inFlight atomic.Int64 // bytes of packs in Put
	most     atomic.Int64 // of those

	mu      sync.Mutex
	objects map[string][]byte
}

func newMemStore(t testing.TB) *memStore { return &memStore{t: t, objects: map[string][]byte{}} }

func (s *memStore) Put(ctx context.Context, name string, data []byte) (string, error) {
	now := s.inFlight.Add(int64(len(data)))
	defer s.inFlight.Add(-int64(len(data)))
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if s.slow != nil {
		s.slow(name)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.objects[name]; twice {
		s.t.Errorf("%s is written twice", name)
	}
	s.objects[name] = bytes.Clone(data)
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:]), nil
}

func (s *memStore) get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.objects[name]
	if !ok {
		return nil, stowage.Errorf(stowage.NotFound, "there is no %s", name)
	}
	return data, nil
}

func (s *memStore) Get(ctx context.Context, name string, buf []byte, offset int64) (int, error) {
	data, err := s.get(ctx, name)
	if err != nil {
		return 0, err
	}
	return copy(buf, data[min(offset, int64(len(data))):]), nil
}

func (s *memStore) Stat(ctx context.Context, name string) (drivers.ObjectInfo, error) {
	data, err := s.get(ctx, name)
	if err != nil {
		return drivers.ObjectInfo{}, err
	}
	info := drivers.ObjectInfo{Name: name, Bytes: int64(len(data))}
	if !s.noETags {
		sum := md5.Sum(data)
		info.ETag = hex.EncodeToString(sum[:])
	}
	return info, nil
}

func (s *memStore) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
	return ctx.Err()
}

func (s *memStore) List(_ context.Context, prefix string, fn func(drivers.ObjectInfo) error) error {
	for _, name := range s.names(prefix) {
		if err := fn(drivers.ObjectInfo{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// names gives the names that contain the text, in order.
func (s *memStore) names(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.objects)), func(name string) bool { return !strings.Contains(name, text) })
}

// set changes an object behind everybody's back; nil removes it. It gives what
// the object was.
func (s *memStore) set(name string, data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.objects[name]
	if data == nil {
		delete(s.objects, name)
	} else {
		s.objects[name] = data
	}
	return old
}

// grain is how finely the fake volume knows what is allocated or changed.
const grain = 4 << 10

// memSource is a snapshot in memory.
type memSource struct {
	data   []byte
	read   atomic.Int64
	failAt int64 // reading from there on fails; 0: nowhere
	holds  func(stowage.Extent) bool
}

func newSource(data []byte) *memSource { return &memSource{data: data} }

func (s *memSource) Size() int64  { return int64(len(s.data)) }
func (s *memSource) Close() error { return nil }

func (s *memSource) ReadAt(p []byte, offset int64) (int, error) {
	if s.failAt > 0 && offset+int64(len(p)) > s.failAt {
		return 0, stowage.Errorf(stowage.Unavailable, "the disk is away")
	}
	s.read.Add(int64(len(p)))
	n := copy(p, s.data[offset:])
	if offset+int64(n) == s.Size() {
		return n, io.EOF // as io.ReaderAt may
	}
	return n, nil
}

// extents calls fn for the runs of grains that are wanted.
func (s *memSource) extents(wanted func(part []byte, at int64) bool, fn func(stowage.Extent) error) error {
	var run stowage.Extent
	for at := int64(0); at < s.Size(); at += grain {
		end := min(at+grain, s.Size())
		if !wanted(s.data[at:end], at) {
			continue
		}
		if run.Length > 0 && run.End() == at {
			run.Length = end - run.Offset
			continue
		}
		if run.Length > 0 {
			if err := fn(run); err != nil {
				return err
			}
		}
		run = stowage.Extent{Offset: at, Length: end - at}
	}
	if run.Length == 0 {
		return nil
	}
	return fn(run)
}

func (s *memSource) Allocated(_ context.Context, _, _ int64, fn func(stowage.Extent) error) error {
	return s.extents(func(part []byte, at int64) bool {
		return len(bytes.Trim(part, "\x00")) > 0 || s.holds != nil && s.holds(stowage.Extent{Offset: at, Length: int64(len(part))})
	}, fn)
}

// changeSource is one that knows older snapshots by their IDs.
type changeSource struct {
	*memSource
	bases map[string][]byte
	lies  []stowage.Extent // told before it finds out that a base is gone
}

func (s *changeSource) Changed(_ context.Context, base stowage.Snapshot, _, _ int64, fn func(stowage.Extent) error) error {
	old, ok := s.bases[base.ID]
	if !ok {
		for _, e := range s.lies {
			if err := fn(e); err != nil {
				return err
			}
		}
		return stowage.Errorf(stowage.NotFound, "snapshot %s is gone", base.ID)
	}
	return s.extents(func(part []byte, at int64) bool {
		was := make([]byte, len(part))
		copy(was, old[min(at, int64(len(old))):])
		return !bytes.Equal(part, was) || s.holds != nil && s.holds(stowage.Extent{Offset: at, Length: int64(len(part))})
	}, fn)
}

// memTarget is a volume in memory that is written to.
type memTarget struct {
	t     testing.TB
	fresh bool

	mu     sync.Mutex
	data   []byte
	wrote  int64 // bytes
	zeroed int64 // bytes
	read   int64 // bytes
	flush  bool
	fail   error // of writes
}

func (m *memTarget) Size() int64                         { return int64(len(m.data)) }
func (m *memTarget) Close() error                        { return nil }
func (m *memTarget) Empty(context.Context) (bool, error) { return m.fresh, nil }

func (m *memTarget) room(offset, length int64) []byte {
	if offset < 0 || length <= 0 || offset+length > int64(len(m.data)) {
		m.t.Errorf("%d bytes at %d of a target of %d", length, offset, len(m.data))
		return nil
	}
	return m.data[offset : offset+length]
}

func (m *memTarget) WriteAt(p []byte, offset int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	m.wrote += int64(len(p))
	return copy(m.room(offset, int64(len(p))), p), nil
}

func (m *memTarget) WriteZeroes(offset, length int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zeroed += length
	clear(m.room(offset, length))
	return m.fail
}

func (m *memTarget) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flush = true
	return nil
}

// readableTarget can be read as well.
type readableTarget struct{ *memTarget }

func (r readableTarget) ReadAt(p []byte, offset int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read += int64(len(p))
	return copy(p, r.room(offset, int64(len(p)))), nil
}
