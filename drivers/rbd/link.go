//go:build ceph

package rbd

import (
	"errors"
	"os"
	"syscall"

	"github.com/ceph/go-ceph/rados"

	"github.com/stowage/stowage"
)

// link is one connection to the cluster. librados keeps it up by itself, but
// for one case: a client whose exclusive lock was broken is on the cluster's
// block list, for good. Then a new connection, which is a new client, takes its
// place, and the old one goes when nothing is open on it any more.
type link struct {
	conn  *rados.Conn
	ioctx *rados.IOContext
	users int
	shut  bool // on the block list
	gone  bool // taken down
}

// connected gives the pool's connection, a new one if the last is shut out. Give it back.
func (v *volumes) connected() (*link, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, os.ErrClosed
	}
	if v.link.shut {
		fresh, err := dial(v.opts)
		if err != nil {
			return nil, err
		}
		if v.link.users == 0 {
			v.link.down()
		}
		v.link = fresh
	}
	v.link.users++
	return v.link, nil
}

// giveBack ends the use of a connection, with what the last call on it said.
func (v *volumes) giveBack(l *link, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l.users--
	l.shut = l.shut || shutOut(err)
	if l.users == 0 && (l != v.link || v.closed) {
		l.down()
	}
}

// saw notes what a call on a connection said.
func (v *volumes) saw(l *link, err error) {
	if !shutOut(err) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l.shut = true
}

// shutOut reports whether the cluster has put us on its block list.
func shutOut(err error) bool {
	var number interface{ ErrorCode() int }
	return errors.As(err, &number) && syscall.Errno(-number.ErrorCode()) == syscall.ESHUTDOWN
}

// down ends the connection, once, when nothing uses it any more.
func (l *link) down() {
	if l.gone {
		return
	}
	l.gone = true
	l.ioctx.Destroy()
	l.conn.Shutdown()
}

// dial connects and opens the pool.
func dial(opts Options) (*link, error) {
	tame()
	conn, err := connect(opts)
	if err != nil {
		return nil, err
	}
	fsid, err := conn.GetFSID()
	if err != nil {
		conn.Shutdown()
		return nil, stowage.Wrap(stowage.Unavailable, err, "ask the cluster of pool %s for its id", opts.Pool)
	}
	if key := Key(fsid, opts.Pool); opts.Key != "" && opts.Key != key {
		conn.Shutdown()
		return nil, stowage.Errorf(stowage.Invalid, "backend %s is configured, and %s was found", opts.Key, key)
	}
	ioctx, err := conn.OpenIOContext(opts.Pool)
	if err != nil {
		conn.Shutdown()
		return nil, coded(err, "open pool %s", opts.Pool)
	}
	return &link{conn: conn, ioctx: ioctx}, nil
}
