package drivertest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/stowage/stowage/drivers"
)

// Lagging is a store that lists late, as an eventually consistent one may: its
// list lacks what was put and names what was deleted since the last Settle.
// Put, Get, Stat and Delete are right at once.
type Lagging struct {
	drivers.Store

	mu sync.Mutex
	// then is how the objects changed since Settle were before: nil if they
	// were not there.
	then map[string]*drivers.ObjectInfo
}

// NewLagging wraps a store whose list is right at the moment.
func NewLagging(store drivers.Store) *Lagging {
	return &Lagging{Store: store, then: map[string]*drivers.ObjectInfo{}}
}

// Settle lets the list catch up.
func (l *Lagging) Settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.then)
}

// Put remembers what the list has to go on showing, then puts.
func (l *Lagging) Put(ctx context.Context, name string, data []byte) (string, error) {
	l.remember(ctx, name)
	return l.Store.Put(ctx, name, data)
}

// Delete remembers what the list has to go on showing, then deletes.
func (l *Lagging) Delete(ctx context.Context, name string) error {
	l.remember(ctx, name)
	return l.Store.Delete(ctx, name)
}

func (l *Lagging) remember(ctx context.Context, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.then[name]; known {
		return
	}
	info, err := l.Store.Stat(ctx, name)
	if err != nil {
		l.then[name] = nil
		return
	}
	l.then[name] = &info
}

// List gives the list as it was when it settled.
func (l *Lagging) List(ctx context.Context, prefix string, fn func(drivers.ObjectInfo) error) error {
	var old []drivers.ObjectInfo
	err := l.Store.List(ctx, prefix, func(o drivers.ObjectInfo) error {
		if _, changed := l.before(o.Name); !changed {
			old = append(old, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	for name, info := range l.then {
		if info != nil && strings.HasPrefix(name, prefix) {
			old = append(old, *info)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(old, func(a, b drivers.ObjectInfo) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range old {
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lagging) before(name string) (*drivers.ObjectInfo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info, changed := l.then[name]
	return info, changed
}
