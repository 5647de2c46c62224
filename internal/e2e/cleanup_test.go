//go:build stack

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/manifest"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/stacktest"
)

// takeAway ends the processes, looks into their logs for what must not be
// there, and takes away what the test made, whatever became of the test.
func (s *site) takeAway() {
	for _, p := range s.processes {
		if p.lives() {
			_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may have ended just now
			p.kill()
		}
	}
	s.searchLogs()
	if s.Failed() {
		s.showLogs()
	}
	for _, v := range s.demo.made(s.volumes) {
		if !slices.Contains(s.volumes, v.ID) {
			s.volumes = append(s.volumes, v.ID)
		}
	}
	for _, v := range s.volumes {
		if !s.admin.dispose(v) {
			s.Errorf("volume %s could not be taken away", v)
		}
		unearth(s, v)
	}
	for _, c := range s.containers {
		if !c.owner.empty(c.name) {
			s.Errorf("container %s could not be taken away", c.name)
		}
	}
	for _, p := range s.projects {
		s.admin.cinder("DELETE", "/os-quota-sets/"+p, nil).want(s, 200)
		s.admin.call("DELETE", stacktest.Env(s, "KEYSTONE_URL")+"/projects/"+p, nil, nil).want(s, 204)
	}
	if s.db != nil {
		s.exec("DROP DATABASE " + s.dbName())
		if err := s.db.Close(); err != nil {
			s.Error(err)
		}
	}
	if keep := os.Getenv("STOWAGE_E2E_KEEP"); keep != "" && s.Failed() {
		s.Logf("logs are kept in %s: %v", keep, os.CopyFS(keep+"/"+s.id, os.DirFS(s.dir)))
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.Error(err)
	}
}

// logs are the names of the processes' logs.
func (s *site) logs() (names []string) {
	for _, p := range s.processes {
		if !slices.Contains(names, p.log) {
			names = append(names, p.log)
		}
	}
	return names
}

// fernet is what Keystone's tokens look like.
var fernet = regexp.MustCompile(`gAAAAA[A-Za-z0-9_=-]{30,}`)

// searchLogs finds every token of the run and every password of the stack that
// got into a log, and panics.
func (s *site) searchLogs() {
	secret := map[string]string{}
	for _, key := range []string{
		"ADMIN_PASSWORD", "ALT_PASSWORD", "DEMO_PASSWORD", "DEMO_READER_PASSWORD", "STOWAGE_PASSWORD",
		"STOWAGE_RESELLER_PASSWORD", "CINDER_PASSWORD", "GLANCE_PASSWORD", "SWIFT_PASSWORD", "DB_PASSWORD",
		"DB_OPENSTACK_PASSWORD", "RABBIT_PASSWORD", "RABBIT_COOKIE", "SWIFT_HASH_PREFIX", "SWIFT_HASH_SUFFIX",
	} {
		secret[key] = stacktest.Env(s, key)
	}
	tokens.Lock()
	for _, token := range tokens.all {
		secret["a token"] = token
	}
	defer tokens.Unlock()
	logs := maps.Clone(s.elsewhere)
	for _, name := range s.logs() {
		data, err := os.ReadFile(name)
		if err != nil {
			s.Error(err)
		}
		if logs == nil {
			logs = map[string]string{}
		}
		logs[name] = string(data)
	}
	for name, text := range logs {
		for what, value := range secret {
			if value != "" && strings.Contains(text, value) {
				s.Errorf("%s holds %s", name, what)
			}
		}
		if found := fernet.FindString(text); found != "" {
			s.Errorf("%s holds a token", name)
		}
		for _, word := range []string{"panic:", "goroutine 1 [", "DATA RACE", "msg=panic", " panic panic="} {
			if strings.Contains(text, word) {
				s.Errorf("%s tells of a panic", name)
			}
		}
	}
}

// showLogs shows what the logs complain of, and how they end.
func (s *site) showLogs() {
	for _, name := range s.logs() {
		data, _ := os.ReadFile(name) // searchLogs has told
		var lines []string
		for line := range strings.Lines(string(data)) {
			if !strings.Contains(line, " DEBUG ") && !strings.Contains(line, "method=GET") {
				lines = append(lines, fernet.ReplaceAllString(line, "***"))
			}
		}
		s.Logf("%s:\n%s", name, strings.Join(lines[max(0, len(lines)-40):], ""))
	}
}

