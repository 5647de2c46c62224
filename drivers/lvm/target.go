package lvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// target implements drivers.ReadableTarget on the device of a volume.
type target struct {
	v    *Volumes
	d    *direct
	name string
	lv   *lv

	// zeros: what the pool has not mapped reads as zeros, and so does the rest
	// of a chunk that is written in part.
	zeros bool
	// chunk is what a discard can give up. Zero: discards are not used.
	chunk atomic.Int64
}

var _ drivers.ReadableTarget = (*target)(nil)

// OpenTarget activates the volume, where it is not, and opens it as the only
// one. It stays active, as Cinder's volumes are.
func (v *Volumes) OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (drivers.Target, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open volume %s: %w", vol.Name, err)
	}
	if err := v.checkVolume(vol); err != nil {
		return nil, err
	}
	t, err := v.openTarget(ctx, vol.Name)
	if stowage.CodeOf(err) == stowage.Conflict {
		return nil, stowage.Wrap(stowage.Conflict, err, "Volume %s is in use: a server, an export or a mount has it open.", vol.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("open volume %s for writing: %w", vol.Name, err)
	}
	return t, nil
}

func (v *Volumes) openTarget(ctx context.Context, name string) (*target, error) {
	found, err := v.find(ctx, name)
	if err != nil {
		return nil, err
	}
	l := found[name]
	if err := usable(l, name); err != nil {
		return nil, err
	}
	if err := v.activate(ctx, l); err != nil {
		return nil, err
	}
	// O_EXCL: nobody has it mounted or claimed, and nobody can while we write.
	d, err := v.openDevice(ctx, l, os.O_RDWR|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	t := &target{v: v, d: d, name: name, lv: l}
	if err = v.alone(ctx, l); err == nil && l.thin() {
		err = t.askPool(ctx)
	}
	if err == nil {
		err = v.hold(t, l)
	}
	if err != nil {
		return nil, errors.Join(err, d.f.Close())
	}
	return t, nil
}

// alone makes sure that nobody opened the device without claiming it, as QEMU
// and some iSCSI targets do. Those that only look are given a moment.
func (v *Volumes) alone(ctx context.Context, l *lv) error {
	wait, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	for {
		out, err := v.dmsetup(ctx, false, "info", "-c", "--noheadings", "-o", "open", deviceName(v.o.VolumeGroup, l.Name))
		if err != nil {
			return away(ctx, err, "ask who has LV %s open", l.Name)
		}
		if strings.TrimSpace(string(out)) == "1" {
			return nil
		}
		if pause(wait, 200*time.Millisecond) == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return stowage.Errorf(stowage.Conflict, "LV %s is open %s times", l.Name, strings.TrimSpace(string(out)))
	}
}

// askPool learns what zeros are worth. Without zeroing of new chunks, as some
// set it for speed, a write to a part of one leaves old data in the rest.
func (t *target) askPool(ctx context.Context) error {
	found, err := t.v.find(ctx, t.lv.Pool)
	if err != nil {
		return err
	}
	pool := found[t.lv.Pool]
	if pool == nil {
		return stowage.Errorf(stowage.NotFound, "pool %s of volume %s is gone", t.lv.Pool, t.name)
	}
	chunk, err := number(pool, "chunk size", pool.ChunkSize)
	if err != nil {
		return err
	}
	unmapped, err := t.v.zerosUnmapped(ctx, t.lv)
	if err != nil {
		return err
	}
	if t.zeros = unmapped && pool.Zero == "1"; t.zeros && chunk > 0 {
		t.chunk.Store(chunk)
	}
	return nil
}

func (t *target) Size() int64 { return t.d.size }

// ReadAt reads past the page cache, as everything is written.
func (t *target) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "read at %d of volume %s", offset, t.name)
	}
	if offset >= t.Size() {
		return 0, io.EOF
	}
	want := min(int64(len(p)), t.Size()-offset)
	n, err := t.d.readAt(p[:want], offset)
	if int64(n) < want {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // within the size there is no end
		}
		return n, t.coded(err, "read", offset, int64(len(p)))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (t *target) WriteAt(p []byte, offset int64) (int, error) {
	if err := inside("write", offset, int64(len(p)), t.Size()); err != nil {
		return 0, err
	}
	n, err := t.d.writeAt(p, offset)
	if err != nil {
		return n, t.coded(err, "write", offset, int64(len(p)))
	}
	return n, nil
}

