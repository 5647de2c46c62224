package lvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
)

// withMetadata has the kernel freeze a copy of the pool's metadata, calls fn
// with the device it is on, and gives the copy up, on every path.
//
// There can be one copy, and nobody can tell whose it is: whoever finds one
// that he did not make leaves it alone. So a note is written before we make
// ours, and in it where ours is once it is made. Whoever comes after a crash
// finds the note, and knows that this copy is nobody's. The lock on the note
// ends with the process.
func (v *Volumes) withMetadata(ctx context.Context, pool string, fn func(device string) error) (err error) {
	note, err := v.lockNote(ctx, pool)
	if err != nil {
		return fmt.Errorf("wait for the metadata of pool %s: %w", pool, err)
	}
	defer func() { err = errors.Join(err, note.Close()) }()
	device := deviceName(v.o.VolumeGroup, pool)
	if err := v.releaseDead(ctx, device, note); err != nil {
		return err
	}
	if err := write(note, "?"); err != nil {
		return err
	}
	if err := v.message(ctx, device, "reserve_metadata_snap"); err != nil {
		// Unless the kernel has said no, nobody knows, and the note stays.
		if exit := (*ExitError)(nil); errors.As(err, &exit) {
			err = errors.Join(err, write(note, ""))
		}
		return err
	}
	defer func() {
		e := v.message(context.WithoutCancel(ctx), device, "release_metadata_snap")
		if e == nil {
			e = write(note, "")
		}
		err = errors.Join(err, e)
	}()
	at, err := v.metadataHeld(ctx, device)
	if err == nil {
		err = write(note, at)
	}
	if err != nil {
		return err
	}
	return fn(filepath.Join(v.o.DevDir, "mapper", device+"_tmeta"))
}

// releaseDead releases the copy that the note tells of. A note that does not
// know where it is was left between the two messages.
func (v *Volumes) releaseDead(ctx context.Context, device string, note *os.File) error {
	at, err := v.metadataHeld(ctx, device)
	if err != nil || at == "-" {
		return err
	}
	text := make([]byte, 64)
	n, err := note.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if noted := string(text[:n]); noted != "?" && noted != at {
		return stowage.Errorf(stowage.Conflict, "the metadata of pool %s is held by somebody else", device)
	}
	v.o.Log.WarnContext(ctx, "metadata that a dead process held is released", "pool", device)
	return v.message(ctx, device, "release_metadata_snap")
}

// write replaces the note's text, durably.
func write(note *os.File, text string) error {
	if err := note.Truncate(0); err != nil {
		return err
	}
	if _, err := note.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return note.Sync()
}

// message sends the pool a message. It is not cut short: nobody would know
// whether it was heard.
func (v *Volumes) message(ctx context.Context, device, text string) error {
	_, err := v.dmsetup(ctx, true, "message", device+"-tpool", "0", text)
	if err != nil {
		return fmt.Errorf("%s of pool %s: %w", text, device, err)
	}
	return nil
}

// metadataHeld gives the block of the frozen copy, or "-" where there is none,
// from the status of a pool: "thin-pool <transaction> <metadata used/all> <data
// used/all> <block of the copy> ...".
func (v *Volumes) metadataHeld(ctx context.Context, device string) (string, error) {
	fields, err := v.status(ctx, "status", device+"-tpool")
	if err != nil {
		return "", err
	}
	if len(fields) < 5 || fields[0] != "thin-pool" {
		return "", stowage.Errorf(stowage.Unavailable, "pool %s is in the state %q", device, fields)
	}
	return fields[4], nil
}

// lockNote opens the pool's note and waits until it is ours alone.
func (v *Volumes) lockNote(ctx context.Context, pool string) (*os.File, error) {
	if err := os.MkdirAll(v.o.StateDir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(v.o.StateDir, v.o.VolumeGroup+"."+pool+".metadata"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err == nil {
			return f, nil
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = pause(ctx, 100*time.Millisecond)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}
