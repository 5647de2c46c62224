package manager_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/harness"
)

// point is a backup, and what it must give back.
type point struct {
	id   string
	row  stowage.Backup
	want []byte
}

// backup makes a backup of the volume as it is, to the end.
func backup(t *testing.T, h *harness.Harness, volume string) point {
	t.Helper()
	want := h.Bytes(volume)
	return backed(t, h, h.Create(volume), want)
}

// backed waits until a backup is available.
func backed(t *testing.T, h *harness.Harness, id string, want []byte) point {
	t.Helper()
	h.Await(id, stowage.BackupAvailable)
	return point{id, row(t, h, id), want}
}

func row(t *testing.T, h *harness.Harness, id string) stowage.Backup {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.DB.Backup(context.Background(), db.Scope{}, n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// change writes to the middle of some chunks of the volume.
func change(t *testing.T, h *harness.Harness, volume, with string, chunks ...int64) {
	t.Helper()
	f, err := os.OpenFile(h.VolumeFile(volume), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range chunks {
		if _, err := f.WriteAt([]byte(with), c<<16+1000); err != nil {
			t.Fatal(err)
		}
	}
}

// write gives the volume another content.
func write(t *testing.T, h *harness.Harness, volume string, data []byte) {
	t.Helper()
	if err := os.WriteFile(h.VolumeFile(volume), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// back restores each point to a new volume and compares.
func back(t *testing.T, h *harness.Harness, points ...point) {
	t.Helper()
	for _, p := range points {
		target := restore(t, h, p.id, `{"restore": {}}`)
		got := h.Await(p.id, stowage.BackupAvailable)
		if got["fail_reason"] != nil {
			t.Errorf("backup %s: %v", p.id, got["fail_reason"])
		}
		h.Until("volume "+target+" is free", func() bool { return h.VolumeStatus(target) == stowage.VolumeAvailable })
		if !bytes.Equal(h.Bytes(target)[:len(p.want)], p.want) {
			t.Errorf("backup %s does not give back what was backed up", p.id)
		}
	}
}

// gone deletes a backup, to the end.
func gone(t *testing.T, h *harness.Harness, points ...point) {
	t.Helper()
	for _, p := range points {
		remove(t, h, p.id)
		h.Await(p.id, "")
	}
}

// exact wants the container to hold the roots of the backups and what they
// reach, and nothing else.
func exact(t *testing.T, h *harness.Harness, points ...point) {
	t.Helper()
	var want []string
	for _, p := range points {
		want = append(want, p.row.Manifest)
		l, err := h.DB.Lineage(context.Background(), p.row.ProjectID, p.row.Volume.ID, p.row.Container)
		if err != nil {
			t.Fatal(err)
		}
		list, err := h.DB.Reaches(context.Background(), &l)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(r db.Reach) bool { return r.BackupID == p.row.ID })
		if i < 0 {
			t.Fatalf("backup %s has no set", p.id)
		}
		set := &manifest.Objects{}
		if err := set.UnmarshalBinary(list[i].Objects); err != nil {
			t.Fatal(err)
		}
		if n := int64(set.Len()) + 1; n != p.row.ObjectCount {
			t.Errorf("backup %s reaches %d objects and tells of %d", p.id, n, p.row.ObjectCount)
		}
		err = set.Each(func(kind seal.Kind, at manifest.Place) error {
			name := manifest.PackName
			if kind == seal.Map {
				name = manifest.MapName
			}
			want = append(want, name(p.row.Volume.ID, at))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if have := h.Objects(); !slices.Equal(have, want) {
		t.Errorf("the container holds\n%s\nand should hold\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// garbage is what is still to be deleted, at whatever time.
func garbage(t *testing.T, h *harness.Harness) []db.Garbage {
	t.Helper()
	list, err := h.DB.ReadyGarbage(context.Background(), time.UnixMicro(math.MaxInt64), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// step puts the clock forward, and waits until the API believes in a manager
// again.
func step(t *testing.T, h *harness.Harness, d time.Duration) {
	t.Helper()
	h.Clock.Step(d)
	h.Until("a manager has reported itself again", func() bool {
		list, err := h.DB.Services(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(s stowage.Service) bool { return h.Clock.Now().Sub(s.LastSeen) < time.Minute })
	})
}

// later lets a day pass, so that what was left is swept for the last time. A
// manager must be running.
func later(t *testing.T, h *harness.Harness) {
	t.Helper()
	step(t, h, 25*time.Hour)
	h.Until("nothing is left to be deleted", func() bool { return len(garbage(t, h)) == 0 })
}

// nothing wants no trace of any backup.
func nothing(t *testing.T, h *harness.Harness) {
	t.Helper()
	exact(t, h)
	if left := garbage(t, h); len(left) != 0 {
		t.Errorf("still to be deleted: %+v", left)
	}
}
