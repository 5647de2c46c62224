//go:build stack

package e2e

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// Nobody is there to do the work, or may not.
func TestWithoutAManagerThereIsNoService(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	source, _ := s.source(3)
	refused := func() {
		t.Helper()
		a := s.call(s.demo, http.MethodPost, "", s.asks(source))
		a.fault(t, 503, "serviceUnavailable", "No backup manager is available for backend "+s.backend()+".")
		if a.header.Get("Retry-After") == "" {
			t.Error("the answer does not say when to try again")
		}
		s.free(source)
	}
	shows := func(pattern string) bool {
		return regexp.MustCompile(`(?m)^` + pattern).MatchString(s.stowage("service", "list"))
	}
	refused()
	if list := s.stowage("service", "list"); strings.Count(list, "\n") != 1 {
		t.Errorf("there are no managers, and yet:\n%s", list)
	}

	m := s.manager("m1")
	if !shows(`m1\s+up\s+enabled\s+\S+\s+\S+\s+` + s.backend()) {
		t.Errorf("the manager is up, and yet:\n%s", s.stowage("service", "list"))
	}
	id := s.create(source)
	s.await(id, stowage.BackupAvailable)
	s.free(source)

	s.stowage("service", "disable", "m1", "--reason", "new disks")
	refused()
	if !shows(`m1\s+up\s+disabled\s.*new disks`) {
		t.Errorf("the manager is disabled, and yet:\n%s", s.stowage("service", "list"))
	}
	s.stowage("service", "enable", "m1")
	s.gone(id)
	s.settled() // nobody is there to sweep afterwards
	m.stop()
	until(t, "the manager counts as down", func() bool { return shows(`m1\s+down\s+enabled`) })
	refused()
	s.stowage("service", "remove", "m1")
	if shows("m1") {
		t.Error("the manager was removed and is still listed")
	}
	if out := s.stowage("db", "version"); !regexp.MustCompile(`^The schema has version (\d+); this program needs version (\d+)\.\n$`).MatchString(out) {
		t.Errorf("db version says %q", out)
	}
	s.settled()
}

// SIGTERM: what is under way is given back or brought to its end.
func TestAShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true, options: map[string]string{"lease_time": "600"}})
	source, want := s.source(many)
	s.options["graceful_shutdown_timeout"] = "1"
	hasty := s.manager("hasty")
	id := s.create(source)
	quickly(t, "some packs are stored", func() bool { return len(s.demo.packs(s.container)) >= 3 })
	hasty.stop()
	if state := query[string](s, "SELECT state FROM jobs"); state != "queued" && state != "finished" {
		t.Errorf("its manager is gone, and the job is %s", state)
	} else {
		t.Logf("the job is %s", state)
	}

	s.options["graceful_shutdown_timeout"] = "60"
	patient := s.manager("patient")
	quickly(t, "it is taken up", func() bool { return query[string](s, "SELECT state FROM jobs") != "queued" })
	patient.stop()
	if b := s.backup(id); b.Status != stowage.BackupAvailable {
		t.Errorf("its manager had time, and the backup is %+v", b)
	}
	s.free(source)

	// The API answers what it was asked before.
	s.manager("third")
	answered := make(chan answer, 1)
	go func() {
		a, err := try(s.demo.token, http.MethodPost, s.url(s.demo, "/"+id+"/restore"), restoreTo(""), nil)
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	quickly(t, "the request is under way", func() bool {
		return query[int](s, "SELECT COUNT(*) FROM jobs WHERE kind = 'restore'") == 1 || len(answered) > 0
	})
	s.api.stop()
	target := s.restored((<-answered).want(t, 200))
	s.serve()
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.settled()
}

// Every test looks for secrets in the logs of its processes; this one makes
// sure that there is something to look at.
func TestLogsTellMuchAndNoSecrets(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	id, _, _ := s.backed(3)
	send(t, "not-a-token-at-all", http.MethodGet, s.url(s.demo, ""), nil, nil).want(t, 401)
	// No document tells of such a parameter; it must not be logged all the same.
	_, err := try(s.demo.token, http.MethodGet, s.url(s.demo, "?token="+s.demo.token), nil, nil)
	fatal(t, err)
	s.gone(id)
	for _, name := range s.logs() {
		text, err := os.ReadFile(name)
		fatal(t, err)
		for _, word := range []string{" DEBUG ", " INFO ", "req-"} {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s has no %q", name, word)
			}
		}
		if strings.Contains(string(text), "not-a-token-at-all") {
			t.Errorf("%s holds a token that was no good", name)
		}
	}
	s.searchLogs()
	s.settled()
}
