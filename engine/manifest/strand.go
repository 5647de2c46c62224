package manifest

import (
	"context"
	"sort"

	"github.com/stowage/stowage/engine/seal"
)

// none is no page.
const none = -1

// strand is a cursor's place in one layer. The chunk at its head is known
// without the page it is in, from the index or, before that, from the root; so
// objects and pages are only opened if their turn comes.
type strand struct {
	cursor *Cursor
	layer  Layer
	object int    // in layer
	index  *index // of the object; nil: not opened
	page   int    // in index
	loaded bool   // entries are the page's
	room   *pageRoom
	plain  []byte

	entries []Entry
	at      int // in entries

	window     // of the object
	ahead  int // bytes to read at a time, at most; 0: one page
	follow int // the page behind the last that were fetched; none: that is not where we come from
}

// head gives the chunk the strand is at; false: it is at its end.
func (s *strand) head() (uint64, bool) {
	switch {
	case s.object == len(s.layer):
		return 0, false
	case s.loaded:
		return s.entries[s.at].Chunk, true
	case s.index != nil:
		return s.index.pages[s.page].first, true
	}
	return s.layer[s.object].First, true
}

// skip goes to the first entry at or after chunk. What lies before it is not
// fetched.
func (s *strand) skip(ctx context.Context, chunk uint64) error {
	for {
		at, ok := s.head()
		if !ok || at >= chunk {
			return nil
		}
		if s.layer[s.object].Last < chunk {
			s.turn(none)
			continue
		}
		if err := s.open(ctx); err != nil {
			return err
		}
		// The page it may be in is the last that does not begin behind it.
		rest := s.index.pages[s.page+1:]
		if n := sort.Search(len(rest), func(i int) bool { return rest[i].first > chunk }); n > 0 {
			s.page, s.loaded = s.page+n, false
			continue
		}
		if err := s.load(ctx); err != nil {
			return err
		}
		// Nearly always it is the next one.
		if s.at++; s.at < len(s.entries) && s.entries[s.at].Chunk < chunk {
			s.at += sort.Search(len(s.entries)-s.at, func(i int) bool { return s.entries[s.at+i].Chunk >= chunk })
		}
		if s.at < len(s.entries) {
			return nil
		}
		if s.page, s.loaded = s.page+1, false; s.page == len(s.index.pages) {
			s.turn(0)
		}
	}
}

// turn goes to the next object. follow is 0 if it comes there by walking.
func (s *strand) turn(follow int) {
	s.object++
	s.index, s.page, s.loaded, s.follow = nil, 0, false, follow
	s.window.data = s.window.data[:0]
}

// load makes entries those of the page the strand is at.
func (s *strand) load(ctx context.Context) error {
	if s.loaded {
		return nil
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	o, p := &s.layer[s.object], &s.index.pages[s.page]
	box, err := s.box(ctx)
	if err != nil {
		return err
	}
	k := s.cursor.keys
	if k.format.Hash.Sum(box) != p.hash {
		return corrupt("page %d of map object %d was changed", s.page, o.Number)
	}
	boxes, err := k.Boxes(seal.Map, o.Place)
	if err != nil {
		return err
	}
	s.plain = grow(s.plain, p.plain)
	if err := unbox(boxes, s.cursor.codec, s.plain, box, uint64(s.page)); err != nil {
		return err
	}
	if s.room == nil {
		s.room = &pageRoom{}
	}
	if s.entries, err = s.room.parse(s.plain, &k.format, s.index.attempts); err != nil {
		return err
	}
	last, limit := s.entries[len(s.entries)-1].Chunk, o.Last
	if s.page+1 < len(s.index.pages) {
		limit = s.index.pages[s.page+1].first - 1
	}
	if len(s.entries) != p.entries || s.entries[0].Chunk != p.first || last > limit {
		return corrupt("page %d of map object %d is not the one its index lists", s.page, o.Number)
	}
	if s.page+1 == len(s.index.pages) && last != o.Last {
		return corrupt("map object %d ends with chunk %d instead of %d", o.Number, last, o.Last)
	}
	s.at, s.loaded = 0, true
	return nil
}
