package manager_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/manager"
)

// with is a manager of m1 with other keys.
func with(h *harness.Harness, master *seal.Master, sealed bool) *manager.Manager {
	m := h.Manager("m1")
	m.Keys = &manager.Keys{DB: h.DB, Master: master, Seal: sealed, Now: h.Clock.Now}
	return m
}

func parse(t *testing.T, lines ...[]byte) *seal.Master {
	t.Helper()
	m, err := seal.ParseMaster(slices.Concat(lines...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shows reports whether any object holds the bytes as they are.
func shows(t *testing.T, h *harness.Harness, plain []byte) bool {
	t.Helper()
	return slices.ContainsFunc(h.Objects(), func(name string) bool { return bytes.Contains(take(t, h, name), plain) })
}

func TestOnlyWhatIsNotSealedCanBeReadInTheContainer(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]bool{"sealed": true, "not sealed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			master := h.Master
			if !sealed {
				master = nil
			}
			h.Start(with(h, master, sealed))
			data := h.Volume("9", size)
			first := backup(t, h, "9")
			change(t, h, "9", "changed", 3)
			second := backup(t, h, "9")
			for _, plain := range [][]byte{data[100:200], []byte("stowage ")} { // noise is stored as it is, text once
				if shows(t, h, plain) == sealed {
					t.Errorf("the container shows %.20q: %v", plain, !sealed)
				}
			}
			for _, p := range []point{first, second} {
				root, err := engine.New(engine.Options{}).ReadRoot(t.Context(), h.ObjectStore(), p.row.Manifest, "", nil)
				if sealed {
					if stowage.CodeOf(err) != stowage.Forbidden {
						t.Errorf("the root without a key: %v", err)
					}
				} else if err != nil || root.Info.Volume.ID != "9" || root.Info.VolumeBytes != size {
					t.Errorf("the root is %+v: %v", root, err)
				}
			}
			back(t, h, first, second)
		})
	}
}

func TestWithoutTheMasterKeyARestoreSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		master *seal.Master
		says   string
	}{
		"none":    {nil, "master key"},
		"another": {parse(t, seal.NewMaster()), "master key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			stop := h.Start(h.Manager("m1"))
			h.Volume("9", size)
			p := backup(t, h, "9")
			clean(t, h, "9")
			stop()
			stop = h.Start(with(h, c.master, false))
			before := h.Volume("10", size)
			restore(t, h, p.id, `{"restore": {"volume_id": 10}}`)
			got := h.Await(p.id, stowage.BackupAvailable)
			if reason, _ := got["fail_reason"].(string); !strings.Contains(reason, c.says) {
				t.Errorf("the reason is %v", got["fail_reason"])
			}
			clean(t, h, "10")
			if !bytes.Equal(h.Bytes("10"), before) {
				t.Error("the volume was changed")
			}
			// It can back up all the same, anew, and delete.
			next := backup(t, h, "9")
			if next.row.Incremental {
				t.Error("it made an increment of what it cannot open")
			}
			back(t, h, next)
			if b := row(t, h, p.id); b.Damaged != "" {
				t.Errorf("what cannot be opened is said to be damaged: %s", b.Damaged)
			}
			clean(t, h, "9")
			stop()
			h.Start(h.Manager("m1"))
			h.Until("it is restored with the key", func() bool { return h.Show(p.id)["status"] == "available" })
			back(t, h, p, next)
			gone(t, h, p)
			back(t, h, next)
			gone(t, h, next)
			nothing(t, h)
		})
	}
}

func TestAMasterKeyIsRotated(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	old, young := seal.NewMaster(), seal.NewMaster()
	h.Volume("9", size)
	stop := h.Start(with(h, parse(t, old), true))
	first := backup(t, h, "9")
	clean(t, h, "9")
	stop()
	h.Start(with(h, parse(t, young, old), true))
	change(t, h, "9", "changed", 3)
	second := backup(t, h, "9")
	if !second.row.Incremental {
		t.Error("after the rotation it begins anew")
	}
	back(t, h, first, second)
}

func TestProjectsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	keys := &manager.Keys{DB: h.DB, Master: h.Master, Seal: true, Now: h.Clock.Now}
	made := map[seal.Secret]bool{}
	for _, project := range []string{"demo", "other", "demo"} {
		k, err := keys.New(t.Context(), project)
		if err != nil {
			t.Fatal(err)
		}
		made[k.Secret] = true
		for asked, want := range map[string]bool{"demo": project == "demo", "other": project == "other"} {
			got, err := keys.Of(asked).Key(t.Context(), k.ID, k.Wrapped)
			if (err == nil && got.Secret == k.Secret) != want {
				t.Errorf("%s's key for %s: %v", project, asked, err)
			}
		}
	}
	if len(made) != 2 {
		t.Errorf("two projects have %d keys", len(made))
	}
}
