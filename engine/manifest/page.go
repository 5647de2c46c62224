package manifest

import (
	"encoding/binary"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// appendPage appends the columns of a page. place gives an attempt's place in
// the table of the object's index.
func appendPage(dst []byte, entries []Entry, place map[Attempt]int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	before := uint64(0)
	for i := range entries {
		dst = binary.AppendUvarint(dst, entries[i].Chunk-before)
		before = entries[i].Chunk
	}
	for i := range entries {
		dst = append(dst, entries[i].Codec)
	}
	data := func(column func(*Entry)) {
		for i := range entries {
			if entries[i].Codec != codec.Zeros {
				column(&entries[i])
			}
		}
	}
	data(func(e *Entry) { dst = binary.AppendUvarint(dst, uint64(place[e.Pack.Attempt])) })
	data(func(e *Entry) { dst = binary.AppendUvarint(dst, e.Pack.Number) })
	var at expected
	data(func(e *Entry) {
		dst = binary.AppendVarint(dst, e.Offset-at.offset(e.Pack))
		at.follow(e)
	})
	data(func(e *Entry) { dst = binary.AppendUvarint(dst, uint64(e.Stored)) })
	data(func(e *Entry) { dst = append(dst, e.Hash[:]...) })
	return dst
}

// expected is where the next chunk of a pack would be if chunks lay in it in
// the order of the map, as they do unless they are from several backups.
type expected struct {
	pack Place
	end  int64
}

func (x *expected) offset(pack Place) int64 {
	if pack == x.pack {
		return x.end
	}
	return seal.HeaderBytes
}

func (x *expected) follow(e *Entry) { x.pack, x.end = e.Pack, e.Offset+int64(e.Stored) }

// pageRoom is what a page is read into.
type pageRoom struct {
	entries [pageEntries]Entry
	data    [pageEntries]int // the entries that are not zeros
}

// parse reads a page. What it gives is in the room, and good until the next
// page. Every entry is within the bounds of the format, and chunks ascend.
func (room *pageRoom) parse(plain []byte, f *seal.Format, attempts []Attempt) ([]Entry, error) {
	r := &reader{data: plain}
	n := r.count(pageEntries, 2)
	if n < 1 {
		return nil, corrupt("a page of the map has no proper number of entries")
	}
	out := room.entries[:n]
	number := uint64(0)
	for i := range out {
		more := r.uvarint(chunk.MaxNumber)
		if i > 0 && more == 0 {
			return nil, corrupt("the chunks of a page do not ascend")
		}
		number += more
		out[i] = Entry{Chunk: number}
	}
	codecs := r.take(n)
	if codecs == nil {
		return nil, corrupt("a page of the map is cut off")
	}
	data := room.data[:0]
	for i, c := range codecs {
		if out[i].Codec = c; c != codec.Zeros {
			data = append(data, i)
		}
	}
	for _, i := range data {
		if at := r.uvarint(MaxAttempts); at < uint64(len(attempts)) {
			out[i].Pack.Attempt = attempts[at]
		} else {
			r.fail()
		}
	}
	for _, i := range data {
		out[i].Pack.Number = r.uvarint(MaxObjectNumber)
	}
	for _, i := range data {
		out[i].Offset = r.varint(MaxPackBytes) // from what is expected, yet
	}
	var at expected
	for _, i := range data {
		e := &out[i]
		e.Stored = int(r.uvarint(chunk.MaxBytes + 16))
		e.Offset += at.offset(e.Pack)
		at.follow(e)
	}
	for _, i := range data {
		copy(out[i].Hash[:], r.take(len(chunk.Hash{})))
	}
	if !r.ended() {
		return nil, corrupt("a page of the map has not the form of one")
	}
	for i := range out {
		if err := out[i].check(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}
