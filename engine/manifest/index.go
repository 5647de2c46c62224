package manifest

import (
	"encoding/binary"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
)

// index is what a map object says of its pages.
type index struct {
	attempts []Attempt // that entries refer to by their place here
	pages    []page
}

// page is one page as the index has it, and where it is.
type page struct {
	first   uint64 // chunk
	entries int
	offset  int64 // of the box in the object
	stored  int
	plain   int
	hash    chunk.Hash // of the box as stored
}

func (p *page) end() int64 { return p.offset + int64(p.stored) }

func (x *index) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(x.attempts)))
	for _, a := range x.attempts {
		dst = appendAttempt(dst, a)
	}
	dst = binary.AppendUvarint(dst, uint64(len(x.pages)))
	before := uint64(0)
	for i := range x.pages {
		p := &x.pages[i]
		dst = binary.AppendUvarint(dst, p.first-before)
		dst = binary.AppendUvarint(dst, uint64(p.entries))
		dst = binary.AppendUvarint(dst, uint64(p.stored))
		dst = binary.AppendUvarint(dst, uint64(p.plain))
		dst = append(dst, p.hash[:]...)
		before = p.first
	}
	return dst
}

// parseIndex reads the index of a map object. The pages fill the room up to
// indexOffset, and are as the root says of the object: from its first chunk,
// with room up to its last, with as many entries.
func parseIndex(plain []byte, o *Object, indexOffset int64) (*index, error) {
	r := &reader{data: plain}
	x := &index{attempts: make([]Attempt, r.count(MaxAttempts, 24))}
	seen := make(map[Attempt]bool, len(x.attempts))
	for i := range x.attempts {
		a := r.attempt()
		if seen[a] {
			return nil, corrupt("map object %d names an attempt twice", o.Number)
		}
		x.attempts[i], seen[a] = a, true
	}
	x.pages = make([]page, r.count(objectPages, 4+len(chunk.Hash{})))
	if len(x.pages) == 0 {
		return nil, corrupt("map object %d has no pages", o.Number)
	}
	at, next, entries := int64(seal.HeaderBytes), uint64(0), uint64(0)
	for i := range x.pages {
		p := &x.pages[i]
		if p.first = r.uvarint(chunk.MaxNumber); i > 0 {
			p.first += x.pages[i-1].first
		}
		p.entries = int(r.uvarint(pageEntries))
		p.stored = int(r.uvarint(uint64(maxStored(maxPagePlain))))
		p.plain = int(r.uvarint(maxPagePlain))
		copy(p.hash[:], r.take(len(p.hash)))
		if r.bad || p.entries < 1 || p.stored < 1 || p.plain < 1 || p.first < next {
			return nil, corrupt("page %d of map object %d has not the form of one", i, o.Number)
		}
		p.offset = at
		at, next, entries = p.end(), p.first+uint64(p.entries), entries+uint64(p.entries)
	}
	if !r.ended() || at != indexOffset || entries != o.Entries || x.pages[0].first != o.First || next-1 > o.Last {
		return nil, corrupt("map object %d is not the one the root lists", o.Number)
	}
	return x, nil
}
