package manifest

import (
	"encoding/binary"
	"math"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
)

// appendBody appends the body of a root. table has the attempts it refers to.
func (r *Root) appendBody(dst []byte, info []byte, table []Attempt) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(info)))
	dst = append(dst, info...)
	place := make(map[Attempt]uint64, len(table))
	dst = binary.AppendUvarint(dst, uint64(len(table)))
	for i, a := range table {
		place[a] = uint64(i)
		salt := r.Salts[a]
		dst = append(appendAttempt(dst, a), salt[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Layers)))
	for _, l := range r.Layers {
		dst = binary.AppendUvarint(dst, uint64(len(l)))
		for i := range l {
			o := &l[i]
			for _, v := range []uint64{place[o.Attempt], o.Number, uint64(o.Bytes), o.Entries, o.First, o.Last} {
				dst = binary.AppendUvarint(dst, v)
			}
			dst = append(append(dst, o.MD5[:]...), o.Index[:]...)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Packs)))
	for i := range r.Packs {
		p := &r.Packs[i]
		for _, v := range []uint64{place[p.Attempt], p.Number, uint64(p.Bytes), p.Alive, uint64(p.AliveBytes)} {
			dst = binary.AppendUvarint(dst, v)
		}
		dst = append(dst, p.MD5[:]...)
	}
	return dst
}

// parseBody reads the body of a root into r. It sees to the form, and that no
// more room is taken than the bytes are worth; the bounds are for check.
func (r *Root) parseBody(plain []byte) error {
	b := &reader{data: plain}
	n := b.u32()
	if n > MaxInfoBytes {
		return corrupt("the root has %d bytes of JSON", n)
	}
	info := b.take(int(n))
	if info == nil {
		return corrupt("the root has no JSON")
	}
	if err := r.parseInfo(info); err != nil {
		return err
	}
	r.Self = Attempt{Backup: r.Info.Backup, Fence: r.Info.Fence}
	table := make([]Attempt, b.count(MaxAttempts, 24+len(seal.Salt{})))
	r.Salts = make(map[Attempt]seal.Salt, len(table))
	for i := range table {
		table[i] = b.attempt()
		if i > 0 && table[i-1].Compare(table[i]) >= 0 {
			return corrupt("the attempts of the root are not in order")
		}
		var salt seal.Salt
		copy(salt[:], b.take(len(salt)))
		r.Salts[table[i]] = salt
	}
	attempt := func() Attempt {
		if at := b.uvarint(MaxAttempts); at < uint64(len(table)) {
			return table[at]
		}
		b.fail()
		return Attempt{}
	}
	r.Layers = make([]Layer, b.count(MaxLayers, 1))
	left := MaxMapObjects
	for i := range r.Layers {
		l := make(Layer, b.count(left, 6+16+len(chunk.Hash{})))
		left -= len(l)
		for j := range l {
			l[j] = Object{
				Place: Place{Attempt: attempt(), Number: b.uvarint(MaxObjectNumber)}, Bytes: int64(b.uvarint(MaxMapBytes)),
				Entries: b.uvarint(math.MaxInt64), First: b.uvarint(chunk.MaxNumber), Last: b.uvarint(chunk.MaxNumber),
			}
			copy(l[j].MD5[:], b.take(16))
			copy(l[j].Index[:], b.take(len(chunk.Hash{})))
		}
		r.Layers[i] = l
	}
	r.Packs = make([]Pack, b.count(MaxPacks, 5+16))
	for i := range r.Packs {
		r.Packs[i] = Pack{
			Place: Place{Attempt: attempt(), Number: b.uvarint(MaxObjectNumber)}, Bytes: int64(b.uvarint(MaxPackBytes)),
			Alive: b.uvarint(MaxPackChunks), AliveBytes: int64(b.uvarint(MaxPackBytes)),
		}
		copy(r.Packs[i].MD5[:], b.take(16))
	}
	if !b.ended() {
		return corrupt("the body of the root has not the form of one")
	}
	return nil
}
