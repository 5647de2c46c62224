package engine_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
)

const (
	chunk  = 64 << 10
	region = 4 * chunk
)

// rig is a directory of volumes and one of objects, with small chunks.
type rig struct {
	t       *testing.T
	dir     string
	volumes drivers.Volumes
	store   drivers.Store
	engine  *engine.Engine
	random  *rand.ChaCha8
	touched bool // the last restore was about to write
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), random: rand.NewChaCha8(sha256.Sum256([]byte(t.Name())))}
	var err error
	if r.volumes, err = file.Open(file.Options{Key: "file:t", Dir: r.dir, NewID: uuid.NewString}); err != nil {
		t.Fatal(err)
	}
	stores, err := dir.Open(dir.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := stores.CreateContainer(t.Context(), "p", "c"); err != nil {
		t.Fatal(err)
	}
	if r.store, err = stores.Open(t.Context(), "p", "c"); err != nil {
		t.Fatal(err)
	}
	r.engine = engine.New(engine.Options{ChunkBytes: chunk, PackBytes: region})
	return r
}

// volume writes the bytes as a volume; runs of zeros become holes.
func (r *rig) volume(id string, data []byte) stowage.VolumeLocation {
	r.t.Helper()
	f, err := os.Create(filepath.Join(r.dir, "volume-"+id))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		r.t.Fatal(err)
	}
	for at := 0; at < len(data); at += 4096 {
		part := data[at:min(at+4096, len(data))]
		if len(bytes.Trim(part, "\x00")) == 0 {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		r.t.Fatal(err)
	}
	return stowage.VolumeLocation{Backend: "file:t", VolumeID: id, Name: "volume-" + id}
}

func (r *rig) bytes(vol stowage.VolumeLocation) []byte {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, vol.Name))
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *rig) backup(ctx context.Context, vol stowage.VolumeLocation, prefix string, check func(context.Context) error) (engine.BackupResult, error) {
	r.t.Helper()
	snap, err := r.volumes.CreateSnapshot(r.t.Context(), vol, "snap-"+uuid.NewString())
	if err != nil {
		r.t.Fatal(err)
	}
	source, err := r.volumes.OpenSnapshot(r.t.Context(), snap)
	if err != nil {
		r.t.Fatal(err)
	}
	defer source.Close()
	return r.engine.Backup(ctx, engine.BackupInput{
		Source: source, Store: r.store, Prefix: prefix, Backup: "b", Volume: stowage.VolumeRecord{ID: vol.VolumeID},
		SnapshotAt: time.Unix(1, 0), Check: check, Progress: &engine.Progress{},
	})
}

func (r *rig) restore(vol stowage.VolumeLocation, prefix, digest string) error {
	r.t.Helper()
	target, err := r.volumes.OpenTarget(r.t.Context(), vol)
	if err != nil {
		r.t.Fatal(err)
	}
	r.touched = false
	err = r.engine.Restore(r.t.Context(), engine.RestoreInput{
		Store: r.store, Prefix: prefix, Digest: digest, Target: target, Progress: &engine.Progress{},
		BeforeWrite: func(context.Context) error { r.touched = true; return nil },
	})
	return errors.Join(err, target.Close())
}

// mixed gives bytes of text, noise, zeros and short islands.
func (r *rig) mixed(n int) []byte {
	data := make([]byte, n)
	rng := rand.New(r.random)
	for at := 0; at < n; {
		run := min(1+rng.IntN(3*chunk), n-at)
		switch rng.IntN(4) {
		case 0:
			r.random.Read(data[at : at+run])
		case 1:
			copy(data[at:at+run], strings.Repeat("stowage ", run/8+1))
		case 2:
			data[at] = 1
		}
		at += run
	}
	return data
}

func TestARestoreGivesBackEveryByte(t *testing.T) {
	for _, size := range []int{0, 1, 511, chunk - 1, chunk, chunk + 1, region, region + 1, 5*region + 12345} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t)
			data := r.mixed(size)
			source := r.volume("1", data)
			result, err := r.backup(t.Context(), source, "x/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.count("x/"); got != result.ObjectCount {
				t.Errorf("%d objects, the result says %d", got, result.ObjectCount)
			}
			fresh := r.volume("2", make([]byte, size))
			noise := make([]byte, size+777) // larger, and full of other bytes
			r.random.Read(noise)
			used := r.volume("3", noise)
			for _, target := range []stowage.VolumeLocation{fresh, used} {
				if err := r.restore(target, "x/", result.ManifestDigest); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(r.bytes(target)[:size], data) {
					t.Errorf("%s is not equal", target.Name)
				}
			}
			if !bytes.Equal(r.bytes(used)[size:], noise[size:]) {
				t.Error("what is behind the backup's end was changed")
			}
		})
	}
}

