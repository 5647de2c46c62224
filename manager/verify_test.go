package manager_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

// verifier is a manager that verifies every hour.
func verifier(h *harness.Harness, deep bool) *manager.Manager {
	m := h.Manager("m1")
	m.VerifyInterval, m.VerifyDeep = time.Hour, deep
	return m
}

// verified lets it become time for a verification, waits for it, and gives the
// backups as they are then.
func verified(t *testing.T, h *harness.Harness, points ...point) (rows []stowage.Backup) {
	t.Helper()
	since := h.Clock.Now().Add(61 * time.Minute)
	step(t, h, 61*time.Minute)
	for _, p := range points {
		h.Until("backup "+p.id+" is verified", func() bool { return !row(t, h, p.id).VerifiedAt.Before(since) })
		rows = append(rows, row(t, h, p.id))
	}
	return rows
}

// take reads an object.
func take(t *testing.T, h *harness.Harness, name string) []byte {
	t.Helper()
	info, err := h.ObjectStore().Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, info.Bytes)
	if _, err := h.ObjectStore().Get(t.Context(), name, data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, h *harness.Harness, name string, data []byte) {
	t.Helper()
	if _, err := h.ObjectStore().Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

// objectOf is the last of a backup's own objects whose name has the text.
func objectOf(t *testing.T, h *harness.Harness, p point, text string) (name string) {
	t.Helper()
	for _, o := range h.Objects() {
		if strings.Contains(o, p.row.UUID) && strings.Contains(o, text) {
			name = o
		}
	}
	if name == "" {
		t.Fatalf("backup %s has no object %s", p.id, text)
	}
	return name
}

func TestDamageIsFoundAndForgotten(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"/pack-", "/map-", "/root"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.Start(verifier(h, false))
			h.Volume("9", size)
			h.Volume("10", size)
			bad, good := backup(t, h, "9"), backup(t, h, "10")
			for _, b := range verified(t, h, bad, good) {
				if b.Damaged != "" {
					t.Errorf("backup %d is said to be damaged: %s", b.ID, b.Damaged)
				}
			}
			name := objectOf(t, h, bad, kind)
			data := take(t, h, name)
			if err := h.ObjectStore().Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			rows := verified(t, h, bad, good)
			if !strings.Contains(rows[0].Damaged, name) || !strings.Contains(rows[0].Damaged, "missing") || rows[0].Status != stowage.BackupAvailable {
				t.Errorf("the damaged one is %+v", rows[0])
			}
			if rows[1].Damaged != "" {
				t.Errorf("the other one is said to be damaged: %s", rows[1].Damaged)
			}
			if !h.LogContains("a backup is damaged") || !h.LogContains(name) {
				t.Error("the log does not tell")
			}
			put(t, h, name, data)
			if b := verified(t, h, bad)[0]; b.Damaged != "" {
				t.Errorf("it is put right, and still said to be damaged: %s", b.Damaged)
			}
			back(t, h, bad, good)
		})
	}
}

// blind is a store that keeps no MD5s.
type blind struct{ drivers.Store }

func (b blind) Stat(ctx context.Context, name string) (drivers.ObjectInfo, error) {
	o, err := b.Store.Stat(ctx, name)
	o.ETag = ""
	return o, err
}

type blindStores struct{ drivers.Stores }

func (b blindStores) Open(ctx context.Context, project, container string) (drivers.Store, error) {
	s, err := b.Stores.Open(ctx, project, container)
	return blind{s}, err
}

