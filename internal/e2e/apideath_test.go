//go:build stack

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// The API is killed at some moment of a create, or of a restore to a new
// volume, again and again. Whatever it was doing, all comes to an end.
func TestNothingStaysHalfDoneWhenTheAPIDies(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	source, want := s.source(5)
	// Once without a death, to learn how long it takes.
	calm := s.call(s.demo, http.MethodPost, "", s.asks(source)).want(t, 200)
	id := "1"
	s.await(id, stowage.BackupAvailable)
	s.free(source)
	calmRestore := s.call(s.demo, http.MethodPost, "/1/restore", restoreTo("")).want(t, 200)
	s.free(s.restored(calmRestore))
	s.await(id, stowage.BackupAvailable)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, seed))
	t.Logf("seed %d; a create takes %v, a restore %v", seed, calm.after, calmRestore.after)
	for i := range 12 {
		what, suffix, body, most := "create", "", s.asks(source), calm.after
		if i%2 == 1 {
			what, suffix, body, most = "restore", "/1/restore", restoreTo(""), calmRestore.after
		}
		after := time.Duration(random.Int64N(int64(most)))
		answered := make(chan string, 1)
		go func() {
			a, err := try(s.demo.token, http.MethodPost, s.url(s.demo, suffix), body, nil)
			answered <- fmt.Sprint(a.status, " ", err)
		}()
		within(after, func() bool { return len(answered) > 0 })
		s.api.kill()
		t.Logf("%s killed after %v: %s; the last job is %s", what, after, <-answered,
			query[string](s, "SELECT CONCAT_WS(' ', kind, state, lock_state, volume_id) FROM jobs ORDER BY seq DESC LIMIT 1"))
		s.serve()
		s.holdIsOver()
		until(t, "the work has ended", func() bool {
			return query[int](s, "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') OR lock_state IN ('wanted', 'held') AND "+notUnseen) == 0
		})
		if b := s.backup(id); b.Status != stowage.BackupAvailable {
			t.Errorf("the backup is %+v", b)
		}
		s.free(source)
	}
	s.unseenIsOver()
	for _, v := range s.demo.made([]string{source}) {
		if !slices.Contains(s.volumes, v.ID) {
			s.volumes = append(s.volumes, v.ID)
		}
		t.Logf("volume %s was made and is %s, with %v", v.ID, v.Status, v.Metadata)
		// One that shows nothing of having failed must hold the backup.
		if v.Status == stowage.VolumeAvailable {
			s.equal(v.ID, want)
		}
	}
	s.settled()
	last := id
	for other, b := range s.list(s.demo, "/detail") {
		t.Logf("backup %s is %s %s", other, b.Status, b.FailReason)
		if b.Status == stowage.BackupAvailable && other > last {
			last = other
		}
	}
	target := s.restore(last, "")
	s.await(last, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.settled()
}

// holdIsOver does what minutes would do: what an API began and did not hand
// over may be claimed.
func (s *site) holdIsOver() {
	s.Helper()
	s.exec("UPDATE jobs SET ready_at = 0 WHERE state = 'queued'")
}

// notUnseen leaves out the jobs that ended without a volume, because the API died
// when it asked for one, or just before: Cinder may still come with it.
const notUnseen = "NOT (volume_id = '' AND state = 'failed')"

// unseenIsOver does what ten minutes would do: a volume that Cinder has not come
// with by then was never asked for. Half a minute is enough for the real one.
func (s *site) unseenIsOver() {
	s.Helper()
	none := func() bool {
		return query[int](s, "SELECT COUNT(*) FROM jobs WHERE lock_state IN ('wanted', 'held')") == 0
	}
	if within(30*time.Second, none) {
		return
	}
	s.exec("UPDATE jobs SET finished_at = finished_at - ? WHERE lock_state = 'wanted' AND volume_id = '' AND state = 'failed'",
		(11 * time.Minute).Microseconds())
	until(s, "nobody waits for volumes that were never asked for", none)
}
