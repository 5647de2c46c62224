package drivertest

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
)

// FaultyStore passes everything on to the store, except for the faults. A Get
// that fails after the work has filled the buffer and reports no bytes; a List
// that fails after the work has called fn.
func FaultyStore(store drivers.Store, faults *Faults) drivers.Store {
	return &faultyStore{store, faults}
}

// FaultyStores wraps every store it opens.
func FaultyStores(stores drivers.Stores, faults *Faults) drivers.Stores {
	return &faultyStores{stores, faults}
}

// FaultyVolumes passes everything on to the volumes, except for the faults,
// and wraps what it opens. It can do what the volumes can: Bases, Leftovers and
// Orphans. Snapshots of Cinder's it has none where the volumes cannot find them.
func FaultyVolumes(volumes drivers.Volumes, faults *Faults) drivers.Volumes {
	faulty := &faultyVolumes{volumes, faults}
	bases, keeps := volumes.(drivers.Bases)
	left, lists := volumes.(drivers.Leftovers)
	orphans, knows := volumes.(drivers.Orphans)
	switch {
	case knows:
		return struct {
			*faultyVolumes
			faultyBases
			faultyLeftovers
			faultyOrphans
		}{faulty, faultyBases{bases, faults}, faultyLeftovers{left, faults}, faultyOrphans{orphans, faults}}
	case keeps && lists:
		return struct {
			*faultyVolumes
			faultyBases
			faultyLeftovers
		}{faulty, faultyBases{bases, faults}, faultyLeftovers{left, faults}}
	case keeps:
		return struct {
			*faultyVolumes
			faultyBases
		}{faulty, faultyBases{bases, faults}}
	case lists:
		return struct {
			*faultyVolumes
			faultyLeftovers
		}{faulty, faultyLeftovers{left, faults}}
	}
	return faulty
}

// FaultySource wraps an open snapshot; name is what faults match. One that
// knows its changes tells them still; a Changed that fails after the work has
// called fn.
func FaultySource(source drivers.Source, name string, faults *Faults) drivers.Source {
	faulty := &faultySource{source, name, faults}
	if changes, ok := source.(drivers.ChangeSource); ok {
		return &faultyChangeSource{faulty, changes}
	}
	return faulty
}

// FaultyTarget wraps an open volume; name is what faults match.
//
// One that can be read can be read still.
func FaultyTarget(target drivers.Target, name string, faults *Faults) drivers.Target {
	faulty := &faultyTarget{target, name, faults}
	if readable, ok := target.(drivers.ReadableTarget); ok {
		return &faultyReadableTarget{faulty, readable}
	}
	return faulty
}

type faultyStores struct {
	drivers.Stores
	faults *Faults
}

func (f *faultyStores) Open(ctx context.Context, project, container string) (drivers.Store, error) {
	s, err := f.Stores.Open(ctx, project, container)
	if err != nil {
		return nil, err
	}
	return FaultyStore(s, f.faults), nil
}

type faultyStore struct {
	store  drivers.Store
	faults *Faults
}

func (f *faultyStore) Put(ctx context.Context, name string, data []byte) (etag string, err error) {
	err = f.faults.call(OpPut, name, func() (err error) { etag, err = f.store.Put(ctx, name, data); return err })
	if err != nil {
		return "", err
	}
	return etag, nil
}

func (f *faultyStore) Get(ctx context.Context, name string, buf []byte, offset int64) (n int, err error) {
	err = f.faults.call(OpGet, name, func() (err error) { n, err = f.store.Get(ctx, name, buf, offset); return err })
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (f *faultyStore) Stat(ctx context.Context, name string) (info drivers.ObjectInfo, err error) {
	err = f.faults.call(OpStat, name, func() (err error) { info, err = f.store.Stat(ctx, name); return err })
	if err != nil {
		return drivers.ObjectInfo{}, err
	}
	return info, nil
}

func (f *faultyStore) Delete(ctx context.Context, name string) error {
	return f.faults.call(OpDelete, name, func() error { return f.store.Delete(ctx, name) })
}

func (f *faultyStore) List(ctx context.Context, prefix string, fn func(drivers.ObjectInfo) error) error {
	return f.faults.call(OpList, prefix, func() error { return f.store.List(ctx, prefix, fn) })
}

type faultyVolumes struct {
	drivers.Volumes
	faults *Faults
}

func (f *faultyVolumes) CreateSnapshot(ctx context.Context, vol stowage.VolumeLocation, name string) (snap stowage.Snapshot, err error) {
	err = f.faults.call(OpCreateSnapshot, name, func() (err error) { snap, err = f.Volumes.CreateSnapshot(ctx, vol, name); return err })
	if err != nil {
		return stowage.Snapshot{}, err
	}
	return snap, nil
}

func (f *faultyVolumes) OpenSnapshot(ctx context.Context, snap stowage.Snapshot) (source drivers.Source, err error) {
	err = f.faults.call(OpOpenSnapshot, snap.Name, func() (err error) { source, err = f.Volumes.OpenSnapshot(ctx, snap); return err })
	if err != nil {
		if source != nil {
			_ = source.Close()
		}
		return nil, err
	}
	return FaultySource(source, snap.Name, f.faults), nil
}

func (f *faultyVolumes) CheckSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	return f.faults.call(OpCheckSnapshot, snap.Name, func() error { return f.Volumes.CheckSnapshot(ctx, snap) })
}

