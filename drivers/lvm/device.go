package lvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stowage/stowage"
)

// openWait is how long a device may take to appear, or to be free: udev looks
// into each that is new.
const openWait = 3 * time.Second

// activate makes the device appear. -K: thin snapshots are skipped otherwise;
// -y: with a classic snapshot goes its origin.
func (v *Volumes) activate(ctx context.Context, l *lv) error {
	if l.active() {
		return nil
	}
	_, err := v.lvm(ctx, true, "lvchange", "-y", "-a", "y", "-K", v.o.VolumeGroup+"/"+l.Name)
	if err != nil {
		return fmt.Errorf("activate LV %s: %w", l.Name, err)
	}
	return nil
}

// openDevice opens the device of an active LV, past the page cache, and proves
// that it is the one.
func (v *Volumes) openDevice(ctx context.Context, l *lv, flag int) (*direct, error) {
	path := filepath.Join(v.o.DevDir, "mapper", deviceName(v.o.VolumeGroup, l.Name))
	wait, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	for {
		d, err := v.tryDevice(path, l, flag)
		if err == nil {
			return d, nil
		}
		passing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EWOULDBLOCK)
		if passing && pause(wait, 200*time.Millisecond) == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, coded(err, "open LV %s", l.Name)
	}
}

func (v *Volumes) tryDevice(path string, l *lv, flag int) (*direct, error) {
	f, err := os.OpenFile(path, flag|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := &direct{f: f}
	if err = v.prove(f, l); err == nil && flag&os.O_RDWR != 0 {
		// Keeps other managers out, and udev from looking into half a volume.
		err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	}
	if err == nil {
		err = d.measure()
	}
	if err == nil {
		if want, e := l.bytes(); e != nil || want != d.size {
			err = errors.Join(e, stowage.Errorf(stowage.Conflict, "LV %s has %d bytes, its device %d", l.Name, want, d.size))
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

// prove compares the uuid device-mapper has for the open device with the LV's:
// a name may have been given to something else since lvm2 was asked.
func (v *Volumes) prove(f *os.File, l *lv) error {
	var st unix.Stat_t
	if err := control(f, func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return stowage.Errorf(stowage.Conflict, "%s is no block device", f.Name())
	}
	number := strconv.Itoa(int(unix.Major(st.Rdev))) + ":" + strconv.Itoa(int(unix.Minor(st.Rdev)))
	text, err := os.ReadFile(filepath.Join(v.o.SysDir, "dev", "block", number, "dm", "uuid"))
	if err != nil {
		return err
	}
	want := "LVM-" + strings.ReplaceAll(l.GroupUUID+l.UUID, "-", "")
	if got := strings.TrimSpace(string(text)); got != want {
		return stowage.Errorf(stowage.Conflict, "device %s is %q, and LV %s is %q", number, got, l.Name, want)
	}
	return nil
}

// status gives what device-mapper tells of a device, after its start and
// length: the kind of target, and what that says of itself.
func (v *Volumes) status(ctx context.Context, verb, device string) ([]string, error) {
	out, err := v.dmsetup(ctx, false, verb, device)
	if err != nil {
		return nil, away(ctx, err, "ask device-mapper for the %s of %s", verb, device)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Fields(lines[0])
	if len(fields) < 3 {
		return nil, fmt.Errorf("device-mapper gives %s the %s %.200q", device, verb, out)
	}
	return fields[2:], nil
}

// control runs an ioctl and the like while the file stays open.
func control(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = fn(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// coded says what we were doing and gives the cause the code it deserves.
func coded(err error, doing string, args ...any) error {
	var code stowage.Code
	switch {
	case stowage.CodeOf(err) != stowage.Internal:
		return fmt.Errorf(doing+": %w", append(args, err)...)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		code = stowage.Forbidden
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EWOULDBLOCK):
		code = stowage.Conflict
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		code = stowage.NotFound
	case errors.Is(err, unix.ENOSPC):
		code = stowage.OverLimit
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		code = stowage.Unavailable
	default:
		return fmt.Errorf(doing+": %w", append(args, err)...)
	}
	return stowage.Wrap(code, err, doing, args...)
}
