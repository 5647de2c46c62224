//go:build stack

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// With a broker of one's own (a vhost) one can do what one wants.
func TestTheBrokerMayComeAndGo(t *testing.T) {
	t.Parallel()
	run.begin(t)
	vhost := run.vhost + "-broker"
	run.addVhost(t, vhost)
	t.Cleanup(func() { _, _ = run.rabbit("delete_vhost", vhost) }) // it may be gone already
	s := deploy(t, plan{vhost: vhost, options: map[string]string{"periodic_interval": "600", "lease_time": "60"}})
	deaf := s.manager("m1")
	source, _ := s.source(3)
	backup := func() backup {
		t.Helper()
		s.free(source)
		return s.await(s.create(source), stowage.BackupAvailable)
	}
	backup() // nobody looks for ten minutes: a bell was heard
	deaf.stop()

	s.options["periodic_interval"] = "2"
	s.manager("m2")
	for _, away := range []struct {
		what string
		do   func()
	}{
		{"connections are closed", func() { s.rabbit("close_all_connections", "--vhost", vhost, "a test") }},
		{"queues are deleted", func() {
			for name := range strings.Lines(s.rabbit("list_queues", "-p", vhost, "--no-table-headers", "name")) {
				s.rabbit("delete_queue", "-p", vhost, strings.TrimSpace(name))
			}
		}},
		{"the broker is away", func() { s.rabbit("delete_vhost", vhost) }},
	} {
		away.do()
		begun := time.Now()
		backup()
		t.Logf("when %s, a backup takes %v", away.what, time.Since(begun).Round(100*time.Millisecond))
	}
	run.addVhost(t, vhost)
	backup()
	until(t, "the manager listens again", func() bool {
		return strings.Contains(s.rabbit("list_consumers", "-p", vhost, "--no-table-headers", "queue_name"), s.backend())
	})
	s.settled()
}

func (s *site) rabbit(args ...string) string {
	s.Helper()
	out, err := run.rabbit(args...)
	fatal(s, err)
	return out
}
