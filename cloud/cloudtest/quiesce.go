package cloudtest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Nova's fake driver, which the real stack has, quiesces whatever it is told to.
func (f ServersFixture) testSnapshots(t *testing.T) {
	req := f.request(t)
	boot := req.Volumes[0].VolumeID
	must(t, f.Cinder.Volumes.SetMetadata(t.Context(), boot, nil, map[string]string{"hw_qemu_guest_agent": "yes"}, true), "say that there is an agent")
	id, _ := f.build(t, req)
	got, err := f.Servers.Server(t.Context(), id)
	must(t, err, "describe it")
	if !got.Agent {
		t.Error("the guest agent is not told of")
	}

	mark := uuid.NewString()
	for range 2 { // what was removed can be taken again
		taken, err := f.Servers.SnapshotServer(t.Context(), f.project(), id, mark)
		must(t, err, "take snapshots")
		if len(taken) != len(req.Volumes) {
			t.Fatalf("took %v, the server has %+v", taken, req.Volumes)
		}
		for _, d := range req.Volumes {
			if taken[d.VolumeID] == "" {
				t.Errorf("of volume %s there is none in %v", d.VolumeID, taken)
			}
			f.Cinder.await(t, d.VolumeID, stowage.VolumeInUse)
		}
		other := uuid.NewString()
		must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), other, func(string) bool { return true }), "remove those of another mark")
		asked := map[string]bool{}
		keeps := func(volume string) bool { asked[volume] = true; return false }
		must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), mark, keeps), "remove none")
		if len(asked) != len(req.Volumes) {
			t.Errorf("asked about %v", asked)
		}
		must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), mark, func(volume string) bool { return volume == boot }), "remove one")
		clear(asked)
		must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), mark, keeps), "look which are left")
		if asked[boot] || len(asked) != len(req.Volumes)-1 {
			t.Errorf("left of one that was removed: %v", asked)
		}
		for range 2 {
			must(t, f.Servers.RemoveServerSnapshots(t.Context(), f.project(), mark, func(string) bool { return true }), "remove all")
		}
	}

	_, err = f.Servers.SnapshotServer(t.Context(), f.project(), noSuchID, mark)
	wantCode(t, err, stowage.NotFound, "take snapshots of a server that is none")
}
