package cloudtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
)

// ServersFixture is a cloud to test Servers on.
type ServersFixture struct {
	Servers cloud.Servers
	Cinder  VolumesFixture // of the same cloud; all is made in its Owner's project

	FlavorID  string
	NetworkID string
	Address   string // a free one in the network
	MAC       string // a free one

	// Delete deletes a server as its user would, and its ports.
	Delete func(t *testing.T, id string)

	// What only some clouds have; the zero value leaves the case out.
	Foreign      string // a project in which the service has no rights
	Zone         string // one that there is
	NoHost       string // a flavor for which no host has room
	NoSuchFlavor string
}

// Servers runs the suite for cloud.Servers.
func Servers(t *testing.T, f ServersFixture) {
	t.Run("a server is built, described, and built again", f.testRebuild)
	t.Run("one mark is one server", f.testMark)
	t.Run("what is another's is noted", f.testTaken)
	t.Run("removed without its volumes", f.testRemove)
	t.Run("a server without a host is removed", f.testNoHost)
	t.Run("snapshots of all volumes", f.testSnapshots)
	t.Run("snapshots of volumes, in use or not", f.testVolumeSnapshots)
	t.Run("what cannot be built is refused", f.testRefused)
	t.Run("volumes of a project", f.testVolumes)
	t.Run("a network that leads nowhere", f.testTestNetwork)
	t.Run("a server that is none is not found", f.testOddServers)
	t.Run("no rights in a project", f.testForeign)
}

func (f ServersFixture) project() string { return f.Cinder.Owner.ProjectID }

// volume makes a volume that can be booted from.
func (f ServersFixture) volume(t *testing.T) string {
	t.Helper()
	vol, err := f.Servers.CreateVolume(t.Context(), f.project(), cloud.VolumeRequest{Name: "disk", SizeGiB: 1})
	must(t, err, "create a volume")
	t.Cleanup(func() {
		if _, err := f.Cinder.Volumes.Volume(context.WithoutCancel(t.Context()), vol.ID); err == nil {
			f.Cinder.Remove(t, vol.ID)
		}
	})
	f.Cinder.await(t, vol.ID, stowage.VolumeAvailable)
	must(t, f.Cinder.Volumes.SetMetadata(t.Context(), vol.ID, nil, nil, true), "make it bootable")
	return vol.ID
}

func (f ServersFixture) request(t *testing.T) cloud.ServerRequest {
	return cloud.ServerRequest{
		Name: "wëb 1", FlavorID: f.FlavorID, Zone: f.Zone, Metadata: map[string]string{"made": "for a test"}, Tags: []string{"gold"}, Config: true,
		Volumes: []stowage.ServerDisk{
			{VolumeID: f.volume(t), Device: "/dev/vda", Boot: true, Tag: "root"},
			{VolumeID: f.volume(t), Device: "/dev/vdb", DeleteWithServer: true},
		},
		Ports: []stowage.ServerPort{{NetworkID: f.NetworkID, MAC: f.MAC, Addresses: []string{f.Address}}},
		Mark:  uuid.NewString(),
	}
}

// build makes the server and waits for it.
func (f ServersFixture) build(t *testing.T, req cloud.ServerRequest) (string, []string) {
	t.Helper()
	t.Cleanup(func() {
		if err := f.Servers.RemoveServer(context.WithoutCancel(t.Context()), f.project(), req.Mark); err != nil {
			t.Errorf("remove what was built: %v", err)
		}
	})
	id, notes, err := f.Servers.BuildServer(t.Context(), f.project(), req)
	must(t, err, "build a server")
	f.settled(t, id, cloud.ServerActive)
	return id, notes
}

// settled looks until the server is built, or is not to be.
func (f ServersFixture) settled(t *testing.T, id, want string) cloud.ServerState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		state, err := f.Servers.ServerState(ctx, id)
		must(t, err, "look at server "+id)
		if state.Status == want {
			return state
		}
		if state.Status != cloud.ServerBuild {
			t.Fatalf("server %+v, want it %s", state, want)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("server %+v, want it %s", state, want)
		}
	}
}

