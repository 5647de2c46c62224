package manifest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/stowage/stowage/engine/seal"
)

// Objects is a set of packs and map objects, as bitmaps of numbers for each
// attempt. Deleting is arithmetic with such sets. The zero value is empty. A
// set belongs to one goroutine.
type Objects struct{ sets map[Attempt]*numbers }

// numbers are those of one attempt: packs first, as in every order here.
type numbers [2]*roaring.Bitmap

var kinds = [2]seal.Kind{seal.Pack, seal.Map}

// Objects gives the set of what the root reaches, the root itself not included.
func (r *Root) Objects() *Objects {
	o := &Objects{}
	for i := range r.Packs {
		o.Add(seal.Pack, r.Packs[i].Place)
	}
	for _, l := range r.Layers {
		for i := range l {
			o.Add(seal.Map, l[i].Place)
		}
	}
	return o
}

func kindAt(k seal.Kind) int {
	i := slices.Index(kinds[:], k)
	if i < 0 {
		panic("manifest: a " + string(k) + " has no number")
	}
	return i
}

// of gives the numbers of an attempt; they are made if they are not there.
func (o *Objects) of(a Attempt) *numbers {
	n := o.sets[a]
	if n == nil {
		if n = (&numbers{roaring.New(), roaring.New()}); o.sets == nil {
			o.sets = map[Attempt]*numbers{}
		}
		o.sets[a] = n
	}
	return n
}

// Add takes in an object. It must have a number that objects can have.
func (o *Objects) Add(kind seal.Kind, p Place) {
	if p.Number < 1 || p.Number > MaxObjectNumber {
		panic(fmt.Sprintf("manifest: there is no object %d", p.Number))
	}
	o.of(p.Attempt)[kindAt(kind)].Add(uint32(p.Number))
}

// Has reports whether an object is in the set.
func (o *Objects) Has(kind seal.Kind, p Place) bool {
	n := o.sets[p.Attempt]
	return n != nil && p.Number <= MaxObjectNumber && n[kindAt(kind)].Contains(uint32(p.Number))
}

// Len is how many objects are in the set.
func (o *Objects) Len() (total uint64) {
	for _, n := range o.sets {
		total += n[0].GetCardinality() + n[1].GetCardinality()
	}
	return total
}

// Union takes in what is in other.
func (o *Objects) Union(other *Objects) {
	for a, n := range other.sets {
		mine := o.of(a)
		mine[0].Or(n[0])
		mine[1].Or(n[1])
	}
}

// Minus takes out what is in other.
func (o *Objects) Minus(other *Objects) {
	for a, n := range other.sets {
		mine := o.sets[a]
		if mine == nil {
			continue
		}
		mine[0].AndNot(n[0])
		mine[1].AndNot(n[1])
		if mine[0].IsEmpty() && mine[1].IsEmpty() {
			delete(o.sets, a)
		}
	}
}

// attempts gives the attempts that have an object in the set, in order.
func (o *Objects) attempts() (all []Attempt) {
	for a, n := range o.sets {
		if !n[0].IsEmpty() || !n[1].IsEmpty() {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, Attempt.Compare)
	return all
}

// Each calls fn for every object: by attempt, packs before map objects, by
// number. It stops with the first error, and gives it.
func (o *Objects) Each(fn func(kind seal.Kind, p Place) error) error {
	for _, a := range o.attempts() {
		for i, kind := range kinds {
			for it := o.sets[a][i].Iterator(); it.HasNext(); {
				if err := fn(kind, Place{Attempt: a, Number: uint64(it.Next())}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// The blob: 1 byte version, u32 CRC-32C of all that follows, uvarint number of
// attempts, and for each in order its UUID and fence, and twice (packs, map
// objects) uvarint length and a bitmap in the portable form of Roaring. The
// check sum is there because a set that is wrong by a bit would have something
// deleted that is needed.
const (
	objectsVersion  = 1
	maxObjectsBytes = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MarshalBinary gives the set's bytes, the same for the same set.
func (o *Objects) MarshalBinary() ([]byte, error) {
	all := o.attempts()
	out := binary.AppendUvarint(make([]byte, 5), uint64(len(all)))
	for _, a := range all {
		out = appendAttempt(out, a)
		for _, b := range o.sets[a] {
			b.RunOptimize()
			data, err := b.ToBytes()
			if err != nil {
				return nil, fmt.Errorf("encode a bitmap: %w", err)
			}
			out = append(binary.AppendUvarint(out, uint64(len(data))), data...)
		}
	}
	if len(out) > maxObjectsBytes || len(all) > MaxAttempts {
		return nil, fmt.Errorf("a set of objects of %d attempts has %d bytes", len(all), len(out))
	}
	out[0] = objectsVersion
	binary.BigEndian.PutUint32(out[1:], crc32.Checksum(out[5:], castagnoli))
	return out, nil
}

// UnmarshalBinary makes o the set that MarshalBinary gave the bytes of.
func (o *Objects) UnmarshalBinary(data []byte) error {
	if len(data) < 5 || len(data) > maxObjectsBytes || data[0] != objectsVersion {
		return corrupt("%d bytes are no set of objects of a known version", len(data))
	}
	if binary.BigEndian.Uint32(data[1:]) != crc32.Checksum(data[5:], castagnoli) {
		return corrupt("a set of objects was damaged")
	}
	r := &reader{data: data[5:]}
	n := r.count(MaxAttempts, 24+2)
	read := Objects{sets: make(map[Attempt]*numbers, n)}
	var before Attempt
	for i := range n {
		a := r.attempt()
		if i > 0 && before.Compare(a) >= 0 {
			return corrupt("a set of objects is not in order")
		}
		set := &numbers{}
		for k := range set {
			b, err := parseBitmap(r.take(int(r.uvarint(maxObjectsBytes))))
			if err != nil {
				return err
			}
			set[k] = b
		}
		read.sets[a], before = set, a
	}
	if !r.ended() {
		return corrupt("a set of objects has not the form of one")
	}
	*o = read
	return nil
}

func parseBitmap(data []byte) (*roaring.Bitmap, error) {
	b := roaring.New()
	if len(data) == 0 {
		return nil, corrupt("a set of objects is cut off")
	}
	if err := b.UnmarshalBinary(data); err != nil {
		return nil, corrupt("a set of objects has a bitmap that is none")
	}
	// Nothing but the bitmap, nothing twice, and only numbers that objects have.
	wrong := b.GetSerializedSizeInBytes() != uint64(len(data))
	if !wrong && !b.IsEmpty() {
		wrong = b.Validate() != nil || b.Minimum() < 1 || b.Maximum() > MaxObjectNumber
	}
	if wrong {
		return nil, corrupt("a set of objects has a bitmap that is none")
	}
	return b, nil
}
