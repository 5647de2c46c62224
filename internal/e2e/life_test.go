//go:build stack

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/stacktest"
)

// The whole life of a backup of a volume of some size, with the memory it costs.
func TestTheWholeLifeOfABackup(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{options: map[string]string{"lease_time": "60"}})
	m := s.manager("m1")
	const size = 4 * gib
	source := s.volume(4)
	fill(s, source, size, mixed("life", size))
	want := sum(s, source, size)

	seen := s.watch(source)
	id := s.create(source)
	b := s.await(id, stowage.BackupAvailable)
	s.free(source)
	if have := seen(); !have["backing-up"] || !have["available"] {
		s.Errorf("while it was backed up, the volume was seen %v", slices.Sorted(maps.Keys(have)))
	}
	if b.Size != 4 || b.Container != s.container || b.VolumeID != source || b.FailReason != "" || b.Progress != 100 {
		s.Errorf("the backup is %+v", b)
	}
	if have := len(s.demo.objects(s.container)); have != b.ObjectCount {
		s.Errorf("object_count is %d, and there are %d objects", b.ObjectCount, have)
	}
	s.Logf("after the backup the manager has had %d MiB", m.peak()/mib)

	fresh := s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(fresh)
	if got := sum(s, fresh, size); got != want {
		s.Errorf("the new volume holds %s, want %s", got, want)
	}
	if have, most := used(s, fresh), used(s, source); have > most {
		s.Errorf("the new volume uses %d bytes, its source %d", have, most)
	}

	dirty := s.volume(5)
	fill(s, dirty, 5*gib, dots("dirt", 1270))
	seen = s.watch(dirty)
	s.restore(id, dirty)
	s.await(id, stowage.BackupAvailable)
	s.free(dirty)
	if have := seen(); !have["restoring-backup"] {
		s.Errorf("while it was restored, the volume was seen %v", slices.Sorted(maps.Keys(have)))
	}
	if got := sum(s, dirty, size); got != want {
		s.Errorf("the existing volume holds %s, want %s", got, want)
	}

	fill(s, source, size, dots("life goes on", 500))
	next := s.create(source)
	s.await(next, stowage.BackupAvailable)
	s.free(source)
	m.last("changed")
	s.gone(next)
	if peak := m.peak(); peak >= 300*mib {
		s.Errorf("the manager took %d MiB", peak/mib)
	} else {
		s.Logf("in all the manager has had %d MiB", peak/mib)
	}
	s.settled()

	s.gone(id)
	s.call(s.demo, "GET", "/"+id, nil).want(s, 404)
	for _, name := range s.demo.objects(s.container) {
		s.Errorf("left in the container: %s", name)
	}
	s.settled()
}

// watch looks at a volume's status all the time; what it gives stops that and
// tells what was seen.
func (s *site) watch(volume string) func() map[string]bool {
	s.Helper()
	stop, result := make(chan struct{}), make(chan map[string]bool)
	go func() {
		seen := map[string]bool{}
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for {
			a, err := try(s.demo.token, "GET", stacktest.Env(s, "CINDER_URL")+"/"+s.demo.projectID+"/volumes/"+volume, nil, nil)
			if err == nil {
				_, rest, _ := strings.Cut(a.body, `"status": "`)
				status, _, _ := strings.Cut(rest, `"`)
				seen[status] = true
			}
			select {
			case <-stop:
				result <- seen
				return
			case <-tick.C:
			}
		}
	}()
	return func() map[string]bool { close(stop); return <-result }
}
