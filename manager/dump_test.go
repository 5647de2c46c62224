package manager_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// A database that came back from an old dump counts fences a second time, and
// knows backups as garbage that were imported since. Neither may cost an object.

func TestNoNameIsUsedASecondTime(t *testing.T) {
	h := harness.New(t)
	data := h.Volume("9", size)
	stop := h.Start(h.Manager("m1"))
	stop() // alive for another minute, as far as the API knows
	id := h.Create("9")
	b, err := h.DB.Backup(t.Context(), db.Scope{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("volume_9/backup_%s/00000001/pack-00000001", b.UUID)
	if _, err := h.ObjectStore().Put(t.Context(), name, []byte("needed")); err != nil {
		t.Fatal(err)
	}
	h.Start(h.Manager("m2"))
	h.Await(id, stowage.BackupAvailable)
	if b, err = h.DB.Backup(t.Context(), db.Scope{}, 1); err != nil || b.Manifest == fmt.Sprintf("volume_9/backup_%s/00000001/root", b.UUID) {
		t.Errorf("the root is %s: %v", b.Manifest, err)
	}
	target := restore(t, h, id, `{"restore": {}}`)
	h.Await(id, stowage.BackupAvailable)
	if !bytes.Equal(h.Bytes(target)[:size], data) {
		t.Error("the restored volume is not equal")
	}
}

func TestGarbageThatIsNeededAgainStays(t *testing.T) {
	h := harness.New(t)
	data := h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, "9")
	before := len(h.Objects())
	b, err := h.DB.Backup(t.Context(), db.Scope{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.DB.Lineage(t.Context(), "demo", "9", stowage.DefaultContainer)
	if err != nil {
		t.Fatal(err)
	}
	reaches, err := h.DB.Reaches(t.Context(), &l)
	if err != nil {
		t.Fatal(err)
	}
	all := db.Garbage{ProjectID: "demo", Container: stowage.DefaultContainer, VolumeID: "9", BackupID: 1}
	set, names := all, all
	set.Objects, names.Prefix = reaches[0].Objects, fmt.Sprintf("volume_9/backup_%s/", b.UUID)
	for _, g := range []db.Garbage{set, names} {
		if err := h.DB.AddGarbage(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	h.Until("the garbage was looked at", func() bool {
		left, err := h.DB.GarbageOf(t.Context(), 1)
		return err == nil && len(left) == 0
	})
	if after := len(h.Objects()); after != before {
		t.Errorf("of %d objects %d are left", before, after)
	}
	target := restore(t, h, id, `{"restore": {}}`)
	h.Await(id, stowage.BackupAvailable)
	if !bytes.Equal(h.Bytes(target)[:size], data) {
		t.Error("the restored volume is not equal")
	}
}

func TestABackupOfTheFormatBeforeRootsIsDeletedWhole(t *testing.T) {
	h := harness.New(t)
	h.Volume("9", size)
	h.Start(h.Manager("m1"))
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	clean(t, h, "9")
	b, err := h.DB.Backup(t.Context(), db.Scope{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{`DELETE FROM reaches`, `UPDATE backups SET manifest = replace(manifest, '/root', '/manifest')`} {
		if err := h.Exec(change); err != nil {
			t.Fatal(err)
		}
	}
	other := fmt.Sprintf("volume_9/backup_%s-not/00000001/pack-00000001", b.UUID)
	if _, err := h.ObjectStore().Put(t.Context(), other, []byte("a tenant's")); err != nil {
		t.Fatal(err)
	}
	remove(t, h, id)
	h.Await(id, "")
	if left := h.Objects(); len(left) != 1 || left[0] != other {
		t.Errorf("left in the container: %v", left)
	}
}
