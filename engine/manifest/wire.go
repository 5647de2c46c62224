package manifest

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// reader takes fields from the front of data. Once something is wrong there is
// nothing left and bad is set; what it gives from then on is zeros.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) fail() { r.data, r.bad = nil, true }

// ended reports whether all was read, and nothing was wrong.
func (r *reader) ended() bool { return !r.bad && len(r.data) == 0 }

// take gives the next n bytes, nil if there are fewer.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.fail()
		return nil
	}
	p := r.data[:n:n]
	r.data = r.data[n:]
	return p
}

// uvarint reads a number of at most limit. A number has one form only: no zero
// bytes at its end.
func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || n > 1 && r.data[n-1] == 0 || v > limit {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// varint reads a number from -limit to limit.
func (r *reader) varint(limit int64) int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 || n > 1 && r.data[n-1] == 0 || v > limit || v < -limit {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// count reads how many things follow, of at least size bytes each: no more
// than limit, and no more than there are bytes for.
func (r *reader) count(limit, size int) int {
	n := int(r.uvarint(uint64(limit)))
	if n*size > len(r.data) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// attempt reads a backup's UUID and a fence.
func (r *reader) attempt() Attempt {
	p := r.take(24)
	if p == nil {
		return Attempt{}
	}
	a := Attempt{Backup: uuid.UUID(p[:16]), Fence: binary.BigEndian.Uint64(p[16:])}
	if a.Fence > MaxFence {
		r.fail()
	}
	return a
}

func appendAttempt(dst []byte, a Attempt) []byte {
	return binary.BigEndian.AppendUint64(append(dst, a.Backup[:]...), a.Fence)
}