// settled waits until every job has ended and holds nothing any more, and then
// looks outside whether that is so: volumes are free, no snapshot of ours is
// left but the one that is kept for the next backup, nothing is in the trash,
// and the container has the objects that its backups reach.
func (s *site) settled() {
	s.Helper()
	until(s, "all jobs have ended and are tidied up", func() bool {
		return query[int](s, `SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') OR lock_state IN ('wanted', 'held') OR leftover = 1`) == 0
	})
	until(s, "bases that nobody needs, and garbage, are gone", func() bool {
		return query[int](s, `SELECT COUNT(*) FROM bases b LEFT JOIN backups k ON k.id = b.backup_id
			WHERE b.replaced <> 0 OR k.id IS NULL OR k.status = 'error'`) == 0 &&
			query[int](s, "SELECT COUNT(*) FROM garbage WHERE ready_at < ?", time.Now().Add(2*time.Hour).UnixMicro()) == 0
	})
	if n := query[int](s, "SELECT COUNT(*) FROM backups WHERE status IN ('creating', 'restoring', 'deleting')"); n != 0 {
		s.Errorf("%d backups are still being worked on", n)
	}
	for _, v := range s.volumes {
		status := s.admin.status(v)
		switch status {
		case "":
		case stowage.VolumeAvailable, stowage.VolumeErrorRestoring:
			if left := s.admin.attachments(v); len(left) > 0 {
				s.Errorf("volume %s is still locked: %v", v, left)
			}
			if left, want := snapshots(s, v), s.kept(v); !slices.Equal(left, want) {
				s.Errorf("volume %s has the snapshots %v, and should have %v", v, left, want)
			}
		default:
			s.Errorf("volume %s is left %s", v, status)
		}
		if left := trashed(s, v); len(left) > 0 {
			s.Errorf("volume %s is left in the trash: %v", v, left)
		}
	}
	if have, want := s.demo.objects(s.container), s.reached(); !slices.Equal(have, want) {
		s.Errorf("the container holds\n%s\nand should hold\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// kept are the names of the snapshots of a volume that are to stay.
func (s *site) kept(volume string) (names []string) {
	s.Helper()
	for _, r := range s.rows("SELECT backup_uuid, snapshot FROM bases WHERE volume_id = ?", volume) {
		var snap stowage.Snapshot
		fatal(s, json.Unmarshal(r[1], &snap))
		if want := fmt.Sprintf("backup.%s.snap.%d", r[0], snap.At.Unix()); snap.Name != want {
			s.Errorf("a snapshot was kept as %s, and not as %s", snap.Name, want)
		}
		names = append(names, snap.Name)
	}
	return names
}

// reached are the names of all objects that the backups in the container need.
func (s *site) reached() (names []string) {
	s.Helper()
	all := map[string]bool{}
	for _, r := range s.rows(`SELECT k.volume_id, k.manifest, r.objects FROM backups k JOIN reaches r ON r.backup_id = k.id
		WHERE k.container = ? AND k.manifest <> ''`, s.container) {
		all[string(r[1])] = true
		if cinderbackup.IsChain(r[2]) {
			chain := &cinderbackup.Chain{}
			fatal(s, chain.UnmarshalBinary(r[2]))
			for _, m := range chain.Members {
				fatal(s, m.Names(func(name string) error { all[name] = true; return nil }))
			}
			continue
		}
		set := &manifest.Objects{}
		fatal(s, set.UnmarshalBinary(r[2]))
		fatal(s, set.Each(func(kind seal.Kind, p manifest.Place) error {
			if kind == seal.Map {
				all[manifest.MapName(string(r[0]), p)] = true
			} else {
				all[manifest.PackName(string(r[0]), p)] = true
			}
			return nil
		}))
	}
	return slices.Sorted(maps.Keys(all))
}

// rows gives all that the database answers.
func (s *site) rows(text string, args ...any) (all [][][]byte) {
	s.Helper()
	rows, err := s.db.Query(text, args...)
	fatal(s, err)
	defer rows.Close()
	columns, err := rows.Columns()
	fatal(s, err)
	for rows.Next() {
		row, at := make([][]byte, len(columns)), make([]any, len(columns))
		for i := range row {
			at[i] = &row[i]
		}
		fatal(s, rows.Scan(at...))
		all = append(all, row)
	}
	fatal(s, rows.Err())
	return all
}

// free wants the volume to be available.
func (s *site) free(volume string) {
	s.Helper()
	until(s, "volume "+volume+" is available", func() bool { return s.demo.status(volume) == stowage.VolumeAvailable })
}
