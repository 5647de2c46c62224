//go:build stack

package e2e

import (
	"testing"

	"github.com/stowage/stowage"
)

// A manager is killed in the middle of its work. (a) The same host starts
// again and takes the work up at once, however long the lease; (b) another
// host takes it over when the lease has run out.
func TestWorkSurvivesTheDeathOfItsManager(t *testing.T) {
	t.Parallel()
	for _, again := range []struct {
		name, host string
		lease      string
	}{
		{"and the same host takes it up", "m1", "600"},
		{"and another host takes it over", "m2", "8"},
	} {
		for name, story := range map[string]func(s *site, die func(frozen *process)){
			"backup": deathInBackup, "restore to a new volume": deathInNewRestore,
			"restore to an existing volume": deathInRestore, "delete": deathInDelete,
		} {
			t.Run("in a "+name+", "+again.name, func(t *testing.T) {
				t.Parallel()
				s := deploy(t, plan{slow: true, options: map[string]string{"lease_time": again.lease}})
				story(s, func(m *process) {
					m.kill()
					s.hurry()
					s.manager(again.host)
				})
				s.settled()
			})
		}
	}
}

// many dots are some seconds of work.
const many = 200

func deathInBackup(s *site, die func(*process)) {
	source, want := s.source(many)
	m := s.manager("m1")
	id := s.create(source)
	s.freezeMidBackup(m)
	die(m)
	s.await(id, stowage.BackupAvailable)
	s.free(source)
	target := s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.equal(source, want)
	s.settled()
	s.gone(id)
}

func deathInNewRestore(s *site, die func(*process)) {
	m := s.manager("m1")
	id, _, want := s.backed(many)
	target := s.restore(id, "")
	s.freezeMidRestore(m, target)
	die(m)
	if b := s.await(id, stowage.BackupAvailable); b.FailReason != "" {
		s.Errorf("the restore failed: %s", b.FailReason)
	}
	s.free(target)
	s.equal(target, want)
}

func deathInRestore(s *site, die func(*process)) {
	m := s.manager("m1")
	id, _, want := s.backed(many)
	target := s.volume(1)
	fill(s, target, gib, dots("dirt", 20))
	s.restore(id, target)
	s.freezeMidRestore(m, target)
	die(m)
	if b := s.await(id, stowage.BackupAvailable); b.FailReason != "" {
		s.Errorf("the restore failed: %s", b.FailReason)
	}
	s.free(target)
	s.equal(target, want)
}

func deathInDelete(s *site, die func(*process)) {
	m := s.manager("m1")
	source := s.volume(1)
	fill(s, source, gib, noise(source, 64*mib)) // in many packs, because deleting is quick
	id := s.create(source)
	s.await(id, stowage.BackupAvailable)
	s.remove(id)
	s.freezeMidDelete(m)
	die(m)
	s.await(id, "")
	if left := s.demo.objects(s.container); len(left) > 0 {
		s.Errorf("left in the container: %v", left)
	}
}
