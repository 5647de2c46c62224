package manifest

// Where layers are merged, see "Increments" in doc/design.md.
const (
	mergeLayers  = 8    // as many as a root is written with
	mergeEntries = 1024 // a layer below is taken in whatever is on top of it
	mergeFactor  = 2    // a layer of less than so many times what is on top of it is taken in
	mergeLowest  = 4    // the same for the lowest, which is worth more: what it holds of zeros goes
)

// Merge tells how many of the layers below, newest first, a new layer of so
// many entries takes in. Sizes that grow twofold from layer to layer make for a
// map that is rewritten a logarithm of times.
func Merge(newEntries uint64, below []Layer) (take int) {
	if newEntries == 0 && len(below) <= mergeLayers {
		return 0 // there is no new layer
	}
	top := newEntries
	for ; take < len(below); take++ {
		n := below[take].Entries()
		factor := uint64(mergeFactor)
		if take == len(below)-1 {
			factor = mergeLowest
		}
		if n >= factor*top && n >= mergeEntries && len(below)-take < mergeLayers {
			break
		}
		top += n
	}
	return take
}
