package openstack_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/openstack"
)

const askPools = "GET /v3/" + serviceProject + "/scheduler-stats/get_pools"

func on(host string) cloud.Volume { return cloud.Volume{ID: uuid.NewString(), Host: host} }

func wantBackend(t *testing.T, v *openstack.Volumes, host, backend string) {
	t.Helper()
	if at, err := v.Locate(t.Context(), on(host)); err != nil || at.Backend != backend {
		t.Errorf("%s is at %+v, %v, want %s", host, at, err, backend)
	}
}

func TestLocateReadsEveryKindOfPool(t *testing.T) {
	c, g := newCinder(t)
	c.pool("n@lvm#LVM", "LVMVolumeDriver:node1.example:stack-volumes:thin:0", "iSCSI")
	c.pool("n@old#x", "ceph:/etc/ceph/b.conf:"+fakeFSID+":cinder:fast pool", "")
	c.pool("n@nfs#share", "nfs", "nfs")
	c.pool("n@odd#ceph", "a:b:not-a-uuid:c:d", "ceph")
	c.pool("n@fc#ceph", "a:b:"+fakeFSID+":c:d", "FC")
	c.pool("n@none#x", "", "")
	v := open(t, g)
	wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes")
	wantBackend(t, v, "n@lvm#LVM", "lvm:node1.example:stack-volumes")
	wantBackend(t, v, "n@old#x", "rbd:"+fakeFSID+":fast pool")
	for _, host := range []string{"n@nfs#share", "n@odd#ceph", "n@fc#ceph", "n@none#x"} {
		wantBackend(t, v, host, "cinder:"+host)
	}
	if n := g.count(askPools); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestLocateAsksAgainForAHostItDoesNotKnow(t *testing.T) {
	c, g := newCinder(t)
	v := open(t, g)
	wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes")
	g.pass(time.Minute)
	for range 5 {
		_, err := v.Locate(t.Context(), on("n@new#x"))
		wantCode(t, err, stowage.Unavailable)
	}
	if n := g.count(askPools); n != 2 {
		t.Errorf("asked %d times, want twice: that often and no more", n)
	}
	c.pool("n@new#x", "LVMVolumeDriver:n:vg:default:0", "iSCSI")
	g.pass(11 * time.Second)
	wantBackend(t, v, "n@new#x", "lvm:n:vg")
}

func TestLocateKeepsWhatItKnewWhenCinderIsAway(t *testing.T) {
	c, g := newCinder(t)
	v := open(t, g)
	wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes")
	g.pass(time.Hour)
	g.answer(askPools, 503, "")
	wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes")
	_, err := v.Locate(t.Context(), on("n@new#x"))
	wantCode(t, err, stowage.Unavailable)

	g.breakWith(nil)
	c.pools = nil // its volume service is down
	g.pass(time.Hour)
	wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes")
}

// A cloud that does not show its pools must not look as if the volume were gone.
func TestLocateWhenPoolsAreNotForUs(t *testing.T) {
	for _, status := range []int{403, 404} {
		_, g := newCinder(t)
		g.answer(askPools, status, "")
		_, err := open(t, g).Locate(t.Context(), on(fakeHost))
		if !stowage.Is(err, stowage.Unavailable) || stowage.Is(err, stowage.NotFound) || stowage.Is(err, stowage.Forbidden) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	_, g := newCinder(t)
	_, err := open(t, g).Locate(t.Context(), on(""))
	wantCode(t, err, stowage.Unavailable)
}

func TestLocateAsksOnceForMany(t *testing.T) {
	_, g := newCinder(t)
	v := open(t, g)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { wantBackend(t, v, fakeHost, "rbd:"+fakeFSID+":volumes") })
	}
	wg.Wait()
	if n := g.count(askPools); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}
