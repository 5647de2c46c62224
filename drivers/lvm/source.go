package lvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// source implements drivers.Source on the device of a snapshot.
type source struct {
	v    *Volumes
	d    *direct
	snap stowage.Snapshot
	lv   *lv

	// mapping is nil for a classic snapshot, whose every block may hold data.
	mapping *mapping
	// bad is why reads are refused from now on.
	bad atomic.Pointer[error]
	// stop ends the watch, which closes watched when it is over.
	stop    context.CancelFunc
	watched chan struct{}
}

func (v *Volumes) openSource(ctx context.Context, l *lv, snap stowage.Snapshot) (drivers.Source, error) {
	v.note(l)
	if err := v.activate(ctx, l); err != nil {
		return nil, err
	}
	d, err := v.openDevice(ctx, l, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	s := &source{v: v, d: d, snap: snap, lv: l, watched: make(chan struct{})}
	if snap.Bytes != 0 && snap.Bytes != d.size {
		err = stowage.Errorf(stowage.Conflict, "it had %d bytes, and has %d", snap.Bytes, d.size)
	}
	if err == nil && l.thin() {
		s.mapping, err = v.newMapping(ctx, l)
	}
	if err != nil {
		return nil, errors.Join(err, d.f.Close())
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.watch(life)
	if err := v.hold(s, l); err != nil {
		stop()
		<-s.watched
		return nil, errors.Join(err, d.f.Close())
	}
	if s.mapping == nil {
		return s, nil
	}
	return &thinSource{source: s, turn: make(chan struct{}, 1)}, nil
}

func (s *source) Size() int64 { return s.d.size }

// Close does not wait for reads under way; the device is closed after them. One
// that was kept meanwhile is put away, and so is one of Cinder's that was not active.
func (s *source) Close() error {
	lv, was := s.v.drop(s)
	if !was {
		return nil
	}
	s.stop()
	<-s.watched
	err := s.d.f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), changeTimeout)
	defer cancel()
	s.v.rest(ctx, lv)
	return err
}

func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "read at %d of snapshot %s", offset, s.snap.Name)
	}
	if bad := s.bad.Load(); bad != nil {
		return 0, *bad
	}
	if offset >= s.Size() {
		return 0, io.EOF
	}
	want := min(int64(len(p)), s.Size()-offset)
	n, err := s.d.readAt(p[:want], offset)
	if int64(n) < want {
		return n, s.explain(err, len(p), offset)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// explain finds out whether a failed read is one of a snapshot that is worth
// nothing any more: the kernel has the same error for that as for a bad disk.
func (s *source) explain(err error, length int, offset int64) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, unix.EIO) {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		_, found := s.v.findSnapshot(ctx, s.snap)
		if code := stowage.CodeOf(found); code == stowage.OverLimit || code == stowage.NotFound {
			s.bad.Store(&found)
			return found
		}
	}
	return coded(err, "read %d bytes at %d of snapshot %s of volume %s", length, offset, s.snap.Name, s.snap.Volume.Name)
}

func (s *source) Allocated(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	if err := inside("list", offset, length, s.Size()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("list extents: %w", err)
	}
	if s.mapping != nil {
		return s.mapping.walk(ctx, offset, length, fn)
	}
	if length == 0 {
		return nil
	}
	return fn(stowage.Extent{Offset: offset, Length: length})
}

// watch looks at the store of a classic snapshot until the source is closed:
// it warns once for each tenth that it fills beyond the half, and stops the
// reads when it has run full.
func (s *source) watch(ctx context.Context) {
	defer close(s.watched)
	if s.lv.thin() {
		return
	}
	log := s.v.o.Log.With("volume", s.snap.Volume.Name, "snapshot", s.snap.Name)
	device := deviceName(s.v.o.VolumeGroup, s.lv.Name)
	warned := 4
	for pause(ctx, s.v.o.WatchInterval) == nil {
		fields, err := s.v.status(ctx, "status", device)
		if err != nil {
			if ctx.Err() == nil {
				log.WarnContext(ctx, "snapshot's store not looked at", "error", err)
			}
			continue
		}
		full, ok := filled(fields)
		if !ok {
			err := overflow(s.snap.Volume.Name)
			s.bad.Store(&err)
			log.ErrorContext(ctx, "snapshot overflowed", "status", strings.Join(fields, " "))
			return
		}
		if full/10 > warned {
			warned = full / 10
			log.WarnContext(ctx, "snapshot's store fills", "percent", full)
		}
	}
}

// filled reads how full a store is, in percent: "snapshot 16/2048 16", or
// "snapshot Invalid" for one that is worth nothing.
func filled(fields []string) (percent int, valid bool) {
	if len(fields) < 2 || fields[0] != "snapshot" {
		return 0, false
	}
	used, all, _ := strings.Cut(fields[1], "/")
	u, err := strconv.ParseInt(used, 10, 64)
	a, err2 := strconv.ParseInt(all, 10, 64)
	if err != nil || err2 != nil || a <= 0 {
		return 0, false
	}
	return int(u * 100 / a), true
}

// inside refuses what is not within the volume.
func inside(verb string, offset, length, size int64) error {
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return stowage.Errorf(stowage.Invalid, "%s %d bytes at %d of a volume of %d bytes", verb, length, offset, size)
	}
	return nil
}