// isAs checks that the server is what was asked for.
func (f ServersFixture) isAs(t *testing.T, id string, req cloud.ServerRequest) stowage.ServerRecord {
	t.Helper()
	got, err := f.Servers.Server(t.Context(), id)
	must(t, err, "describe a server")
	if got.ID != id || got.ProjectID != f.project() || got.Name != req.Name || got.FlavorID != req.FlavorID || got.ImageID != "" ||
		!maps.Equal(got.Metadata, req.Metadata) || !slices.Equal(got.Tags, req.Tags) || !got.Config || got.Status != cloud.ServerActive {
		t.Errorf("server %+v, asked for %+v", got, req)
	}
	if len(got.Disks) != len(req.Volumes) || len(got.Ports) != len(req.Ports) {
		t.Fatalf("disks %+v and ports %+v, asked for %+v", got.Disks, got.Ports, req)
	}
	for i, d := range got.Disks {
		if d.Device == "" {
			t.Errorf("disk %+v has no device", d)
		}
		if d.Device = req.Volumes[i].Device; d != req.Volumes[i] {
			t.Errorf("disk %d is %+v, want %+v", i, d, req.Volumes[i])
		}
	}
	return got
}

func (f ServersFixture) testRebuild(t *testing.T) {
	req := f.request(t)
	id, notes := f.build(t, req)
	if len(notes) > 0 {
		t.Errorf("noted %q", notes)
	}
	was := f.isAs(t, id, req)
	if p := was.Ports[0]; p.ID == "" || p.NetworkID != f.NetworkID || p.MAC != f.MAC || !slices.Equal(p.Addresses, []string{f.Address}) {
		t.Errorf("port %+v", p)
	}
	f.Cinder.await(t, req.Volumes[0].VolumeID, stowage.VolumeInUse)

	f.Delete(t, id)
	_, err := f.Servers.Server(t.Context(), id)
	wantCode(t, err, stowage.NotFound, "describe a deleted server")
	_, err = f.Servers.ServerState(t.Context(), id)
	wantCode(t, err, stowage.NotFound, "look at a deleted server")
	f.Cinder.await(t, req.Volumes[0].VolumeID, stowage.VolumeAvailable)
	if vol, err := f.Cinder.Volumes.Volume(t.Context(), req.Volumes[1].VolumeID); err == nil && vol.Status != "deleting" {
		t.Errorf("volume %s is %s: it goes with the server", vol.ID, vol.Status)
	}

	again := req
	again.Volumes, again.Mark = slices.Clone(req.Volumes), uuid.NewString()
	again.Volumes[1].VolumeID = f.volume(t)
	again.Metadata, again.Tags, again.Ports = was.Metadata, was.Tags, was.Ports // as it was written down
	id, notes = f.build(t, again)
	if len(notes) > 0 {
		t.Errorf("noted %q", notes)
	}
	now := f.isAs(t, id, again)
	p, old := now.Ports[0], was.Ports[0]
	if p.ID == old.ID {
		t.Errorf("port %s is the same one", p.ID)
	}
	if p.MAC != old.MAC || !slices.Equal(p.Addresses, old.Addresses) || !slices.Equal(p.SecurityGroups, old.SecurityGroups) || p.Network != old.Network {
		t.Errorf("port %+v, was %+v", p, old)
	}
}

func (f ServersFixture) testMark(t *testing.T) {
	req := f.request(t)
	id, _ := f.build(t, req)
	again, notes, err := f.Servers.BuildServer(t.Context(), f.project(), req)
	must(t, err, "ask again")
	if again != id || len(notes) > 0 {
		t.Errorf("made %s, then %s with %q", id, again, notes)
	}
	f.isAs(t, id, req)
}

func (f ServersFixture) testTaken(t *testing.T) {
	first := f.request(t)
	f.build(t, first)
	req := f.request(t)
	id, notes := f.build(t, req)
	if len(notes) == 0 || !strings.Contains(strings.Join(notes, " "), f.Address) {
		t.Errorf("noted %q, want the address in it", notes)
	}
	if p := f.isAs(t, id, req).Ports[0]; p.MAC == f.MAC || slices.Contains(p.Addresses, f.Address) || p.NetworkID != f.NetworkID {
		t.Errorf("port %+v", p)
	}
}

