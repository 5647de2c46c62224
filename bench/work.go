//go:build ceph

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/rbd"
	"github.com/stowage/stowage/drivers/swift"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
)

// order is what a child process is to do; it reads it from standard input.
type order struct {
	Do        string // backup, restore, verify, data, load, dirty, scatter, put, get
	Image     string
	Container string
	Master    string // content of a file of master keys
	Key       *storedKey
	Parent    *point // of an increment
	Bytes     int64  // of put: how much, in objects of 64 MiB
	Names     []string
	Jobs      int // backups of the image beside one another; 0: one
	Seed      uint64
	File      string // of load
	Profile   string // where the profile of the CPU goes; empty: there is none
}

type storedKey struct {
	ID      seal.KeyID
	Wrapped []byte
}

// point is a backup that was made.
type point struct {
	Root, Digest string
	Snapshot     stowage.Snapshot
}

// outcome is what a child tells; the parent adds what it cost.
type outcome struct {
	Point    point
	Mode     engine.Mode
	Read     int64
	Stored   int64
	Names    []string
	Seconds  float64 // of the work alone, connections made
	GCShare  float64 // of the CPU
	CPU      float64 // user and system
	PeakMiB  float64
	DaemonsS map[string]float64 // CPU of the stack's daemons meanwhile
}

// work does one order in a process of its own, so that its CPU and memory are
// the kernel's figures.
func work(ctx context.Context, o order) (outcome, error) {
	if o.Do == "data" {
		return outcome{}, mixed(o.File, 4*gib)
	}
	vols, err := rbd.Open(ctx, rbd.Options{CephConf: env("CEPH_CONF"), Keyring: env("CEPH_KEYRING"), User: env("CEPH_USER"), Pool: env("CEPH_POOL")})
	if err != nil {
		return outcome{}, err
	}
	stores, err := swift.Open(swift.Options{
		TokenSource: token(env("BENCH_TOKEN")), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		AccountURL: func(context.Context, string) (string, error) { return env("BENCH_ACCOUNT"), nil },
	})
	if err != nil {
		return outcome{}, err
	}
	store, err := stores.Open(ctx, env("DEMO_PROJECT_ID"), o.Container)
	if err != nil {
		return outcome{}, err
	}
	w := &worker{order: o, vols: vols, store: store, engine: engine.New(engine.Options{})}
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return outcome{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return outcome{}, err
		}
		defer pprof.StopCPUProfile()
	}
	begun := time.Now()
	out, err := w.run(ctx)
	out.Seconds = time.Since(begun).Seconds()
	out.GCShare, out.PeakMiB = gcShare(), peak()
	return out, errors.Join(err, vols.Close())
}

type worker struct {
	order
	vols   drivers.Volumes
	store  drivers.Store
	engine *engine.Engine
}

func (w *worker) run(ctx context.Context) (outcome, error) {
	switch w.Do {
	case "backup":
		return w.backups(ctx)
	case "dirty":
		return outcome{}, w.dirty(ctx)
	case "restore":
		return outcome{}, w.restore(ctx)
	case "verify":
		_, err := w.engine.Verify(ctx, engine.VerifyInput{Store: w.store, Root: w.Parent.Root, Digest: w.Parent.Digest, Keys: w, Deep: true, Progress: &engine.Progress{}})
		return outcome{}, err
	case "load":
		return outcome{}, w.load(ctx)
	case "scatter":
		return outcome{}, w.scatter(ctx)
	case "put":
		return w.put(ctx)
	case "get":
		return outcome{}, w.get(ctx)
	}
	return outcome{}, fmt.Errorf("there is no work %q", w.Do)
}

// Key opens the one key there is.
func (w *worker) Key(_ context.Context, id seal.KeyID, wrapped []byte) (seal.Key, error) {
	m, err := seal.ParseMaster([]byte(w.Master))
	if err != nil {
		return seal.Key{}, err
	}
	return m.Unwrap(id, wrapped, project)
}

const project = "bench"

func (w *worker) location() stowage.VolumeLocation {
	return stowage.VolumeLocation{Backend: w.vols.Backend(), VolumeID: strings.TrimPrefix(w.Image, "volume-"), Name: w.Image}
}

// backups makes as many backups as are asked for, at the same time.
func (w *worker) backups(ctx context.Context) (outcome, error) {
	outs, group := make([]outcome, max(w.Jobs, 1)), errgroup.Group{}
	for i := range outs {
		group.Go(func() (err error) {
			outs[i], err = w.backup(ctx)
			return err
		})
	}
	return outs[0], group.Wait()
}

// dirty writes over one place of 64 KiB in a hundred.
func (w *worker) dirty(ctx context.Context) error {
	target, err := w.vols.OpenTarget(ctx, w.location())
	if err != nil {
		return err
	}
	buf, random := make([]byte, 64<<10), rand.New(rand.NewPCG(w.Seed, 0))
	places := target.Size() / int64(len(buf))
	for range places / 100 {
		fill(buf, random.Uint64())
		if _, err := target.WriteAt(buf, random.Int64N(places)*int64(len(buf))); err != nil {
			return errors.Join(err, target.Close())
		}
	}
	return errors.Join(target.Flush(), target.Close())
}

