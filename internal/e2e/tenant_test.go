//go:build stack

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// While it is backed up, a volume is its tenant's to delete.
func TestAVolumeIsDeletedWhileItIsBackedUp(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true, options: map[string]string{"lease_time": "60"}})
	m := s.manager("m1")
	source, want := s.source(many)
	id := s.create(source)
	s.freezeMidBackup(m)
	s.free(source)
	s.demo.delete(source)
	m.thaw()
	var b backup
	until(t, "the backup comes to rest", func() bool { b = s.backup(id); return b.Status != stowage.BackupCreating })
	switch b.Status {
	case stowage.BackupAvailable:
		target := s.restore(id, "")
		s.await(id, stowage.BackupAvailable)
		s.free(target)
		s.equal(target, want)
	case stowage.BackupError:
		s.says(b, "snapshot")
	default:
		t.Errorf("the backup is %+v", b)
	}
	s.settled()
}

// A tenant may break the lock on his own volume, and gets what he asked for.
func TestALockIsBrokenDuringARestore(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true, options: map[string]string{"lease_time": "60"}})
	m := s.manager("m1")
	id, _, want := s.backed(many)
	target := s.restore(id, "")
	s.freezeMidRestore(m, target)
	locks := s.demo.attachments(target)
	if len(locks) != 1 {
		t.Fatalf("the volume has the locks %v", locks)
	}
	s.demo.cinder(http.MethodDelete, "/attachments/"+locks[0], nil).want(t, 200)
	m.thaw()
	s.says(s.await(id, stowage.BackupAvailable), "Restore failed", "lock")
	until(t, "the volume shows it", func() bool { return s.demo.status(target) == stowage.VolumeErrorRestoring })
	s.settled()

	target = s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.settled()
}

// A pack is overwritten by one of the same length. A restore to a volume with
// data must not write a byte of it.
func TestADamagedBackupIsRefusedBeforeItDamagesAVolume(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	id, _, _ := s.backed(20)
	target := s.volume(1)
	fill(s, target, gib, dots("still good", 20))
	want := contents(s, target)
	packs := s.demo.packs(s.container)
	pack := packs[len(packs)-1]
	length := len(s.demo.object(http.MethodGet, s.container, pack, nil).want(t, 200).body)
	s.demo.object(http.MethodPut, s.container, pack, strings.Repeat("x", length)).want(t, 201)

	s.restore(id, target)
	s.says(s.await(id, stowage.BackupError), "Restore failed", "changed")
	s.free(target)
	s.equal(target, want)
	s.settled()
	s.call(s.demo, http.MethodPost, "/"+id+"/restore", restoreTo(target)).refused(t, "Invalid backup: Backup status must be available")
	s.gone(id)
	s.settled()
}
