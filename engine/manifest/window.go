package manifest

import (
	"context"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
)

const (
	wholeBytes = 64 << 10 // an object of no more is fetched at once
	firstAhead = 64 << 10
	mostAhead  = 1 << 20
)

// window is a part of an object as stored, at start.
type window struct {
	start int64
	data  []byte
}

// part gives the bytes from offset, n of them; nil if they are not here.
func (w *window) part(offset int64, n int) []byte {
	from := offset - w.start
	if from < 0 || from+int64(n) > int64(len(w.data)) {
		return nil
	}
	return w.data[from : from+int64(n) : from+int64(n)]
}

// grow gives n bytes, in p's room if that is enough.
func grow(p []byte, n int) []byte {
	if cap(p) < n {
		return make([]byte, n)
	}
	return p[:n]
}

// read makes the window n bytes of the strand's object from offset.
func (s *strand) read(ctx context.Context, offset int64, n int) error {
	s.window = window{start: offset, data: grow(s.window.data, n)}
	err := s.cursor.fetch(ctx, s.layer[s.object], offset, s.window.data)
	if err != nil {
		s.window.data = s.window.data[:0]
	}
	return err
}

// open reads the index of the object the strand is at.
func (s *strand) open(ctx context.Context) error {
	if s.index != nil {
		return nil
	}
	o := &s.layer[s.object]
	if err := o.check(chunk.MaxNumber); err != nil {
		return err
	}
	// A guess at the length of index and trailer; a second look is seldom needed.
	guess := min(o.Bytes, max(wholeBytes, int64(o.Entries/pageEntries)*48+4096))
	if err := s.read(ctx, o.Bytes-guess, int(guess)); err != nil {
		return err
	}
	t, err := seal.ParseTrailer(seal.Map, s.part(o.Bytes-seal.TrailerBytes, seal.TrailerBytes), o.Bytes)
	if err != nil {
		return err
	}
	if t.IndexPlain > maxIndexPlain || t.IndexStored > maxStored(t.IndexPlain) {
		return corrupt("the index of map object %d has %d bytes", o.Number, t.IndexPlain)
	}
	box := s.part(t.IndexOffset, t.IndexStored)
	if box == nil {
		if err := s.read(ctx, t.IndexOffset, t.IndexStored); err != nil {
			return err
		}
		box = s.window.data
	}
	k := s.cursor.keys
	if k.format.Hash.Sum(box) != o.Index {
		return corrupt("the index of map object %d was changed", o.Number)
	}
	boxes, err := k.Boxes(seal.Map, o.Place)
	if err != nil {
		return err
	}
	plain := grow(s.plain, t.IndexPlain)
	if err := unbox(boxes, s.cursor.codec, plain, box, seal.IndexBox); err != nil {
		return err
	}
	x, err := parseIndex(plain, o, t.IndexOffset)
	if err != nil {
		return err
	}
	if len(x.pages) != t.Count {
		return corrupt("map object %d has %d pages instead of %d", o.Number, len(x.pages), t.Count)
	}
	for _, a := range x.attempts {
		if !k.Knows(a) {
			return corrupt("map object %d leads to an attempt that the root does not list", o.Number)
		}
	}
	s.index, s.page = x, 0
	return nil
}

// box gives the box of the page the strand is at. While the strand walks from
// page to page it fetches more and more at a time; after a jump, one page. The
// header is looked at when it is read along with the first page: what protects
// against a changed map is its hashes, this notices a header that is broken.
func (s *strand) box(ctx context.Context) ([]byte, error) {
	pages := s.index.pages
	p := &pages[s.page]
	start := p.offset
	if s.page == 0 {
		start = 0
	}
	if s.part(start, int(p.end()-start)) == nil {
		if s.page == s.follow {
			s.ahead = min(max(2*s.ahead, firstAhead), mostAhead)
		} else {
			s.ahead = 0
		}
		last := s.page
		for last+1 < len(pages) && pages[last+1].end()-start <= int64(s.ahead) {
			last++
		}
		s.follow = last + 1
		if err := s.read(ctx, start, int(pages[last].end()-start)); err != nil {
			return nil, err
		}
	}
	if s.page == 0 {
		o := &s.layer[s.object]
		h, err := s.cursor.keys.Header(seal.Map, o.Place)
		if err != nil {
			return nil, err
		}
		if string(s.part(0, seal.HeaderBytes)) != string(h.Append(nil)) {
			return nil, corrupt("map object %d has not the header it was written with", o.Number)
		}
	}
	return s.part(p.offset, p.stored), nil
}
