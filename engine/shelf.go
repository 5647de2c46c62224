package engine

import (
	"container/list"
	"sync"
)

// shelf keeps the values that were used last, and has each made once, however
// many ask for it at the same time.
type shelf[V any] struct {
	most int // values kept; those being made come on top

	mu    sync.Mutex
	cells map[uint64]*cell[V]
	order *list.List // of *cell, those used last in front
}

// cell is a value, or one that is being made.
type cell[V any] struct {
	key   uint64
	place *list.Element // nil while it is being made
	done  chan struct{}
	value V
	err   error
}

func newShelf[V any](most int) *shelf[V] {
	return &shelf[V]{most: max(most, 1), cells: map[uint64]*cell[V]{}, order: list.New()}
}

// claim gives the cell of a key; mine: it is new, and the caller must make it.
func (s *shelf[V]) claim(key uint64) (c *cell[V], mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, there := s.cells[key]; there {
		if c.place != nil {
			s.order.MoveToFront(c.place)
		}
		return c, false
	}
	c = &cell[V]{key: key, done: make(chan struct{})}
	s.cells[key] = c
	return c, true
}

// has reports whether there is a cell of the key.
func (s *shelf[V]) has(key uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.cells[key]
	return there
}

// settle ends the making of a cell, once. What could not be made is not kept, so
// that whoever asks next tries again.
func (s *shelf[V]) settle(c *cell[V], value V, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.value, c.err = value, err
	if err != nil {
		delete(s.cells, c.key)
	} else {
		c.place = s.order.PushFront(c)
		for s.order.Len() > s.most {
			old := s.order.Remove(s.order.Back()).(*cell[V])
			delete(s.cells, old.key)
		}
	}
	close(c.done)
}