func TestABitThatFlippedIsFoundByReading(t *testing.T) {
	t.Parallel()
	for name, deep := range map[string]bool{"by its length": false, "by reading": true} {
		for _, kind := range []string{"/pack-", "/map-"} {
			t.Run(name+kind, func(t *testing.T) {
				t.Parallel()
				h := harness.New(t)
				m := verifier(h, deep)
				m.Stores = blindStores{m.Stores}
				h.Start(m)
				h.Volume("9", size)
				first := backup(t, h, "9")
				change(t, h, "9", "changed", 3)
				second := backup(t, h, "9")
				for _, b := range verified(t, h, first, second) {
					if b.Damaged != "" {
						t.Errorf("backup %d is said to be damaged: %s", b.ID, b.Damaged)
					}
				}
				object := objectOf(t, h, second, kind) // the first does not need it
				data := take(t, h, object)
				data[80] ^= 1
				put(t, h, object, data)
				rows := verified(t, h, first, second)
				if rows[0].Damaged != "" {
					t.Errorf("the first is said to be damaged: %s", rows[0].Damaged)
				}
				if found := strings.Contains(rows[1].Damaged, object); found != deep {
					t.Errorf("with deep %v, the second's damage is %q", deep, rows[1].Damaged)
				}
				data[80] ^= 1
				put(t, h, object, data)
				if b := verified(t, h, second)[0]; b.Damaged != "" {
					t.Errorf("it is put right, and still said to be damaged: %s", b.Damaged)
				}
			})
		}
	}
}

// A quick look cannot tell that what reading has found is right again.
func TestWhatReadingFoundIsForgottenByReadingOnly(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	m := verifier(h, false)
	m.Stores = blindStores{m.Stores}
	h.Start(m)
	h.Volume("9", size)
	b := backup(t, h, "9")
	object := objectOf(t, h, b, "/pack-")
	data := take(t, h, object)
	data[80] ^= 1
	put(t, h, object, data)
	if err := h.DB.NoteVerified(t.Context(), b.row.ID, "found by reading", h.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if got := verified(t, h, b)[0]; !strings.Contains(got.Damaged, object) {
		t.Errorf("its damage is %q", got.Damaged)
	}
	data[80] ^= 1
	put(t, h, object, data)
	if got := verified(t, h, b)[0]; got.Damaged != "" {
		t.Errorf("it is put right, and still said to be damaged: %s", got.Damaged)
	}
}

// Backups that cannot be looked at do not keep the others from their turn.
func TestAVerificationThatFailsComesAgainInItsTurn(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(verifier(h, false))
	var points []point
	for _, v := range []string{"9", "10", "11", "12", "13", "14"} { // more than one look asks for
		h.Volume(v, 500_000)
		points = append(points, backup(t, h, v))
	}
	for _, p := range points[:5] {
		h.Stores.On(drivertest.OpStat, p.row.UUID).Always().Before(stowage.Errorf(stowage.Forbidden, "No."))
	}
	for _, b := range verified(t, h, points...) {
		if b.Damaged != "" || b.Status != stowage.BackupAvailable {
			t.Errorf("backup %d is %+v", b.ID, b)
		}
	}
	for _, p := range points {
		jobs, err := h.DB.BackupJobs(t.Context(), p.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs) < 2 || len(jobs) > 3 { // the backup, and one verification; a look may have been under way when that ended
			t.Errorf("backup %s has had %d jobs", p.id, len(jobs))
		}
	}
}

// What is being deleted lacks objects, and is not damaged.
func TestABackupThatIsDeletedMeanwhileIsNotCalledDamaged(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Start(verifier(h, false))
	h.Volume("9", size)
	p := backup(t, h, "9")
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.Stores.On(drivertest.OpStat, "/root").Run(func() { close(begun); <-goOn })
	h.Clock.Step(61 * time.Minute)
	<-begun
	deleting, end := make(chan struct{}), make(chan struct{})
	h.Stores.On(drivertest.OpDelete, "/pack-").Run(func() { close(deleting); <-end })
	h.Until("a manager takes deletes again", func() bool {
		return h.Call("demo:demo", "DELETE", harness.Base("demo")+"/"+p.id, "").Status == 202
	})
	<-deleting
	close(goOn)
	h.Until("the verification has ended", func() bool {
		jobs, err := h.DB.BackupJobs(context.Background(), p.row.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if j.Kind == stowage.JobVerify {
				return j.State.Ended()
			}
		}
		return false
	})
	if b := row(t, h, p.id); b.Damaged != "" || h.LogContains("a backup is damaged") {
		t.Errorf("it is said to be damaged: %q", b.Damaged)
	}
	close(end)
	h.Await(p.id, "")
	nothing(t, h)
}