func (r *rig) count(prefix string) int64 {
	r.t.Helper()
	n := int64(0)
	err := r.store.List(r.t.Context(), prefix, func(drivers.ObjectInfo) error { n++; return nil })
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestZerosCostNoObjectsAndStayHoles(t *testing.T) {
	r := newRig(t)
	data := make([]byte, 8*region)
	copy(data[5*region+99:], "island")
	result, err := r.backup(t.Context(), r.volume("1", data), "x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.ObjectCount != 2 || result.StoredBytes > 4096 {
		t.Errorf("%d objects with %d bytes", result.ObjectCount, result.StoredBytes)
	}
	target := r.volume("2", make([]byte, 8*region))
	if err := r.restore(target, "x/", result.ManifestDigest); err != nil {
		t.Fatal(err)
	}
	if got := allocated(t, filepath.Join(r.dir, target.Name)); got > 2*chunk {
		t.Errorf("the restored volume has %d bytes allocated", got)
	}
}

// Every object of a backup, one bit flipped, or gone, or shortened: a restore
// says so and writes nothing that is wrong.
func TestADamagedObjectIsNoticed(t *testing.T) {
	r := newRig(t)
	data := r.mixed(3 * region)
	result, err := r.backup(t.Context(), r.volume("1", data), "x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := r.store.List(t.Context(), "x/", func(o drivers.ObjectInfo) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	damages := map[string]func([]byte) []byte{
		"bit":     func(b []byte) []byte { b[rand.IntN(len(b))] ^= 1 << rand.IntN(8); return b },
		"shorter": func(b []byte) []byte { return b[:len(b)-1] },
		"empty":   func([]byte) []byte { return nil },
		"longer":  func(b []byte) []byte { return append(b, 0) },
		"gone":    nil,
	}
	for _, name := range names {
		info, err := r.store.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		good := make([]byte, info.Bytes)
		if _, err := r.store.Get(t.Context(), name, good, 0); err != nil {
			t.Fatal(err)
		}
		for kind, damage := range damages {
			t.Run(filepath.Base(name)+"/"+kind, func(t *testing.T) {
				if damage == nil {
					err = r.store.Delete(t.Context(), name)
				} else {
					err = r.store.Put(t.Context(), name, damage(bytes.Clone(good)))
				}
				if err != nil {
					t.Fatal(err)
				}
				before := bytes.Repeat([]byte{0xee}, len(data))
				target := r.volume("2", before)
				err := r.restore(target, "x/", result.ManifestDigest)
				_, missing := errors.AsType[*engine.Missing](err)
				if damage != nil && stowage.CodeOf(err) != stowage.Corrupt || damage == nil && !missing {
					t.Errorf("the restore says %v", err)
				}
				for i, b := range r.bytes(target) {
					if b != data[i] && b != 0xee {
						t.Fatalf("byte %d became %x", i, b)
					}
					if !r.touched && b != 0xee {
						t.Fatalf("byte %d was written, and nobody was asked before", i)
					}
				}
				if err := r.store.Put(t.Context(), name, good); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestASmallerTargetIsNotTouched(t *testing.T) {
	r := newRig(t)
	result, err := r.backup(t.Context(), r.volume("1", r.mixed(region)), "x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = r.restore(r.volume("2", make([]byte, region-1)), "x/", result.ManifestDigest)
	if stowage.CodeOf(err) != stowage.Invalid || r.touched {
		t.Errorf("the restore says %v, touched %v", err, r.touched)
	}
}

func TestWithoutProofOfTheSnapshotThereIsNoManifest(t *testing.T) {
	r := newRig(t)
	doubt := errors.New("the snapshot is gone")
	_, err := r.backup(t.Context(), r.volume("1", r.mixed(region)), "x/", func(context.Context) error { return doubt })
	if !errors.Is(err, doubt) {
		t.Errorf("the backup says %v", err)
	}
	if _, err := r.store.Stat(t.Context(), manifest.Name("x/")); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("there is a manifest: %v", err)
	}
}

func TestABackupThatIsCutShortSaysSo(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	vol := r.volume("1", r.mixed(20*region))
	var puts atomic.Int64
	r.store = putHook{r.store, func() error {
		if puts.Add(1) == 3 {
			cancel()
		}
		return nil
	}}
	if _, err := r.backup(ctx, vol, "x/", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the backup says %v", err)
	}
	if _, err := r.store.Stat(t.Context(), manifest.Name("x/")); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("there is a manifest: %v", err)
	}
}

// putHook asks before every Put.
type putHook struct {
	drivers.Store
	before func() error
}

func (p putHook) Put(ctx context.Context, name string, data []byte) error {
	if err := p.before(); err != nil {
		return err
	}
	return p.Store.Put(ctx, name, data)
}

func TestAFailedPutFailsTheBackup(t *testing.T) {
	r := newRig(t)
	vol := r.volume("1", r.mixed(6*region))
	full := errors.New("no space")
	var puts atomic.Int64
	r.store = putHook{r.store, func() error {
		if puts.Add(1) == 4 {
			return full
		}
		return nil
	}}
	if _, err := r.backup(t.Context(), vol, "x/", nil); !errors.Is(err, full) {
		t.Errorf("the backup says %v", err)
	}
}

func TestDeleteRemovesEveryAttemptAndNothingElse(t *testing.T) {
	r := newRig(t)
	vol := r.volume("1", r.mixed(4*region))
	if _, err := r.backup(t.Context(), vol, "v/b1/000001/", nil); err != nil { // an attempt that was never committed
		t.Fatal(err)
	}
	result, err := r.backup(t.Context(), vol, "v/b1/000002/", nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.backup(t.Context(), vol, "v/b10/000001/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again, as after a crash
		if err := r.engine.Delete(t.Context(), r.store, "v/b1/", "v/b1/000002/", result.ManifestDigest, &engine.Progress{}); err != nil {
			t.Fatal(err)
		}
		if n := r.count("v/b1/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
	}
	if n := r.count("v/b10/"); n != other.ObjectCount {
		t.Errorf("the other backup has %d objects of %d", n, other.ObjectCount)
	}
}

// A list that comes late must not leave objects behind: the manifest names them.
func TestDeleteDoesNotTrustTheListing(t *testing.T) {
	r := newRig(t)
	result, err := r.backup(t.Context(), r.volume("1", r.mixed(4*region)), "v/b1/000001/", nil)
	if err != nil {
		t.Fatal(err)
	}
	blind := blindStore{r.store}
	if err := r.engine.Delete(t.Context(), blind, "v/b1/", "v/b1/000001/", result.ManifestDigest, &engine.Progress{}); err != nil {
		t.Fatal(err)
	}
	if n := r.count("v/b1/"); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// blindStore lists nothing.
type blindStore struct{ drivers.Store }

func (blindStore) List(context.Context, string, func(drivers.ObjectInfo) error) error { return nil }

func TestADeleteThatCannotListFails(t *testing.T) {
	r := newRig(t)
	broken := brokenStore{r.store}
	err := r.engine.Delete(t.Context(), broken, "v/b1/", "", "", &engine.Progress{})
	if stowage.CodeOf(errors.Unwrap(err)) != stowage.Unavailable {
		t.Errorf("the delete says %v", err)
	}
}

type brokenStore struct{ drivers.Store }

func (brokenStore) List(context.Context, string, func(drivers.ObjectInfo) error) error {
	return stowage.Errorf(stowage.Unavailable, "503")
}

func TestProgressEndsWhereItSaid(t *testing.T) {
	r := newRig(t)
	vol := r.volume("1", r.mixed(9*region+5))
	snap, err := r.volumes.CreateSnapshot(t.Context(), vol, "s")
	if err != nil {
		t.Fatal(err)
	}
	source, err := r.volumes.OpenSnapshot(t.Context(), snap)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	var p engine.Progress
	if _, err := r.engine.Backup(t.Context(), engine.BackupInput{Source: source, Store: r.store, Prefix: "x/", Progress: &p}); err != nil {
		t.Fatal(err)
	}
	if done, all := p.Get(); done != all || all == 0 || p.Percent() != 99 {
		t.Errorf("%d of %d, %d %%", done, all, p.Percent())
	}
}