func (f ServersFixture) testRemove(t *testing.T) {
	req := f.request(t)
	for range 2 {
		_, notes := f.build(t, req)
		if len(notes) > 0 { // what the first one had is free again
			t.Errorf("noted %q", notes)
		}
		must(t, f.Servers.RemoveServer(t.Context(), f.project(), req.Mark), "remove")
		for _, d := range req.Volumes {
			vol, err := f.Cinder.Volumes.Volume(t.Context(), d.VolumeID)
			must(t, err, "look at a volume of a server that was removed")
			if vol.Status != stowage.VolumeAvailable || vol.Attachments > 0 {
				t.Errorf("volume %+v", vol)
			}
		}
		must(t, f.Servers.RemoveServer(t.Context(), f.project(), req.Mark), "remove again")
	}
	must(t, f.Servers.RemoveServer(t.Context(), f.project(), uuid.NewString()), "remove what was never made")
}

func (f ServersFixture) testNoHost(t *testing.T) {
	if f.NoHost == "" {
		t.Skip("this cloud has room for all")
	}
	req := f.request(t)
	req.FlavorID = f.NoHost
	id, _, err := f.Servers.BuildServer(t.Context(), f.project(), req)
	must(t, err, "ask for it")
	if state := f.settled(t, id, cloud.ServerError); state.Fault == "" {
		t.Errorf("told %+v, want a fault", state)
	}
	must(t, f.Servers.RemoveServer(t.Context(), f.project(), req.Mark), "remove")
	for _, d := range req.Volumes {
		f.Cinder.await(t, d.VolumeID, stowage.VolumeAvailable)
	}
}

func (f ServersFixture) testRefused(t *testing.T) {
	req := f.request(t)
	t.Cleanup(func() { _ = f.Servers.RemoveServer(context.WithoutCancel(t.Context()), f.project(), req.Mark) })
	bare := req
	bare.Volumes = nil
	_, _, err := f.Servers.BuildServer(t.Context(), f.project(), bare)
	wantCode(t, err, stowage.Invalid, "build without a volume")
	if f.NoSuchFlavor != "" {
		req.FlavorID = f.NoSuchFlavor
		_, _, err = f.Servers.BuildServer(t.Context(), f.project(), req)
		wantCode(t, err, stowage.Invalid, "build without a flavor")
	}
	must(t, f.Servers.RemoveServer(t.Context(), f.project(), req.Mark), "remove what was made for it")
	if f.Cinder.TooLargeGiB > 0 {
		_, err = f.Servers.CreateVolume(t.Context(), f.project(), cloud.VolumeRequest{SizeGiB: f.Cinder.TooLargeGiB})
		wantCode(t, err, stowage.OverLimit, "create a volume beyond the quota")
	}
}

func (f ServersFixture) testVolumes(t *testing.T) {
	req := f.request(t)
	made, err := f.Cinder.Volumes.UserVolume(t.Context(), f.Cinder.Owner, req.Volumes[0].VolumeID)
	must(t, err, "the owner looks")
	if made.ProjectID != f.project() || made.SizeGiB != 1 || made.Name != "disk" {
		t.Errorf("made %+v", made)
	}
	f.build(t, req)
	for _, d := range req.Volumes {
		wantCode(t, f.Servers.RemoveVolume(t.Context(), f.project(), d.VolumeID), stowage.Conflict, "remove a volume in use")
	}
	must(t, f.Servers.RemoveServer(t.Context(), f.project(), req.Mark), "remove the server")
	spoilt := req.Volumes[0].VolumeID
	must(t, f.Cinder.Volumes.SetStatus(t.Context(), spoilt, stowage.VolumeErrorRestoring), "spoil a volume")
	must(t, f.Servers.RemoveVolume(t.Context(), f.Cinder.Stranger.ProjectID, spoilt), "remove another project's volume, which there is none of")
	f.Cinder.await(t, spoilt, stowage.VolumeErrorRestoring)
	for range 2 {
		must(t, f.Servers.RemoveVolume(t.Context(), f.project(), spoilt), "remove a spoilt volume")
	}
	if vol, err := f.Cinder.Volumes.Volume(t.Context(), spoilt); err == nil && vol.Status != "deleting" {
		t.Errorf("volume %s is %s", spoilt, vol.Status)
	}
	must(t, f.Servers.RemoveVolume(t.Context(), f.project(), noSuchID), "remove what is none")
}

