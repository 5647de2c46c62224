// Package pack is the format of the objects that chunks travel in. It is pure:
// bytes in, bytes out.
//
// A pack, version 1, all integers big-endian:
//
//	magic      8 bytes   "STOWPK01"
//	payloads             each chunk's stored bytes, one after the other
//	index      n entries of 45 bytes, in ascending order of chunk number:
//	             u32 chunk number within the pack's region of the volume
//	             u8  codec: 0 raw, 1 zstd
//	             u32 stored length
//	             u32 plain length
//	             32  SHA-256 of the plain bytes
//	trailer    u32 n, then 8 bytes "STOWPKEN"
//
// Payloads follow one another in the order of the index and fill the room
// between magic and index exactly. A chunk that is not in the index is zeros.
//
// A tenant can write over a pack. Parse therefore believes nothing: it checks
// every count and length against the bytes that are there and the bounds the
// caller gives, and Plain never gives bytes that do not have the hash.
package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/stowage/stowage"
)

const (
	magic    = "STOWPK01"
	ending   = "STOWPKEN"
	entryLen = 4 + 1 + 4 + 4 + sha256.Size
	tailLen  = 4 + len(ending)
)

// Codecs.
const (
	Raw  = 0
	Zstd = 1
)

// MaxBytes is how long a pack of so many chunks of so many bytes can be.
func MaxBytes(chunks, chunkBytes int) int {
	return len(magic) + chunks*(chunkBytes+entryLen) + tailLen
}

// Entry is one chunk in a pack.
type Entry struct {
	Number int // within the pack's region
	Codec  byte
	Stored int // length in the pack
	Length int // plain length
	Hash   [sha256.Size]byte
	offset int
}

// Writer collects the chunks of one pack. It is used by one goroutine, and
// again after Reset. The bytes it gives belong to it.
type Writer struct {
	buf     []byte
	entries []Entry
	enc     *zstd.Encoder // nil: everything raw
}

// NewWriter makes a writer for packs of up to max bytes (see MaxBytes). With
// compress, chunks that zstd makes at least 3 % smaller are stored so.
func NewWriter(max int, compress bool) (*Writer, error) {
	w := &Writer{buf: make([]byte, 0, max)}
	if compress {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("make a zstd encoder: %w", err)
		}
		w.enc = enc
	}
	w.Reset()
	return w, nil
}

// Reset begins a new pack.
func (w *Writer) Reset() {
	w.buf = append(w.buf[:0], magic...)
	w.entries = w.entries[:0]
}

// Len is the number of chunks so far.
func (w *Writer) Len() int { return len(w.entries) }

// Add adds a chunk; numbers ascend.
func (w *Writer) Add(number int, plain []byte) error {
	if n := len(w.entries); n > 0 && w.entries[n-1].Number >= number {
		return fmt.Errorf("chunk %d after chunk %d", number, w.entries[n-1].Number)
	}
	e := Entry{Number: number, Codec: Raw, Length: len(plain), Hash: sha256.Sum256(plain)}
	start := len(w.buf)
	if w.enc != nil {
		w.buf = w.enc.EncodeAll(plain, w.buf)
		e.Codec = Zstd
	}
	if w.enc == nil || len(w.buf)-start > len(plain)-len(plain)/32 {
		w.buf = append(w.buf[:start], plain...)
		e.Codec = Raw
	}
	e.Stored = len(w.buf) - start
	w.entries = append(w.entries, e)
	return nil
}

// Finish gives the pack's bytes, valid until Reset.
func (w *Writer) Finish() []byte {
	for _, e := range w.entries {
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(e.Number))
		w.buf = append(w.buf, e.Codec)
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(e.Stored))
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(e.Length))
		w.buf = append(w.buf, e.Hash[:]...)
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(w.entries)))
	w.buf = append(w.buf, ending...)
	return w.buf
}

// Pack is a parsed pack.
type Pack struct {
	Entries []Entry
	data    []byte
}

func damaged(format string, args ...any) error {
	return stowage.Errorf(stowage.Corrupt, "not a pack: "+format, args...)
}

// Parse reads a pack of at most chunks chunks of at most chunkBytes each. Its
// errors have the code Corrupt. The pack keeps data.
func Parse(data []byte, chunks, chunkBytes int) (*Pack, error) {
	if len(data) < len(magic)+tailLen || string(data[:len(magic)]) != magic {
		return nil, damaged("it does not begin as one")
	}
	if string(data[len(data)-len(ending):]) != ending {
		return nil, damaged("it does not end as one")
	}
	n := int64(binary.BigEndian.Uint32(data[len(data)-tailLen:]))
	indexAt := int64(len(data)) - int64(tailLen) - n*int64(entryLen)
	if n > int64(chunks) || indexAt < int64(len(magic)) {
		return nil, damaged("%d chunks in %d bytes", n, len(data))
	}
	p := &Pack{Entries: make([]Entry, n), data: data}
	at := len(magic)
	for i := range p.Entries {
		raw := data[int(indexAt)+i*entryLen:]
		e := Entry{
			Number: int(binary.BigEndian.Uint32(raw)),
			Codec:  raw[4],
			Stored: int(binary.BigEndian.Uint32(raw[5:])),
			Length: int(binary.BigEndian.Uint32(raw[9:])),
			offset: at,
		}
		copy(e.Hash[:], raw[13:entryLen])
		switch {
		case e.Number >= chunks || i > 0 && p.Entries[i-1].Number >= e.Number:
			return nil, damaged("chunk number %d is out of place", e.Number)
		case e.Length < 1 || e.Length > chunkBytes:
			return nil, damaged("chunk %d has %d bytes", e.Number, e.Length)
		case e.Stored < 1 || int64(e.Stored) > indexAt-int64(at):
			return nil, damaged("chunk %d is stored in %d bytes", e.Number, e.Stored)
		case e.Codec == Raw && e.Stored != e.Length, e.Codec > Zstd:
			return nil, damaged("chunk %d has codec %d", e.Number, e.Codec)
		}
		at += e.Stored
		p.Entries[i] = e
	}
	if int64(at) != indexAt {
		return nil, damaged("%d bytes belong to no chunk", indexAt-int64(at))
	}
	return p, nil
}

// Reader turns stored chunks into plain ones. It may be used by one goroutine
// at a time.
type Reader struct{ dec *zstd.Decoder }

// NewReader makes a reader for chunks of up to chunkBytes.
func NewReader(chunkBytes int) (*Reader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(chunkBytes, 1<<20))))
	if err != nil {
		return nil, fmt.Errorf("make a zstd decoder: %w", err)
	}
	return &Reader{dec: dec}, nil
}

// Close gives up the decoder.
func (r *Reader) Close() { r.dec.Close() }

// Plain gives a chunk's plain bytes, in room (of at least the chunk's length)
// or in the pack itself. Its errors have the code Corrupt.
func (r *Reader) Plain(p *Pack, e Entry, room []byte) ([]byte, error) {
	plain := p.data[e.offset : e.offset+e.Stored]
	if e.Codec == Zstd {
		// The capacity bounds what a bomb can make of it.
		var err error
		plain, err = r.dec.DecodeAll(plain, room[:0:e.Length])
		if err != nil {
			return nil, stowage.Wrap(stowage.Corrupt, err, "chunk %d does not decompress", e.Number)
		}
	}
	if len(plain) != e.Length || sha256.Sum256(plain) != e.Hash {
		return nil, stowage.Errorf(stowage.Corrupt, "chunk %d is not what was stored", e.Number)
	}
	return plain, nil
}
