//go:build stack && ceph && soak

package soak

import (
	"flag"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stowage/stowage/drivers/rbd"
	"github.com/stowage/stowage/internal/stacktest"
)

var (
	length = flag.Duration("soak", 5*time.Minute, "how long to play")
	seed   = flag.Uint64("seed", 0, "the history to play first; 0: by the clock")
)

// large is no multiple of RBD's objects once it has grown.
var large = bounds{smallest: 24 * mib, largest: 64 * mib, grow: 10 * mib, write: 2 * mib, steps: 60}

// Random histories for as long as it is told to; every restore is held against
// a model of the volume, byte for byte.
func TestRandomHistories(t *testing.T) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	end := time.Now().Add(*length)
	n := 0
	for ; n == 0 || time.Now().Before(end); n++ {
		ok := t.Run(fmt.Sprintf("seed=%d", first+uint64(n)), func(t *testing.T) { play(t, first+uint64(n), end) })
		if !ok {
			t.Fatalf("play it again with -seed %d", first+uint64(n))
		}
	}
	t.Logf("%d histories", n)
}

func play(t *testing.T, seed uint64, end time.Time) {
	h := newHistory(t, seed, large)
	var err error
	h.vols, err = rbd.Open(t.Context(), rbd.Options{
		Pool: stacktest.Env(t, "CEPH_POOL"), User: stacktest.Env(t, "CEPH_USER"),
		CephConf: stacktest.Env(t, "CEPH_CONF"), Keyring: stacktest.Env(t, "CEPH_KEYRING"),
	})
	h.ok(err)
	t.Cleanup(func() { h.ok(h.vols.Close()) })
	h.create = h.createImage
	h.resize = func(size int) { h.rbd("resize", "--size", fmt.Sprintf("%dB", size), h.image) }
	h.rollback = func(snapshot string) { h.rbd("snap", "rollback", h.image+"@"+snapshot) }
	h.play(t.Context(), func() bool { return time.Now().After(end.Add(time.Minute)) })
	t.Logf("%v", h.counts)
}

func (h *history) rbd(args ...string) {
	h.Helper()
	all := append([]string{
		"--conf", stacktest.Env(h, "CEPH_CONF"), "--keyring", stacktest.Env(h, "CEPH_KEYRING"), "--id", stacktest.Env(h, "CEPH_USER"),
		"--pool", stacktest.Env(h, "CEPH_POOL"), "--no-progress",
	}, args...)
	if out, err := exec.Command("rbd", all...).CombinedOutput(); err != nil {
		h.Fatalf("rbd %v: %v: %s", args, err, out)
	}
}

func (h *history) createImage(image string, size int) {
	h.Helper()
	h.rbd("create", "--size", fmt.Sprintf("%dB", size), "--image-feature", "layering,exclusive-lock,object-map,fast-diff,deep-flatten", image)
	h.Cleanup(func() {
		h.rbd("snap", "purge", image)
		h.rbd("rm", image)
	})
}
