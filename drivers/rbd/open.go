//go:build ceph

package rbd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// volumes implements drivers.Volumes on one connection at a time.
type volumes struct {
	opts Options
	key  string

	mu     sync.Mutex
	link   *link
	open   map[*handle]struct{}
	closed bool
}

var _ drivers.Volumes = (*volumes)(nil)

// Open connects to the cluster and looks for the pool.
func Open(ctx context.Context, opts Options) (drivers.Volumes, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open pool %s: %w", opts.Pool, err)
	}
	l, err := dial(opts)
	if err != nil {
		return nil, err
	}
	if opts.Key == "" {
		fsid, err := l.conn.GetFSID()
		if err != nil {
			l.down()
			return nil, stowage.Wrap(stowage.Unavailable, err, "ask the cluster of pool %s for its id", opts.Pool)
		}
		opts.Key = Key(fsid, opts.Pool) // from now on no other cluster will do
	}
	return &volumes{opts: opts, key: opts.Key, link: l, open: map[*handle]struct{}{}}, nil
}

func connect(opts Options) (*rados.Conn, error) {
	conn, err := rados.NewConnWithUser(opts.User)
	if err != nil {
		return nil, fmt.Errorf("prepare a connection for pool %s: %w", opts.Pool, err)
	}
	if err := conn.ReadConfigFile(opts.CephConf); err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "read %s for pool %s", opts.CephConf, opts.Pool)
	}
	settings := [][2]string{
		{"client_mount_timeout", seconds(opts.ConnectTimeout)},
		{"rados_mon_op_timeout", seconds(opts.ConnectTimeout)},
		{"rados_osd_op_timeout", seconds(opts.OpTimeout)},
		// We read and write large pieces once: a cache is a copy more, and a
		// Flush that has something to lose.
		{"rbd_cache", "false"},
		{"rbd_readahead_max_bytes", "0"},
		// Zeros written as such become holes, see WriteZeroes.
		{"rbd_discard_on_zeroed_write_same", "true"},
		{"rbd_concurrent_management_ops", "20"},
	}
	if opts.Keyring != "" {
		settings = append(settings, [2]string{"keyring", opts.Keyring})
	}
	for _, s := range settings {
		if err := conn.SetConfigOption(s[0], s[1]); err != nil {
			return nil, stowage.Wrap(stowage.Invalid, err, "set %s to %s for pool %s", s[0], s[1], opts.Pool)
		}
	}
	if err := conn.Connect(); err != nil {
		if code := codeOf(err); code == stowage.Forbidden {
			return nil, stowage.Wrap(code, err, "connect to the cluster of pool %s as %s", opts.Pool, opts.User)
		}
		return nil, stowage.Wrap(stowage.Unavailable, err, "connect to the cluster of pool %s as %s", opts.Pool, opts.User)
	}
	return conn, nil
}

func (v *volumes) Backend() string { return v.key }

// Close also closes what is still open: librbd must not outlive its connection.
func (v *volumes) Close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil
	}
	v.closed = true
	var left []*handle
	for h := range v.open {
		left = append(left, h)
	}
	v.mu.Unlock()
	var err error
	for _, h := range left {
		err = errors.Join(err, h.Close())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.link.users == 0 { // otherwise who opens an image just now takes it down
		v.link.down()
	}
	return err
}

// handle is an open image. Closing one that is being read would bring down the
// program, so Close waits for the calls under way.
type handle struct {
	v      *volumes
	link   *link
	mu     sync.RWMutex
	image  *rbd.Image
	closed bool
}

// hold opens an image with one of go-ceph's ways to do it.
func (v *volumes) hold(open func(*rados.IOContext) (*rbd.Image, error)) (*handle, error) {
	l, err := v.connected()
	if err != nil {
		return nil, err
	}
	image, err := open(l.ioctx)
	if err != nil {
		v.giveBack(l, err)
		return nil, err
	}
	h := &handle{v: v, link: l, image: image}
	v.mu.Lock()
	closed := v.closed
	if !closed {
		v.open[h] = struct{}{}
	}
	v.mu.Unlock()
	if closed {
		err = errors.Join(os.ErrClosed, image.Close())
		v.giveBack(l, nil)
		return nil, err
	}
	return h, nil
}

// byName opens an image of that name that is not in the trash, for changes.
func (v *volumes) byName(name string) (*handle, error) {
	return v.hold(func(c *rados.IOContext) (*rbd.Image, error) { return rbd.OpenImage(c, name, rbd.NoSnapshot) })
}

// byID opens an image wherever it is, for changes.
func (v *volumes) byID(id string) (*handle, error) {
	return v.hold(func(c *rados.IOContext) (*rbd.Image, error) { return rbd.OpenImageById(c, id, rbd.NoSnapshot) })
}

// reading opens an image wherever it is, without anybody noticing.
func (v *volumes) reading(id string) (*handle, error) {
	return v.hold(func(c *rados.IOContext) (*rbd.Image, error) { return rbd.OpenImageByIdReadOnly(c, id, rbd.NoSnapshot) })
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.v.mu.Lock()
	delete(h.v.open, h)
	h.v.mu.Unlock()
	err := h.image.Close()
	h.v.giveBack(h.link, err)
	if err != nil {
		return coded(err, "close an image")
	}
	return nil
}

// use keeps the image open while fn works with it.
func (h *handle) use(fn func(*rbd.Image) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return os.ErrClosed
	}
	err := fn(h.image)
	h.v.saw(h.link, err)
	return err
}

// codeOf tells what kind of failure one of Ceph's numbers is.
func codeOf(err error) stowage.Code {
	var number interface{ ErrorCode() int }
	if !errors.As(err, &number) {
		return stowage.CodeOf(err)
	}
	switch syscall.Errno(-number.ErrorCode()) {
	case syscall.ENOENT:
		return stowage.NotFound
	case syscall.EPERM, syscall.EACCES:
		return stowage.Forbidden
	case syscall.EBUSY, syscall.EROFS, syscall.EEXIST:
		return stowage.Conflict
	case syscall.ENOSPC, syscall.EDQUOT:
		return stowage.OverLimit
	case syscall.ETIMEDOUT, syscall.ESHUTDOWN, syscall.ENOTCONN, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EAGAIN, syscall.EIO, syscall.EINTR:
		return stowage.Unavailable
	}
	return stowage.Internal
}

// coded says what we were doing and gives the cause the code it deserves.
func coded(err error, doing string, args ...any) error {
	if code := codeOf(err); code != stowage.Internal {
		return stowage.Wrap(code, err, doing, args...)
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}
