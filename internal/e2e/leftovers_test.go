//go:build stack

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stowage/stowage/internal/stacktest"
)

// A run that was killed, or timed out, takes nothing away. The next one does,
// for those that it can tell are dead: what they made carries their id.

const dirPattern = "stowage-e2e-????????-*"

func (r *theRun) noteOwner() error {
	return os.WriteFile(filepath.Join(r.dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600)
}

// buryTheDead takes away what is left of dead runs.
func (r *theRun) buryTheDead(t testing.TB) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	fatal(t, err)
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid, bad := strconv.Atoi(string(text))
		if err != nil || bad != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		id := strings.Split(filepath.Base(dir), "-")[2]
		t.Logf("run %s died, taking away what it left", id)
		r.bury(t, id)
		fatal(t, os.RemoveAll(dir))
	}
}

func (r *theRun) bury(t testing.TB, id string) {
	t.Helper()
	admin := logIn(t, "admin", "admin")
	buryGuests(t, admin, id)
	for _, u := range []*user{logIn(t, "demo", "demo"), logIn(t, "alt", "alt")} {
		var sources, all []string
		for _, v := range u.list() {
			if v.Name == "stowage-e2e-"+id {
				sources = append(sources, v.ID)
			}
		}
		all = append(all, sources...)
		for _, v := range u.made(sources) {
			all = append(all, v.ID)
		}
		for _, v := range all {
			if !admin.dispose(v) {
				t.Errorf("volume %s could not be taken away", v)
			}
			unearth(t, v)
		}
		for container := range strings.Lines(u.swift("GET", "?limit=10000", nil, nil).want(t, 200, 204).body) {
			container = strings.TrimSuffix(container, "\n")
			if (strings.HasPrefix(container, "stowage-e2e-") || strings.HasPrefix(container, "e2e ")) && strings.Contains(container, id) {
				u.empty(container)
			}
		}
	}
	for vhost := range strings.Lines(must(t)(r.rabbit("list_vhosts", "--no-table-headers"))) {
		if vhost = strings.TrimSpace(vhost); strings.HasPrefix(vhost, "stowage-e2e-"+id) {
			must(t)(r.rabbit("delete_vhost", vhost))
		}
	}
	buryProjects(t, admin, "stowage-e2e-"+id)
	rows, err := r.db.Query("SHOW DATABASES LIKE '" + fmt.Sprintf(`stowage\_test\_%s\_%%`, id) + "'")
	fatal(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		fatal(t, rows.Scan(&name))
		names = append(names, name)
	}
	fatal(t, rows.Err())
	for _, name := range names {
		_, err := r.db.Exec("DROP DATABASE " + name)
		fatal(t, err)
	}
}

func buryProjects(t testing.TB, admin *user, prefix string) {
	t.Helper()
	keystone := stacktest.Env(t, "KEYSTONE_URL")
	var got struct{ Projects []struct{ ID, Name string } }
	admin.call("GET", keystone+"/projects", nil, nil).want(t, 200).into(t, &got)
	for _, p := range got.Projects {
		if strings.HasPrefix(p.Name, prefix) {
			admin.call("DELETE", keystone+"/projects/"+p.ID, nil, nil).want(t, 204)
		}
	}
}

func must(t testing.TB) func(string, error) string {
	return func(out string, err error) string {
		t.Helper()
		fatal(t, err)
		return out
	}
}
