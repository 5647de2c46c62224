package lvm

import (
	"errors"
	"io"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direct is a file open with O_DIRECT: offsets, lengths and memory must be
// aligned to blocks, and what is not goes through aligned memory. Its methods
// may be called from many goroutines; ranges must lie within size.
type direct struct {
	f *os.File
	// size is a multiple of block.
	size, block int64
	// edges is held while a block is read, changed in part and written: its
	// other part may be somebody else's.
	edges sync.Mutex
}

// bounceBytes is the size of one aligned buffer; there is one for each call
// that needs it while it runs.
const bounceBytes = 1 << 20

// aligned is more than any device asks for.
const aligned = 4096

var bounces = sync.Pool{New: func() any { b := alignedBytes(bounceBytes); return &b }}

// alignedBytes makes a slice that begins at a page.
func alignedBytes(n int) []byte {
	b := make([]byte, n+aligned)
	skip := (aligned - int(uintptr(unsafe.Pointer(&b[0]))%aligned)) % aligned
	return b[skip : skip+n : skip+n]
}

// measure asks the device for its size and that of its blocks.
func (d *direct) measure() error {
	return control(d.f, func(fd int) error {
		block, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
		if err != nil {
			return err
		}
		if d.size, err = unix.Seek(fd, 0, io.SeekEnd); err != nil {
			return err
		}
		d.block = int64(block)
		if block < 512 || block > aligned || d.size%d.block != 0 {
			return errors.New("the device has blocks of an odd size")
		}
		return nil
	})
}

// fits reports whether the kernel can work in p itself.
func (d *direct) fits(p []byte, offset int64) bool {
	return len(p) > 0 && int64(len(p))%d.block == 0 && offset%d.block == 0 && uintptr(unsafe.Pointer(&p[0]))%uintptr(d.block) == 0
}

func (d *direct) readAt(p []byte, offset int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if d.fits(p, offset) {
		return d.f.ReadAt(p, offset)
	}
	bounce := bounces.Get().(*[]byte)
	defer bounces.Put(bounce)
	for n < len(p) {
		skip := (offset + int64(n)) % d.block
		want := min(int64(bounceBytes), (skip+int64(len(p)-n)+d.block-1)/d.block*d.block)
		got, err := d.f.ReadAt((*bounce)[:want], offset+int64(n)-skip)
		if int64(got) < want {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // within the size there is no end
			}
			return n, err
		}
		n += copy(p[n:], (*bounce)[skip:want])
	}
	return n, nil
}

// writeAt writes whole blocks as they are, and parts of blocks at both ends
// after reading the rest of them.
func (d *direct) writeAt(p []byte, offset int64) (n int, err error) {
	if len(p) == 0 || d.fits(p, offset) {
		return d.f.WriteAt(p, offset)
	}
	bounce := bounces.Get().(*[]byte)
	defer bounces.Put(bounce)
	for n < len(p) {
		at := offset + int64(n)
		rest := int64(len(p) - n)
		if at%d.block != 0 || rest < d.block {
			did, err := d.writeEdge(p[n:], at, *bounce)
			n += did
			if err != nil {
				return n, err
			}
			continue
		}
		piece := (*bounce)[:min(bounceBytes, rest/d.block*d.block)]
		copy(piece, p[n:])
		did, err := d.f.WriteAt(piece, at)
		n += did
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// writeEdge writes what of p falls into the block that holds offset.
func (d *direct) writeEdge(p []byte, offset int64, bounce []byte) (int, error) {
	d.edges.Lock()
	defer d.edges.Unlock()
	skip := offset % d.block
	block := bounce[:d.block]
	if n, err := d.f.ReadAt(block, offset-skip); int64(n) < d.block {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	n := copy(block[skip:], p)
	if _, err := d.f.WriteAt(block, offset-skip); err != nil {
		return 0, err
	}
	return n, nil
}

// zeroPiece bounds one call that zeroes: it cannot be interrupted.
const zeroPiece = 64 << 20

// zero writes zeros over whole blocks, by the device itself where it can.
func (d *direct) zero(offset, length int64) error {
	for length > 0 {
		n := min(length, zeroPiece)
		err := d.rangeIoctl(unix.BLKZEROOUT, offset, n)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
			err = d.zeroByWriting(offset, n)
		}
		if err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}

func (d *direct) zeroByWriting(offset, length int64) error {
	zeros := bounces.Get().(*[]byte)
	defer bounces.Put(zeros)
	clear(*zeros)
	for length > 0 {
		n, err := d.f.WriteAt((*zeros)[:min(length, bounceBytes)], offset)
		if err != nil {
			return err
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

// discard gives up whole blocks. It promises nothing about what is read then.
func (d *direct) discard(offset, length int64) error {
	return d.rangeIoctl(unix.BLKDISCARD, offset, length)
}

func (d *direct) rangeIoctl(request uint, offset, length int64) error {
	bounds := [2]uint64{uint64(offset), uint64(length)}
	return control(d.f, func(fd int) error {
		for {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&bounds)))
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 {
				return errno
			}
			return nil
		}
	})
}

// zeros reports whether all of the range reads as zeros; whole blocks.
func (d *direct) zeros(offset, length int64) (bool, error) {
	bounce := bounces.Get().(*[]byte)
	defer bounces.Put(bounce)
	for length > 0 {
		piece := (*bounce)[:min(length, bounceBytes)]
		n, err := d.f.ReadAt(piece, offset)
		if n < len(piece) {
			return false, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if !allZero(piece) {
			return false, nil
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return true, nil
}

var zeroPage [aligned]byte

func allZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), aligned)
		if string(p[:n]) != string(zeroPage[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}
