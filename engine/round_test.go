package engine

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/chunk"
)

func TestEveryVolumeComesBack(t *testing.T) {
	t.Parallel()
	for _, keyed := range []bool{false, true} {
		for _, unit := range []int{64 * kib, 256 * kib, 4 * mib} {
			t.Run(fmt.Sprintf("keyed=%v/chunk=%d", keyed, unit), func(t *testing.T) {
				r := newRig(t, Options{ChunkBytes: unit, Hash: chunk.SHA256}, keyed)
				sparse := make([]byte, 5*unit+3*grain)
				copy(sparse[3*unit+5:], "an island")
				for name, data := range map[string][]byte{
					"empty": {}, "zeros": make([]byte, 3*unit), "sparse": sparse, "random": r.random(3 * unit),
					"odd": r.random(unit + 12345), "tiny": {7}, "tiny zero": {0}, "sector": r.random(512),
					"mixed": r.mixed(6*unit + 77), "long tail": append(make([]byte, 2*unit), 1),
				} {
					t.Run(name, func(t *testing.T) {
						b := r.backup(newSource(data))
						if b.Mode != Full || b.Reach.Len()+1 != uint64(b.ObjectCount) || b.Spare.Len() != 0 {
							t.Errorf("the result is odd: %+v", b.BackupResult)
						}
						r.restore(b)
						r.clean(b)
					})
				}
			})
		}
	}
}

func TestManyPacksComeBack(t *testing.T) {
	r := newRig(t, Options{PackBytes: 300 * kib}, true)
	b := r.backup(newSource(r.mixed(20*mib + 5)))
	if packs := len(r.store.names("/pack-")); packs < 10 {
		t.Errorf("there are %d packs", packs)
	}
	r.restore(b)
	r.clean(b)
}

func TestAFreshTargetKeepsItsHoles(t *testing.T) {
	r := newRig(t, Options{ChunkBytes: 256 * kib}, false)
	data := make([]byte, 8*mib+100)
	copy(data[mib:], r.random(256*kib))
	copy(data[5*mib+128*kib:], r.random(64*kib)) // zeros around it in one chunk
	b := r.backup(newSource(data))
	target := &memTarget{t: t, data: make([]byte, len(data)), fresh: true}
	r.restoreTo(r.restoreInput(b, target), b)
	if !bytes.Equal(target.data, data) {
		t.Fatal("other bytes")
	}
	if target.zeroed != 0 || target.wrote != 320*kib {
		t.Errorf("%d bytes were written and %d made zeros", target.wrote, target.zeroed)
	}
}

func TestALargerTargetKeepsItsRest(t *testing.T) {
	r := newRig(t, Options{}, false)
	b := r.backup(newSource(append(r.mixed(2*mib), make([]byte, 777)...)))
	before := r.random(3 * mib)
	target := &memTarget{t: t, data: bytes.Clone(before)}
	r.restoreTo(r.restoreInput(b, target), b)
	if want := append(bytes.Clone(b.data), before[len(b.data):]...); !bytes.Equal(target.data, want) {
		t.Errorf("other bytes from %d on", differAt(target.data, want))
	}
	small := &memTarget{t: t, data: make([]byte, len(b.data)-1)}
	if err := r.Restore(t.Context(), r.restoreInput(b, small)); stowage.CodeOf(err) != stowage.Invalid {
		t.Errorf("a smaller target: %v", err)
	}
}

func TestCompareWritesWhatDiffers(t *testing.T) {
	r := newRig(t, Options{}, true)
	b := r.backup(newSource(r.random(40*unitBytes + 9)))
	target := &memTarget{t: t, data: bytes.Clone(b.data)}
	target.data[3*unitBytes+1]++
	target.data[len(b.data)-1]++
	in := r.restoreInput(b, readableTarget{target})
	in.Compare = true
	r.restoreTo(in, b)
	if !bytes.Equal(target.data, b.data) || target.wrote != unitBytes+9 || target.read != int64(len(b.data)) {
		t.Errorf("%d bytes were written, %d read, same: %v", target.wrote, target.read, bytes.Equal(target.data, b.data))
	}
	// What cannot be read is written whole.
	plain := &memTarget{t: t, data: make([]byte, len(b.data))}
	in = r.restoreInput(b, plain)
	in.Compare = true
	r.restoreTo(in, b)
	if !bytes.Equal(plain.data, b.data) {
		t.Error("other bytes")
	}
}

// A hole that the storage knows of is not read; one that it does not know of
// is read, and not stored.
func TestZerosAreNotStored(t *testing.T) {
	r := newRig(t, Options{}, false)
	data := make([]byte, 16*mib)
	copy(data[mib:], r.random(unitBytes))
	thin, thick := newSource(data), newSource(data)
	thick.holds = func(stowage.Extent) bool { return true }
	for source, want := range map[*memSource]int64{thin: unitBytes, thick: 16 * mib} {
		b := r.backup(source)
		if b.ReadBytes != want || source.read.Load() != want || b.StoredBytes > unitBytes+4*kib {
			t.Errorf("%d bytes are read, %d stored", b.ReadBytes, b.StoredBytes)
		}
		r.restore(b)
	}
}