// load writes a file to the volume, but for its holes.
func (w *worker) load(ctx context.Context) error {
	target, err := w.vols.OpenTarget(ctx, w.location())
	if err != nil {
		return err
	}
	f, err := os.Open(w.File)
	if err != nil {
		return errors.Join(err, target.Close())
	}
	defer f.Close()
	buf, zeros := make([]byte, 4*mib), make([]byte, 4*mib)
	for at := int64(0); err == nil; at += int64(len(buf)) {
		var n int
		if n, err = f.ReadAt(buf, at); n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := target.WriteAt(buf[:n], at); err != nil {
				return errors.Join(err, target.Close())
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, target.Close())
	}
	return errors.Join(target.Flush(), target.Close())
}

// scatter writes 4 MiB in 1,024 places, evenly over the volume.
func (w *worker) scatter(ctx context.Context) error {
	target, err := w.vols.OpenTarget(ctx, w.location())
	if err != nil {
		return err
	}
	buf := make([]byte, 4*mib)
	for i := range int64(1024) {
		err := text(buf, uint64(i))
		if err == nil {
			_, err = target.WriteAt(buf, target.Size()/1024*i)
		}
		if err != nil {
			return errors.Join(err, target.Close())
		}
	}
	return errors.Join(target.Flush(), target.Close())
}

func (w *worker) backup(ctx context.Context) (outcome, error) {
	id := uuid.New()
	snap, err := w.vols.CreateSnapshot(ctx, w.location(), "stowage-inflight."+id.String())
	if err != nil {
		return outcome{}, err
	}
	source, err := w.vols.OpenSnapshot(ctx, snap)
	if err != nil {
		return outcome{}, err
	}
	defer source.Close()
	key, err := w.Key(ctx, w.order.Key.ID, w.order.Key.Wrapped)
	if err != nil {
		return outcome{}, err
	}
	in := engine.BackupInput{
		Source: source, Store: w.store, Attempt: manifest.Attempt{Backup: id, Fence: 1}, Key: &key, Progress: &engine.Progress{},
		Info: manifest.Info{
			Backup: id, Fence: 1, Project: project, Volume: stowage.VolumeRecord{ID: w.location().VolumeID},
			SnapshotAt: snap.At, CreatedAt: time.Now(),
		},
		Check: func(ctx context.Context) error { return w.vols.CheckSnapshot(ctx, snap) },
	}
	if w.Parent != nil {
		root, err := w.engine.ReadRoot(ctx, w.store, w.Parent.Root, w.Parent.Digest, w)
		if err != nil {
			return outcome{}, err
		}
		damages, err := w.engine.LookAt(ctx, w.store, root.Root, nil)
		if err != nil || len(damages) > 0 {
			return outcome{}, fmt.Errorf("the parent: %v %w", damages, err)
		}
		in.Parent, in.Base = root.Root, &w.Parent.Snapshot
	}
	r, err := w.engine.Backup(ctx, in)
	return outcome{Point: point{r.Root, r.RootDigest, snap}, Mode: r.Mode, Read: r.ReadBytes, Stored: r.StoredBytes}, err
}

func (w *worker) restore(ctx context.Context) error {
	target, err := w.vols.OpenTarget(ctx, w.location())
	if err != nil {
		return err
	}
	err = w.engine.Restore(ctx, engine.RestoreInput{
		Store: w.store, Root: w.Parent.Root, Digest: w.Parent.Digest, Keys: w, Target: target, Progress: &engine.Progress{},
	})
	return errors.Join(err, target.Close())
}

const rawBytes = 64 << 20

// put stores as many bytes as a backup did, two objects at a time.
func (w *worker) put(ctx context.Context) (outcome, error) {
	buf := make([]byte, rawBytes)
	fill(buf, 1)
	names, slots, failed := []string{}, make(chan struct{}, 2), make(chan error, 1<<16)
	n := 0
	for left := w.Bytes; left > 0; left -= rawBytes {
		name := fmt.Sprintf("raw/%s/%08d", uuid.NewString(), n)
		names = append(names, name)
		n++
		slots <- struct{}{}
		go func() {
			_, err := w.store.Put(ctx, name, buf[:min(left, rawBytes)])
			failed <- err
			<-slots
		}()
	}
	var err error
	for range n {
		err = errors.Join(err, <-failed)
	}
	return outcome{Names: names, Stored: w.Bytes}, err
}

// get reads them back, four at a time.
func (w *worker) get(ctx context.Context) error {
	slots, failed := make(chan []byte, 4), make(chan error, len(w.Names))
	for range cap(slots) {
		slots <- make([]byte, rawBytes)
	}
	for _, name := range w.Names {
		buf := <-slots
		go func() {
			_, err := w.store.Get(ctx, name, buf, 0)
			failed <- err
			slots <- buf
		}()
	}
	var err error
	for range w.Names {
		err = errors.Join(err, <-failed)
	}
	return err
}

type token string

func (t token) Token(context.Context) (string, error) { return string(t), nil }
func (t token) Refused(string)                        {}

// peak is what the kernel says this process has had at most.
func peak() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib / 1024
}

func gcShare() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}}
	metrics.Read(s)
	gc, user := s[0].Value.Float64(), s[1].Value.Float64()
	if user <= 0 || math.IsNaN(gc) {
		return 0
	}
	return gc / (gc + user)
}

// child runs the order that stands on standard input, and tells the outcome.
func child(ctx context.Context) error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	out, err := work(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