func (f *faultyVolumes) RemoveSnapshot(ctx context.Context, snap stowage.Snapshot) error {
	return f.faults.call(OpRemoveSnapshot, snap.Name, func() error { return f.Volumes.RemoveSnapshot(ctx, snap) })
}

func (f *faultyVolumes) OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (target drivers.Target, err error) {
	err = f.faults.call(OpOpenTarget, vol.Name, func() (err error) { target, err = f.Volumes.OpenTarget(ctx, vol); return err })
	if err != nil {
		if target != nil {
			_ = target.Close()
		}
		return nil, err
	}
	return FaultyTarget(target, vol.Name, f.faults), nil
}

type faultyBases struct {
	bases  drivers.Bases
	faults *Faults
}

func (f faultyBases) KeepSnapshot(ctx context.Context, snap stowage.Snapshot, name string) (kept stowage.Snapshot, err error) {
	err = f.faults.call(OpKeepSnapshot, snap.Name, func() (err error) { kept, err = f.bases.KeepSnapshot(ctx, snap, name); return err })
	if err != nil {
		return snap, err
	}
	return kept, nil
}

type faultyLeftovers struct {
	left   drivers.Leftovers
	faults *Faults
}

func (f faultyLeftovers) Leftovers(ctx context.Context) (snaps []stowage.Snapshot, err error) {
	err = f.faults.call(OpLeftovers, "", func() (err error) { snaps, err = f.left.Leftovers(ctx); return err })
	if err != nil {
		return nil, err
	}
	return snaps, nil
}

type faultyOrphans struct {
	orphans drivers.Orphans
	faults  *Faults
}

func (f faultyOrphans) Orphans(ctx context.Context) (snaps []stowage.Snapshot, err error) {
	err = f.faults.call(OpOrphans, "", func() (err error) { snaps, err = f.orphans.Orphans(ctx); return err })
	if err != nil {
		return nil, err
	}
	return snaps, nil
}

type faultySource struct {
	drivers.Source
	name   string
	faults *Faults
}

func (f *faultySource) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.faults.call(OpReadAt, f.name, func() (err error) { n, err = f.Source.ReadAt(p, offset); return err })
	return n, err
}

func (f *faultySource) Allocated(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	return f.faults.call(OpAllocated, f.name, func() error { return f.Source.Allocated(ctx, offset, length, fn) })
}

func (f *faultySource) Close() error {
	return f.faults.call(OpClose, f.name, f.Source.Close)
}

type faultyChangeSource struct {
	*faultySource
	changes drivers.ChangeSource
}

func (f *faultyChangeSource) Changed(ctx context.Context, base stowage.Snapshot, offset, length int64, fn func(stowage.Extent) error) error {
	return f.faults.call(OpChanged, f.name, func() error { return f.changes.Changed(ctx, base, offset, length, fn) })
}

type faultyTarget struct {
	drivers.Target
	name   string
	faults *Faults
}

func (f *faultyTarget) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.faults.call(OpWriteAt, f.name, func() (err error) { n, err = f.Target.WriteAt(p, offset); return err })
	return n, err
}

func (f *faultyTarget) WriteZeroes(offset, length int64) error {
	return f.faults.call(OpWriteZeroes, f.name, func() error { return f.Target.WriteZeroes(offset, length) })
}

func (f *faultyTarget) Empty(ctx context.Context) (empty bool, err error) {
	err = f.faults.call(OpEmpty, f.name, func() (err error) { empty, err = f.Target.Empty(ctx); return err })
	return empty && err == nil, err
}

func (f *faultyTarget) Flush() error {
	return f.faults.call(OpFlush, f.name, f.Target.Flush)
}

func (f *faultyTarget) Close() error {
	return f.faults.call(OpClose, f.name, f.Target.Close)
}

type faultyReadableTarget struct {
	*faultyTarget
	readable drivers.ReadableTarget
}

func (f *faultyReadableTarget) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.faults.call(OpReadAt, f.name, func() (err error) { n, err = f.readable.ReadAt(p, offset); return err })
	return n, err
}
