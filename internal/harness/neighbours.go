package harness

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/mail"
)

// Hooks are run around calls to a neighbour, by the name of the method.
type Hooks struct {
	mu            sync.Mutex
	before, after map[string]func(volume string) error
}

// Before sets what runs before calls of the method; its error is what the call
// gives, without having been made. nil takes the hook away.
func (h *Hooks) Before(method string, fn func(volume string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.before == nil {
		h.before = map[string]func(string) error{}
	}
	h.before[method] = fn
}

// After sets what runs after calls that worked; its error hides that they did.
func (h *Hooks) After(method string, fn func(volume string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.after == nil {
		h.after = map[string]func(string) error{}
	}
	h.after[method] = fn
}

func (h *Hooks) call(method, volume string, work func() error) error {
	h.mu.Lock()
	before, after := h.before[method], h.after[method]
	h.mu.Unlock()
	if before != nil {
		if err := before(volume); err != nil {
			return err
		}
	}
	if err := work(); err != nil {
		return err
	}
	if after != nil {
		return after(volume)
	}
	return nil
}

// Cinder is the embedded Cinder with hooks.
type Cinder struct {
	cloud.Volumes
	Hooks
	mu     sync.Mutex
	change func(*cloud.Volume)
	places map[string]string // backends, of volumes
}

// Place makes a volume be on another backend.
func (c *Cinder) Place(volume, backend string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.places == nil {
		c.places = map[string]string{}
	}
	c.places[volume] = backend
}

// Locate tells of volumes that were placed.
func (c *Cinder) Locate(ctx context.Context, v cloud.Volume) (stowage.VolumeLocation, error) {
	loc, err := c.Volumes.Locate(ctx, v)
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.places[v.ID]; at != "" {
		loc.Backend = at
	}
	return loc, err
}

// Change makes Cinder tell something else of its volumes.
func (c *Cinder) Change(fn func(*cloud.Volume)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change = fn
}

func (c *Cinder) changed(v cloud.Volume) cloud.Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.change != nil {
		c.change(&v)
	}
	return v
}

// Volume can be changed.
func (c *Cinder) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	v, err := c.Volumes.Volume(ctx, id)
	return c.changed(v), err
}

// UserVolume has a hook.
func (c *Cinder) UserVolume(ctx context.Context, u cloud.User, id string) (v cloud.Volume, err error) {
	err = c.call("UserVolume", id, func() (err error) { v, err = c.Volumes.UserVolume(ctx, u, id); return err })
	return c.changed(v), err
}

// CreateUserVolume has a hook.
func (c *Cinder) CreateUserVolume(ctx context.Context, u cloud.User, req cloud.VolumeRequest) (v cloud.Volume, err error) {
	err = c.call("CreateUserVolume", req.Type+"/"+req.AvailabilityZone, func() (err error) { v, err = c.Volumes.CreateUserVolume(ctx, u, req); return err })
	return v, err
}

// Reserve has a hook.
func (c *Cinder) Reserve(ctx context.Context, id, owner string) (a string, err error) {
	err = c.call("Reserve", id, func() (err error) { a, err = c.Volumes.Reserve(ctx, id, owner); return err })
	return a, err
}

// Lock has a hook.
func (c *Cinder) Lock(ctx context.Context, id, owner string) (a string, err error) {
	err = c.call("Lock", id, func() (err error) { a, err = c.Volumes.Lock(ctx, id, owner); return err })
	return a, err
}

// Release has a hook.
func (c *Cinder) Release(ctx context.Context, attachment string) error {
	return c.call("Release", attachment, func() error { return c.Volumes.Release(ctx, attachment) })
}

// SetStatus has a hook.
func (c *Cinder) SetStatus(ctx context.Context, id, status string) error {
	return c.call("SetStatus", id, func() error { return c.Volumes.SetStatus(ctx, id, status) })
}

// SetMetadata has a hook.
func (c *Cinder) SetMetadata(ctx context.Context, id string, meta, image map[string]string, bootable bool) error {
	return c.call("SetMetadata", id, func() error { return c.Volumes.SetMetadata(ctx, id, meta, image, bootable) })
}

// Containers are the embedded ones with hooks.
type Containers struct {
	cloud.Containers
	Hooks
	Space cloud.Capacity // what each is told to hold
}

// Capacity has a hook, which is told whose token is used.
func (c *Containers) Capacity(_ context.Context, u cloud.User, container string) (out cloud.Capacity, err error) {
	err = c.call("Capacity", u.ProjectID+":"+container+" as "+u.UserID, func() error { out = c.Space; return nil })
	return out, err
}

// Post is a mail server that keeps what it gets, with a fault if it is set.
type Post struct {
	mu    sync.Mutex
	fault error
	mails []mail.Message
}

// Send keeps a message.
func (p *Post) Send(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		return p.fault
	}
	p.mails = append(p.mails, m)
	return nil
}

// Fail makes it fail from now on; nil: not any more.
func (p *Post) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = err
}

// Got is what it got.
func (p *Post) Got() []mail.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mails)
}

// Prepare has a hook.
func (c *Containers) Prepare(ctx context.Context, u cloud.User, container string) error {
	return c.call("Prepare", container, func() error { return c.Containers.Prepare(ctx, u, container) })
}

// Serve has a hook.
func (c *Containers) Serve(ctx context.Context, project, container string) error {
	return c.call("Serve", container, func() error { return c.Containers.Serve(ctx, project, container) })
}

// MayRead has a hook.
func (c *Containers) MayRead(ctx context.Context, u cloud.User, container string) error {
	return c.call("MayRead", container, func() error { return c.Containers.MayRead(ctx, u, container) })
}

// MayDelete has a hook.
func (c *Containers) MayDelete(ctx context.Context, u cloud.User, container string) error {
	return c.call("MayDelete", container, func() error { return c.Containers.MayDelete(ctx, u, container) })
}

// mortal remembers the targets a manager has open.
type mortal struct {
	drivers.Volumes
	h *Harness
}

func (m *mortal) OpenTarget(ctx context.Context, vol stowage.VolumeLocation) (drivers.Target, error) {
	t, err := m.Volumes.OpenTarget(ctx, vol)
	if err == nil {
		m.h.openMu.Lock()
		defer m.h.openMu.Unlock()
		m.h.open = append(m.h.open, t)
	}
	return t, err
}

func (m *mortal) CinderSnapshot(ctx context.Context, vol stowage.VolumeLocation, id string) (stowage.Snapshot, error) {
	return m.Volumes.(drivers.CinderSnapshots).CinderSnapshot(ctx, vol, id)
}

// Bury closes what a dead manager had open, as the kernel would.
func (h *Harness) Bury() {
	h.openMu.Lock()
	defer h.openMu.Unlock()
	for _, t := range h.open {
		_ = t.Close() // what it says is of no use to the dead
	}
	h.open = nil
}

// Objects tells the embedded cloud about the containers of a directory.
type Objects struct{ *dir.Stores }

// ContainerExists looks for a container.
func (o Objects) ContainerExists(ctx context.Context, project, container string) (bool, error) {
	store, err := o.Open(ctx, project, container)
	if err != nil {
		return false, err
	}
	one := errors.New("one is enough")
	err = store.List(ctx, "", func(drivers.ObjectInfo) error { return one })
	switch {
	case stowage.CodeOf(err) == stowage.NotFound:
		return false, nil
	case err != nil && !errors.Is(err, one):
		return false, err
	}
	return true, nil
}
