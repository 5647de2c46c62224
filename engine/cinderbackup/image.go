package cinderbackup

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/stowage/stowage"
)

// Image is a volume as a chain makes it: what of it is in which object.
type Image struct {
	Chain    *Chain
	Metadata []*Metadata // of the chain, the newest first
	Bytes    int64       // of the volume
	runs     []run       // by object
	parts    []part      // by the first byte that is wanted of them
}

// place is an object of a chain.
type place struct{ member, object uint32 }

// run is a run of the volume that is to come from an object.
type run struct {
	place
	from, to int64
}

// part is the runs of one object: runs[first:last].
type part struct{ first, last int }

// Part is an object that a restore reads, and what it wants of it.
type Part struct {
	Object
	Name string
	Own  bool             // it is the backup's own, not an ancestor's
	Runs []stowage.Extent // of the volume, in order, within the object
}

// NewImage puts the backups of a chain over one another, the newest first.
func NewImage(list []*Metadata) (*Image, error) {
	chain, err := Of(list)
	if err != nil {
		return nil, err
	}
	i := &Image{Chain: chain, Metadata: list}
	full := list[len(list)-1].Objects
	i.Bytes = full[len(full)-1].End()
	var all []place
	for m, one := range list {
		for o, object := range one.Objects {
			if object.End() > i.Bytes {
				return nil, corrupt("%s goes to %d, and the full backup to %d", one.Prefix.Object(o+1), object.End(), i.Bytes)
			}
			all = append(all, place{uint32(m), uint32(o)})
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(i.at(a).Offset, i.at(b).Offset), cmp.Compare(a.member, b.member))
	})
	i.sweep(all)
	i.collect()
	return i, nil
}

func (i *Image) at(p place) Object { return i.Metadata[p.member].Objects[p.object] }

// open are the objects that have the byte the sweep is at, the newest on top.
type open []place

func (o open) Len() int           { return len(o) }
func (o open) Less(a, b int) bool { return o[a].member < o[b].member }
func (o open) Swap(a, b int)      { o[a], o[b] = o[b], o[a] }
func (o *open) Push(p any)        { *o = append(*o, p.(place)) }
func (o *open) Pop() any {
	last := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return last
}

// sweep goes through the volume once, and takes each byte from the newest
// object that has it. all is in order of offsets. A full backup has every byte,
// so somebody always does.
func (i *Image) sweep(all []place) {
	var o open
	for pos := int64(0); pos < i.Bytes; {
		for len(all) > 0 && i.at(all[0]).Offset <= pos {
			heap.Push(&o, all[0])
			all = all[1:]
		}
		for i.at(o[0]).End() <= pos {
			heap.Pop(&o)
		}
		top := o[0]
		to := i.at(top).End()
		for len(all) > 0 && i.at(all[0]).Offset < to {
			if all[0].member < top.member {
				to = i.at(all[0]).Offset
				break
			}
			heap.Push(&o, all[0])
			all = all[1:]
		}
		i.runs = append(i.runs, run{top, pos, to})
		pos = to
	}
}

// collect puts the runs of each object together, and the objects in the order
// of the volume.
func (i *Image) collect() {
	slices.SortFunc(i.runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.member, b.member), cmp.Compare(a.object, b.object), cmp.Compare(a.from, b.from))
	})
	for first := 0; first < len(i.runs); {
		last := first + 1
		for last < len(i.runs) && i.runs[last].place == i.runs[first].place {
			last++
		}
		i.parts = append(i.parts, part{first, last})
		first = last
	}
	slices.SortFunc(i.parts, func(a, b part) int {
		return cmp.Compare(i.at(i.runs[a.first].place).Offset, i.at(i.runs[b.first].place).Offset)
	})
}

// Len is how many data objects a restore reads.
func (i *Image) Len() int { return len(i.parts) }

// Part gives one of them, in the order of their offsets.
func (i *Image) Part(n int) Part {
	p := i.parts[n]
	at := i.runs[p.first].place
	out := Part{Object: i.at(at), Name: i.Metadata[at.member].Prefix.Object(int(at.object) + 1), Own: at.member == 0}
	for _, r := range i.runs[p.first:p.last] {
		out.Runs = append(out.Runs, stowage.Extent{Offset: r.from, Length: r.to - r.from})
	}
	return out
}

// Encrypted reports whether any of the backups is of an encrypted volume.
func (i *Image) Encrypted() bool {
	return slices.ContainsFunc(i.Metadata, func(m *Metadata) bool { return m.Volume.Encrypted })
}

// SizeGiB is the size of the volume as Cinder counts it.
func (i *Image) SizeGiB() int64 { return max(i.Metadata[0].Volume.SizeGiB, stowage.SizeGiB(i.Bytes)) }
