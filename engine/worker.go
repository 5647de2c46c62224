package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/pack"
)

// worker takes one unit after the other from reading to the pack.
type worker struct {
	b     *backup
	codec *codec.Codec
	room  []byte // for what is compressed
}

func (b *backup) newWorker() (*worker, error) {
	c, err := b.codecs.get()
	if err != nil {
		return nil, err
	}
	return &worker{b: b, codec: c, room: make([]byte, codec.Bound(b.format.ChunkBytes))}, nil
}

func (w *worker) close() { w.b.codecs.put(w.codec) }

// unit gives the entries that replace others, in the order of the volume.
func (w *worker) unit(ctx context.Context, u *unit) ([]replacing, error) {
	entries := make([]replacing, 0, len(u.before))
	for _, e := range u.before {
		entries = append(entries, replacing{entry{Chunk: e.Chunk}, &e})
	}
	if len(u.chunks) == 0 {
		return entries, nil
	}
	entries, err := w.look(ctx, u, entries)
	if err != nil {
		return nil, err
	}
	sent := 0
	for i := range entries {
		sent += entries[i].Stored
	}
	// Without the buffer: a job that is held back keeps nobody else waiting.
	return entries, traffic(ctx, sent, w.b.rate, w.b.limit)
}

// look reads a unit and looks at its chunks.
func (w *worker) look(ctx context.Context, u *unit, entries []replacing) ([]replacing, error) {
	buf, err := w.b.reads.get(ctx)
	if err != nil {
		return nil, err
	}
	defer w.b.reads.put(buf)
	w.b.packs.begin()
	defer w.b.packs.end()
	if err := w.read(u, buf); err != nil {
		return nil, err
	}
	if err := w.b.cpus.acquire(ctx); err != nil {
		return nil, err
	}
	defer w.b.cpus.release()
	for i := range u.chunks {
		e, err := w.chunk(ctx, u, i, buf[i*w.b.plan.unit:])
		if err != nil {
			return nil, err
		}
		if e != nil {
			entries = append(entries, *e)
		}
	}
	return entries, nil
}

// read reads the runs of chunks that are to be looked at.
func (w *worker) read(u *unit, buf []byte) error {
	plan := w.b.plan
	for i := 0; i < len(u.chunks); i++ {
		if !u.chunks[i].look {
			continue
		}
		begin, length := i*plan.unit, 0
		for ; i < len(u.chunks) && u.chunks[i].look; i++ {
			length += plan.length(u.first + uint64(i))
		}
		at := int64(u.first)*int64(plan.unit) + int64(begin)
		if err := readFully(w.b.in.Source, buf[begin:begin+length], at); err != nil {
			return fmt.Errorf("read the volume: %w", err)
		}
		w.b.read.Add(int64(length))
	}
	return nil
}

// readFully fills buf. io.ReaderAt may give io.EOF with the last bytes.
func readFully(r io.ReaderAt, buf []byte, at int64) error {
	n, err := r.ReadAt(buf, at)
	if n == len(buf) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at %d, got %d: %w", len(buf), at, n, err)
}

// chunk looks at one chunk; nil: it is as it was.
func (w *worker) chunk(ctx context.Context, u *unit, i int, buf []byte) (*replacing, error) {
	c, number := u.chunks[i], u.first+uint64(i)
	if !c.look {
		if c.old == nil {
			return nil, nil
		}
		return &replacing{entry{Chunk: number}, c.old}, nil
	}
	defer w.b.in.Progress.done.Add(int64(w.b.plan.unit))
	plain := buf[:w.b.plan.length(number)]
	if chunk.IsZero(plain) {
		if c.old == nil {
			return nil, nil
		}
		return &replacing{entry{Chunk: number}, c.old}, nil
	}
	hash := w.b.format.Hash.Sum(plain)
	if c.old != nil && c.old.Hash == hash && !c.anew {
		return nil, nil
	}
	how, stored, err := w.codec.Chunk(w.room, plain)
	if err != nil {
		return nil, fmt.Errorf("compress chunk %d: %w", number, err)
	}
	e, err := w.b.packs.add(ctx, pack.Entry{Number: number, Codec: how, Length: len(plain), Hash: hash}, stored)
	if err != nil {
		return nil, fmt.Errorf("store chunk %d: %w", number, err)
	}
	return &replacing{e, c.old}, nil
}
