package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

// Encode gives the root's bytes. It refuses what could not be read again, and
// writes only the salts that are needed. Layers without objects are left out.
func (r *Root) Encode(secret *seal.Secret, c *codec.Codec) ([]byte, error) {
	w := *r
	w.Info.Format = FormatName
	w.Layers = slices.DeleteFunc(slices.Clone(r.Layers), func(l Layer) bool { return len(l) == 0 })
	table, err := w.refer()
	if err == nil {
		err = w.check()
	}
	if err != nil {
		return nil, unfit(err)
	}
	info, err := json.Marshal(w.Info)
	if err != nil {
		return nil, unfit(err)
	}
	if len(info) > MaxInfoBytes {
		return nil, unfit(corrupt("there are %d bytes of JSON", len(info)))
	}
	boxes, err := seal.New(w.header(), secret)
	if err != nil {
		return nil, err
	}
	body := w.appendBody(nil, info, table)
	frame, err := c.Compress(make([]byte, 0, codec.Bound(len(body))), body)
	if err != nil {
		return nil, fmt.Errorf("compress the root: %w", err)
	}
	out := w.header().Append(make([]byte, 0, len(frame)+256))
	out = binary.BigEndian.AppendUint32(out, uint32(len(w.Wrapped)))
	out = append(out, w.Wrapped...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = boxes.Seal(out, frame, seal.BodyBox)
	if _, err := ParseRoot(out); err != nil {
		return nil, unfit(err)
	}
	return out, nil
}

func unfit(err error) error {
	return stowage.Wrap(stowage.Internal, err, "the backup cannot be written down")
}

func (r *Root) header() seal.Header {
	return seal.Header{Kind: seal.Root, Format: r.Format, Salt: r.Salt}
}

// refer leaves the salts that are referred to, and gives their attempts in order.
func (r *Root) refer() ([]Attempt, error) {
	salts := map[Attempt]seal.Salt{}
	var table []Attempt
	add := func(a Attempt) error {
		if _, ok := salts[a]; ok {
			return nil
		}
		s, ok := r.Salts[a]
		if a == r.Self && !ok {
			s, ok = r.Salt, true
		}
		if !ok || a.Fence > MaxFence {
			return corrupt("the root refers to attempt %d at backup %s, which has no salt", a.Fence, a.Backup)
		}
		salts[a] = s
		table = append(table, a)
		return nil
	}
	for _, l := range r.Layers {
		for i := range l {
			if err := add(l[i].Attempt); err != nil {
				return nil, err
			}
		}
	}
	for i := range r.Packs {
		if err := add(r.Packs[i].Attempt); err != nil {
			return nil, err
		}
	}
	for _, a := range r.Kept {
		if err := add(a); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(table, Attempt.Compare)
	r.Salts = salts
	return table, nil
}

// Sealed is a root whose clear part was read.
type Sealed struct {
	Header  seal.Header
	Wrapped []byte // the project's key; none without a cipher
	plain   int    // bytes of body
	box     []byte
}

// ParseRoot reads the clear part of a root: what it takes to find the key.
func ParseRoot(data []byte) (*Sealed, error) {
	h, err := seal.ParseHeader(seal.Root, data)
	if err != nil {
		return nil, err
	}
	if h.Number != 0 {
		return nil, corrupt("a root has no number, and this has %d", h.Number)
	}
	b := &reader{data: data[seal.HeaderBytes:]}
	w := b.u32()
	if h.Cipher == seal.None && w != 0 || h.Cipher != seal.None && w != seal.WrappedBytes {
		return nil, corrupt("the root has a wrapped key of %d bytes", w)
	}
	s := &Sealed{Header: h}
	if w > 0 {
		s.Wrapped = bytes.Clone(b.take(int(w)))
	}
	plain := b.u32()
	s.box = b.data
	if b.bad || len(s.box) <= sealBytes(h.Cipher) {
		return nil, corrupt("the root is cut off")
	}
	if plain < 1 || plain > MaxBodyBytes || int64(plain) > MaxInfoBytes+bodyRatio*int64(len(s.box)) || len(s.box) > maxStored(int(plain)) {
		return nil, corrupt("the root has %d bytes of body from %d stored ones", plain, len(s.box))
	}
	s.plain = int(plain)
	return s, nil
}

// Open opens the root with the project's key, which is not looked at without a
// cipher. It may be called again.
func (s *Sealed) Open(secret *seal.Secret, c *codec.Codec) (*Root, error) {
	boxes, err := seal.New(s.Header, secret)
	if err != nil {
		return nil, err
	}
	frame, err := boxes.Open(bytes.Clone(s.box), seal.BodyBox)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, s.plain)
	if err := c.Decompress(plain, frame); err != nil {
		return nil, err
	}
	r := &Root{Format: s.Header.Format, Wrapped: s.Wrapped, Salt: s.Header.Salt}
	if err := r.parseBody(plain); err != nil {
		return nil, err
	}
	return r, r.check()
}
