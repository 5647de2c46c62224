package engine

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Each single bit of each object of a backup is looked after. Where the store
// tells the MD5 of what it has, every one that is turned round is found, by
// name, and refused by a restore before anything is written. Where it tells
// none, or an old one, the same goes for all that a restore reads; what it does
// not read, the head and the index of a pack, does it no harm.
func TestEveryBitOfEveryObjectCounts(t *testing.T) {
	for name, keyed := range map[string]bool{"sealed": true, "open": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{}, keyed)
			data := bytes.Repeat([]byte("stowage "), 3*unitBytes/8) // a pack of a few hundred bytes
			clear(data[unitBytes : 2*unitBytes])
			b := r.backup(newSource(data))
			step := 1
			if testing.Short() {
				step = 37
			}
			counts := map[string]int{}
			for _, r.store.noETags = range []bool{false, true} {
				for _, object := range r.store.names("") {
					is := r.store.set(object, nil)
					for bit := 0; bit < 8*len(is); bit += step {
						bad := bytes.Clone(is)
						bad[bit/8] ^= 1 << (bit % 8)
						r.store.set(object, bad)
						counts[r.bit(b, object, bit)]++
					}
					r.store.set(object, is)
				}
			}
			if counts["found"] < 3*counts["harmless"] || counts["found"] < 100 {
				t.Errorf("bits: %v", counts)
			}
			t.Logf("bits: %v", counts)
			r.restore(b)
		})
	}
}

// bit checks that a bit which is not as it was is noticed, or does no harm.
func (r *rig) bit(b made, object string, bit int) string {
	r.t.Helper()
	target := &memTarget{t: r.t, data: make([]byte, len(b.data))}
	err := r.Restore(r.t.Context(), r.restoreInput(b, target))
	found := namesOf(r.verify(b, true))
	if len(found) == 0 && r.store.noETags && strings.Contains(object, "pack-") {
		if err != nil || !bytes.Equal(target.data, b.data) {
			r.t.Fatalf("bit %d of %s: not found by a verification, and the restore says %v", bit, object, err)
		}
		return "harmless"
	}
	if !slices.Equal(found, []string{object}) {
		r.t.Fatalf("bit %d of %s: a verification found %v", bit, object, found)
	}
	if err == nil {
		r.t.Fatalf("bit %d of %s: the restore said nothing", bit, object)
	}
	if !r.store.noETags && target.wrote+target.zeroed > 0 {
		r.t.Fatalf("bit %d of %s: the restore noticed only after it had begun", bit, object)
	}
	for at := 0; at < len(b.data); at += unitBytes {
		was, got := b.data[at:at+unitBytes], target.data[at:at+unitBytes]
		if !bytes.Equal(got, was) && !bytes.Equal(got, make([]byte, unitBytes)) {
			r.t.Fatalf("bit %d of %s: other bytes were written at %d", bit, object, at)
		}
	}
	return "found"
}
