//go:build stack

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// A manager stands still for longer than its lease, so that another one does
// its work, and then goes on as if nothing had happened: the worst there is.

// logged waits until the process has written a line that holds the words.
func (p *process) logged(words string) {
	p.t.Helper()
	until(p.t, p.name+" logs "+words, func() bool {
		data, err := os.ReadFile(p.log)
		fatal(p.t, err)
		return strings.Contains(string(data), words)
	})
}

// What it logs when it has found out that the job is another's: from the
// database, or before that from Ceph, which has shut it out.
const leftToAnother = "another manager"

func TestAManagerThatStoodStillDamagesNoBackup(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true})
	source, want := s.source(many)
	m1 := s.manager("m1")
	id := s.create(source)
	s.freezeMidBackup(m1)
	s.hurry()
	m2 := s.manager("m2")
	first := s.await(id, stowage.BackupAvailable)
	m1.thaw()
	m1.logged(leftToAnother)
	if now := s.backup(id); now != first {
		s.Errorf("the backup was %+v and is %+v", first, now)
	}
	m2.kill() // who stood still must be of use again
	target := s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	if have := s.demo.objects(s.container); len(have) != first.ObjectCount {
		s.Logf("%d objects are counted, and there are %d", first.ObjectCount, len(have))
	}
	s.gone(id)
	s.settled()
}

func TestAManagerThatStoodStillDamagesNoVolume(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true})
	s.shutOut()
}

// Ceph has shut out who stood still: its connection is on the block list. When
// it is the only one left, it must be of use again.
func TestAManagerThatCephShutOutWorksAgain(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true})
	id, source, target := s.shutOut()
	s.free(source)
	other := s.create(source)
	s.await(other, stowage.BackupAvailable)
	s.restore(id, target)
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.settled()
}

// shutOut freezes a manager in the middle of a restore until another one has
// done it, and thaws it again when that one is gone.
func (s *site) shutOut() (id, source, target string) {
	s.Helper()
	m1 := s.manager("m1")
	id, source, want := s.backed(many)
	target = s.volume(1)
	fill(s, target, gib, dots("dirt", 20))
	s.restore(id, target)
	s.freezeMidRestore(m1, target)
	s.hurry()
	m2 := s.manager("m2")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.settled()
	m2.kill()
	// The tenant goes on with his volume, and what he writes now must last.
	fill(s, target, gib, dots("a new life", many+20))
	want = contents(s, target)
	m1.thaw()
	m1.logged(leftToAnother)
	s.equal(target, want)
	s.settled()
	return id, source, target
}
