package manifest

import (
	"crypto/md5"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// limits are where the writer cuts. Tests make them small.
type limits struct {
	entries int // of a page
	pages   int // of an object
	bytes   int // from here on an object is finished
}

// LayerWriter takes the entries of a layer in ascending order of chunks and
// cuts them into pages and map objects. It holds one object in memory. It
// belongs to one goroutine.
type LayerWriter struct {
	keys    *Keys
	attempt Attempt
	next    func() uint64
	put     func(Object, []byte) error
	limits  limits
	codec   *codec.Codec
	err     error // of the first thing that went wrong; nothing is done after it
	layer   Layer

	entries []Entry // of the page to come
	begun   bool    // there was an entry
	last    uint64  // its chunk

	object Object // the one that is being made, if buf is not empty
	boxes  *seal.Boxes
	index  index
	place  map[Attempt]int // in index.attempts
	buf    []byte          // the object's bytes
	plain  []byte
	frame  []byte
}

// NewLayerWriter makes a writer of a layer of attempt a, which the keys must
// know. next gives the next free number of a map object of the attempt; put
// stores one finished object, whose bytes are the writer's again afterwards.
func NewLayerWriter(k *Keys, a Attempt, next func() uint64, put func(Object, []byte) error) (*LayerWriter, error) {
	if !k.Knows(a) {
		return nil, stowage.Errorf(stowage.Internal, "the attempt that writes the map is not known")
	}
	c, err := codec.New()
	if err != nil {
		return nil, err
	}
	return &LayerWriter{
		keys: k, attempt: a, next: next, put: put, codec: c, place: map[Attempt]int{},
		limits: limits{entries: pageEntries, pages: objectPages, bytes: objectBytes},
	}, nil
}

// Add takes the next entry. It must be within the bounds of the format, and
// behind the one before.
func (w *LayerWriter) Add(e Entry) error {
	if w.err == nil {
		w.err = w.add(&e)
	}
	return w.err
}

func (w *LayerWriter) add(e *Entry) error {
	if w.codec == nil {
		return stowage.Errorf(stowage.Internal, "the layer is closed")
	}
	if w.begun && e.Chunk <= w.last {
		return stowage.Errorf(stowage.Internal, "chunk %d is added to a layer after chunk %d", e.Chunk, w.last)
	}
	f := w.keys.Format()
	if err := e.check(&f); err != nil {
		return stowage.Wrap(stowage.Internal, err, "an entry cannot be written")
	}
	if e.Codec != codec.Zeros && !w.keys.Knows(e.Pack.Attempt) {
		return stowage.Errorf(stowage.Internal, "chunk %d is in a pack of an attempt that is not known", e.Chunk)
	}
	w.begun, w.last = true, e.Chunk
	if w.entries = append(w.entries, *e); len(w.entries) < w.limits.entries {
		return nil
	}
	return w.page()
}

// page puts the entries at hand into the object.
func (w *LayerWriter) page() error {
	if len(w.buf) == 0 {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for i := range w.entries {
		e := &w.entries[i]
		if _, known := w.place[e.Pack.Attempt]; !known && e.Codec != codec.Zeros {
			if len(w.index.attempts) == MaxAttempts {
				return stowage.Errorf(stowage.Internal, "a map object cannot refer to more than %d attempts", MaxAttempts)
			}
			w.place[e.Pack.Attempt] = len(w.index.attempts)
			w.index.attempts = append(w.index.attempts, e.Pack.Attempt)
		}
	}
	w.plain = appendPage(w.plain[:0], w.entries, w.place)
	p := page{
		first: w.entries[0].Chunk, entries: len(w.entries),
		offset: int64(len(w.buf)), plain: len(w.plain),
	}
	if err := w.box(uint64(len(w.index.pages))); err != nil {
		return err
	}
	p.stored = len(w.buf) - int(p.offset)
	p.hash = w.keys.format.Hash.Sum(w.buf[p.offset:])
	if len(w.index.pages) == 0 {
		w.object.First = p.first
	}
	w.object.Last = w.entries[len(w.entries)-1].Chunk
	w.object.Entries += uint64(len(w.entries))
	w.index.pages = append(w.index.pages, p)
	w.entries = w.entries[:0]
	if len(w.index.pages) >= w.limits.pages || len(w.buf) >= w.limits.bytes {
		return w.finish()
	}
	return nil
}

// begin begins an object.
func (w *LayerWriter) begin() error {
	w.object = Object{Place: Place{Attempt: w.attempt, Number: w.next()}}
	if w.object.Number < 1 || w.object.Number > MaxObjectNumber {
		return stowage.Errorf(stowage.Internal, "a map object cannot have the number %d", w.object.Number)
	}
	h, err := w.keys.Header(seal.Map, w.object.Place)
	if err != nil {
		return err
	}
	if w.boxes, err = w.keys.Boxes(seal.Map, w.object.Place); err != nil {
		return err
	}
	w.buf = h.Append(w.buf)
	w.index = index{attempts: w.index.attempts[:0], pages: w.index.pages[:0]}
	clear(w.place)
	return nil
}

// box compresses what is in plain, and puts the box of it into the object.
func (w *LayerWriter) box(number uint64) error {
	if need := codec.Bound(len(w.plain)); cap(w.frame) < need {
		w.frame = make([]byte, need)
	}
	frame, err := w.codec.Compress(w.frame[:0], w.plain)
	if err != nil {
		return fmt.Errorf("compress a part of the map: %w", err)
	}
	// Sealing by itself makes room for this box only, and copies the object each time.
	w.buf = w.boxes.Seal(slices.Grow(w.buf, len(frame)+w.boxes.Overhead()), frame, number)
	return nil
}

// finish ends the object and stores it.
func (w *LayerWriter) finish() error {
	w.plain = w.index.append(w.plain[:0])
	t := seal.Trailer{IndexOffset: int64(len(w.buf)), IndexPlain: len(w.plain), Count: len(w.index.pages)}
	if err := w.box(seal.IndexBox); err != nil {
		return err
	}
	t.IndexStored = len(w.buf) - int(t.IndexOffset)
	w.object.Index = w.keys.format.Hash.Sum(w.buf[t.IndexOffset:])
	w.buf = t.Append(w.buf, seal.Map)
	w.object.Bytes = int64(len(w.buf))
	w.object.MD5 = md5.Sum(w.buf)
	if err := w.put(w.object, w.buf); err != nil {
		return err
	}
	w.layer = append(w.layer, w.object)
	w.buf = w.buf[:0]
	return nil
}

// Close stores what is left and gives the layer, nil if there was no entry. It
// must be called, also after an error, which it gives again.
func (w *LayerWriter) Close() (Layer, error) {
	if w.codec == nil {
		return w.layer, w.err
	}
	if w.err == nil && len(w.entries) > 0 {
		w.err = w.page()
	}
	if w.err == nil && len(w.buf) > 0 {
		w.err = w.finish()
	}
	w.codec.Close()
	w.codec = nil
	if w.err != nil {
		w.layer = nil
	}
	return w.layer, w.err
}