func (f ServersFixture) testOddServers(t *testing.T) {
	for _, id := range []string{noSuchID, "", "..", "detail", "a/b", "x?y=z", "é", strings.Repeat("1", 300)} {
		_, err := f.Servers.Server(t.Context(), id)
		wantCode(t, err, stowage.NotFound, "describe "+id)
		_, err = f.Servers.ServerState(t.Context(), id)
		wantCode(t, err, stowage.NotFound, "look at "+id)
	}
}

func (f ServersFixture) testForeign(t *testing.T) {
	if f.Foreign == "" {
		t.Skip("this service has rights everywhere")
	}
	_, err := f.Servers.CreateVolume(t.Context(), f.Foreign, cloud.VolumeRequest{SizeGiB: 1})
	wantCode(t, err, stowage.Forbidden, "create a volume")
	req := cloud.ServerRequest{Name: "x", FlavorID: f.FlavorID, Volumes: []stowage.ServerDisk{{VolumeID: noSuchID}}, Mark: uuid.NewString()}
	_, _, err = f.Servers.BuildServer(t.Context(), f.Foreign, req)
	wantCode(t, err, stowage.Forbidden, "build a server")
	wantCode(t, f.Servers.RemoveServer(t.Context(), f.Foreign, req.Mark), stowage.Forbidden, "remove a server")
	wantCode(t, f.Servers.RemoveVolume(t.Context(), f.Foreign, noSuchID), stowage.Forbidden, "remove a volume")
	err = f.Servers.RemoveServerSnapshots(t.Context(), f.Foreign, req.Mark, func(string) bool { return true })
	wantCode(t, err, stowage.Forbidden, "remove snapshots")
	_, err = f.Servers.SecurityGroups(t.Context(), f.Foreign)
	wantCode(t, err, stowage.Forbidden, "list security groups")
}

// In a network that stands for another, a server keeps the addresses that it has there.
func (f ServersFixture) testTestNetwork(t *testing.T) {
	mark := uuid.NewString()
	id, err := f.Servers.CreateTestNetwork(t.Context(), f.project(), f.NetworkID, mark)
	must(t, err, "make a network")
	t.Cleanup(func() {
		if err := f.Servers.RemoveTestNetworks(context.WithoutCancel(t.Context()), f.project(), mark); err != nil {
			t.Errorf("remove networks: %v", err)
		}
	})
	again, err := f.Servers.CreateTestNetwork(t.Context(), f.project(), f.NetworkID, mark)
	must(t, err, "make it again")
	if again != id || id == f.NetworkID {
		t.Errorf("made %s, then %s, for %s", id, again, f.NetworkID)
	}
	req := f.request(t)
	first, notes := f.build(t, req)
	second := f.request(t)
	second.Ports = []stowage.ServerPort{{NetworkID: id, Addresses: []string{f.Address}}}
	twin, _ := f.build(t, second)
	r, err := f.Servers.Server(t.Context(), twin)
	must(t, err, "look at it")
	groups, err := f.Servers.SecurityGroups(t.Context(), f.project())
	must(t, err, "list security groups")
	for _, id := range r.Ports[0].SecurityGroups {
		if !slices.ContainsFunc(groups, func(g cloud.SecurityGroup) bool { return g.ID == id && g.Name != "" }) {
			t.Errorf("its security group %s is not among %v", id, groups)
		}
	}
	if len(r.Ports) != 1 || r.Ports[0].NetworkID != id || !slices.Equal(r.Ports[0].Addresses, []string{f.Address}) {
		t.Errorf("beside %s (%v), it has the ports %+v", first, notes, r.Ports)
	}
	if _, err := f.Servers.Console(t.Context(), twin); err != nil {
		t.Errorf("its console: %v", err)
	}
	if err := f.Servers.RemoveTestNetworks(t.Context(), f.project(), mark); stowage.CodeOf(err) != stowage.Conflict {
		t.Errorf("with a server in it: %v, want Conflict", err)
	}
	for range 2 {
		must(t, f.Servers.RemoveServer(t.Context(), f.project(), second.Mark), "remove the server")
		must(t, f.Servers.RemoveTestNetworks(t.Context(), f.project(), mark), "remove networks")
	}
	if _, err := f.Servers.Console(t.Context(), twin); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("the console of one that is gone: %v", err)
	}
}