// WriteZeroes goes from parts of blocks over blocks to chunks.
func (t *target) WriteZeroes(offset, length int64) error {
	if err := inside("zero", offset, length, t.Size()); err != nil {
		return err
	}
	if err := t.zero(offset, length); err != nil {
		return t.coded(err, "zero", offset, length)
	}
	return nil
}

func (t *target) zero(offset, length int64) error {
	end := offset + length
	start, stop := within(offset, end, t.d.block)
	if start >= stop { // no whole block
		_, err := t.d.writeAt(make([]byte, length), offset)
		return err
	}
	if _, err := t.d.writeAt(make([]byte, start-offset), offset); err != nil {
		return err
	}
	if err := t.zeroBlocks(start, stop); err != nil {
		return err
	}
	_, err := t.d.writeAt(make([]byte, end-stop), stop)
	return err
}

// within gives the part of a range that is made of whole units.
func within(offset, end, unit int64) (start, stop int64) {
	return (offset + unit - 1) / unit * unit, end / unit * unit
}

func (t *target) zeroBlocks(start, stop int64) error {
	chunk := t.chunk.Load()
	if chunk == 0 {
		return t.d.zero(start, stop-start)
	}
	from, to := within(start, stop, chunk)
	if from >= to {
		return t.zeroUnlessZero(start, stop-start)
	}
	if err := t.zeroUnlessZero(start, from-start); err != nil {
		return err
	}
	for at := from; at < to; {
		n := min(to-at, max(chunk, zeroPiece/chunk*chunk))
		if err := t.discard(at, n); err != nil {
			return err
		}
		at += n
	}
	return t.zeroUnlessZero(to, stop-to)
}

// zeroUnlessZero has the pool map nothing for zeros that are there.
func (t *target) zeroUnlessZero(offset, length int64) error {
	zeros, err := t.d.zeros(offset, length)
	if err != nil || zeros {
		return err
	}
	return t.d.zero(offset, length)
}

// discard gives chunks up and looks: where the pool is at work on a chunk that
// it shares with a snapshot, or may not change its metadata any more, the
// kernel reports a discard done that it left out.
func (t *target) discard(offset, length int64) error {
	err := t.d.discard(offset, length)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP): // the pool ignores discards
		t.chunk.Store(0)
		return t.d.zero(offset, length)
	case err != nil:
		return err
	}
	return t.zeroUnlessZero(offset, length)
}

// Empty is for thin volumes: the kernel counts what is mapped, as of now.
func (t *target) Empty(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("look whether volume %s is empty: %w", t.name, err)
	}
	if !t.zeros {
		return false, nil
	}
	fields, err := t.v.status(ctx, "status", deviceName(t.v.o.VolumeGroup, t.lv.Name))
	if err != nil {
		return false, fmt.Errorf("look whether volume %s is empty: %w", t.name, err)
	}
	return len(fields) == 3 && fields[0] == "thin" && fields[1] == "0", nil
}

// Flush: what is written past the page cache leaves nothing stale in it.
func (t *target) Flush() error {
	if err := t.d.f.Sync(); err != nil {
		return t.coded(err, "flush", 0, t.Size())
	}
	return nil
}

func (t *target) Close() error {
	if _, was := t.v.drop(t); !was {
		return nil
	}
	return t.d.f.Close()
}

func (t *target) coded(err error, verb string, offset, length int64) error {
	if errors.Is(err, unix.ENOSPC) {
		return stowage.Wrap(stowage.OverLimit, err, "The thin pool of volume %s is full.", t.name)
	}
	return coded(err, "%s %d bytes at %d of volume %s", verb, length, offset, t.name)
}
