package manager

import (
	"slices"
	"sync"

	"github.com/stowage/stowage/db"
)

// telling is the webhooks that are told something, and those that wait for that in the
// order in which they came. None is told twice at once, so its events stay in order; one
// that is slow takes up room of its project's only.
type telling struct {
	mu      sync.Mutex
	waiting []db.DueWebhook // hooksALook at most
	known   map[string]bool // that wait or are told
	told    map[string]int  // at the moment, by project; empty: the operator's
	calls   sync.WaitGroup
}

// add has webhooks told that are due, but for those that are known already, and waits for
// none of them.
func (t *telling) add(due []db.DueWebhook, tell func(id string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known, t.told = map[string]bool{}, map[string]int{}
	}
	for _, w := range due {
		if !t.known[w.ID] && len(t.waiting) < hooksALook {
			t.known[w.ID] = true
			t.waiting = append(t.waiting, w)
		}
	}
	t.begin(tell)
}

// begin begins with those that there is room for; mu is held. Whoever ends makes room for
// the next.
func (t *telling) begin(tell func(id string)) {
	t.waiting = slices.DeleteFunc(t.waiting, func(w db.DueWebhook) bool {
		all := 0
		for _, n := range t.told {
			all += n
		}
		if all >= hooksAtOnce || t.told[w.ProjectID] >= hooksAProject {
			return false
		}
		t.told[w.ProjectID]++
		t.calls.Go(func() {
			tell(w.ID)
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.told[w.ProjectID]--; t.told[w.ProjectID] == 0 {
				delete(t.told, w.ProjectID)
			}
			delete(t.known, w.ID)
			t.begin(tell)
		})
		return true
	})
}
