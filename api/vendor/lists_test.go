package vendor_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// A large site: so many servers of two volumes each, and tasks, some for each backup.
const (
	siteProjects = 20
	siteServers  = 10_000
	siteTasks    = 100_000
	sitePolicies = 50
)

// listDatabases are what lists are measured on; the stack adds MariaDB.
var listDatabases = map[string]func(testing.TB) (db.Options, *sql.DB){
	"SQLite": func(t testing.TB) (db.Options, *sql.DB) {
		path := filepath.Join(t.TempDir(), "lists.sqlite")
		raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
		if err != nil {
			t.Fatal(err)
		}
		return db.Options{Dialect: db.SQLite, Path: path}, raw
	},
}

// listsMeasured are the lists, with the filters that clients use. The first of a
// group is the whole list.
var listsMeasured = []struct {
	list    string
	filters []string
}{
	{"/virtual-machines", []string{"", "filter=web", "filter=server-04711", "filter=gold", "nameLike=web", "present=true", "backupStatus=IS_PROTECTED", "backupStatus=NOT_PROTECTED",
		"backupStatus=NO_SCHEDULE", "backup-policy=policy-7", "project-uuid=project-7", "project-uuid=project-7&filter=web", "orderBy=present&direction=desc",
		"orderBy=vmBackupPolicy", "orderBy=backupUpToDate", "orderBy=lastBackup&direction=desc", "orderBy=lastSuccessfulBackupSize&direction=desc"}},
	{"/tasks", []string{"", "filter=web", "filter=finished", "filter=server-04711", "state=RUNNING", "state=FAILED", "state=FINISHED", "type=EXPORT", "type=STORE&state=FAILED",
		"protected-entity=server-04711", "project-uuid=project-7", "project-uuid=project-7&state=FINISHED", "project-uuid=project-7&filter=web", "backup-policy=policy-7",
		"schedule=schedule-7", "from=1700000000000&to=1800000000000", "node=m1", "backup-destination=project-7:volumebackups", "filter=EXPORT", "orderBy=originEntity", "orderBy=state", "orderBy=startTime&direction=desc", "orderBy=priority"}},
	{"/workflow-executions", []string{"", "state=FAILED", "filter=web", "project-uuid=project-7"}},
	{"/restore-jobs", []string{"", "protected-entity=server-04711", "project-uuid=project-7"}},
	{"/backups", []string{"", "filter=web", "nameLike=web", "status=SUCCESS", "status=FAILED", "type=FULL", "protected-entity=server-04711", "project-uuid=project-7",
		"project-uuid=project-7&status=SUCCESS", "backup-policy=policy-7", "from=1700000000000&to=1800000000000", "backup-destination=project-7:volumebackups", "node=m1", "orderBy=size&direction=desc", "orderBy=name"}},
	{"/backup-locations", []string{"", "location-status=PRESENT"}},
	{"/policies/vm-backup", []string{"", "filter=policy-7", "orderBy=averageBackupSize"}},
	{"/schedules", []string{"", "policy=policy-7"}},
	{"/rules/vm-backup", []string{""}},
	{"/backup-destinations", []string{"", "project-uuid=project-7"}},
	{"/virtual-machine-disks", []string{"virtual-machine=server-04711"}},
}

// BenchmarkLists measures pages of 20 of all lists on a large site, as the
// integration account sees it, through the handler: the first page, one in the
// middle and the last one, and tells of each the median and the worst of nine.
// What it tells is wall time: measure on a quiet machine.
func BenchmarkLists(b *testing.B) {
	for name, open := range listDatabases {
		b.Run(name, func(b *testing.B) {
			options, raw := open(b)
			h := harness.On(b, options)
			fillSite(b, raw)
			if err := raw.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				fmt.Printf("\n%s\n\n%s\n", name, measureLists(b, h)) // b.Log keeps ten lines only
			}
		})
	}
}

const (
	listRounds = 9
	listPage   = 20
)

func measureLists(b *testing.B, h *harness.Harness) string {
	var out strings.Builder
	out.WriteString("| list | filter | entries | first page ms | middle | last | worst of all |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, l := range listsMeasured {
		for _, filter := range l.filters {
			total := 0
			if _, err := fmt.Sscan(askList(b, h, l.list, filter, 0).Header().Get("X-Total-Count"), &total); err != nil {
				b.Fatal(l.list, filter, err)
			}
			pages := max(1, (total+listPage-1)/listPage)
			var medians []string
			worst := time.Duration(0)
			for _, page := range []int{0, pages / 2, pages - 1} {
				var took []time.Duration
				for range listRounds {
					begun := time.Now()
					askList(b, h, l.list, filter, page)
					took = append(took, time.Since(begun))
				}
				slices.Sort(took)
				worst = max(worst, took[listRounds-1])
				medians = append(medians, ms(took[listRounds/2]))
			}
			fmt.Fprintf(&out, "| `%s` | `%s` | %d | %s | %s |\n", l.list, filter, total, strings.Join(medians, " | "), ms(worst))
		}
	}
	return out.String()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

func askList(b *testing.B, h *harness.Harness, list, filter string, page int) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/api%s?page=%d&size=%d&%s", list, page, listPage, filter), nil)
	r.Header.Set("X-Auth-Token", "portal:site")
	w := httptest.NewRecorder()
	h.Unheld().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", r.URL, w.Code, w.Body)
	}
	return w
}

// fillSite writes the site, the plain way: only lists count.
func fillSite(b *testing.B, raw *sql.DB) {
	const t0, day = int64(1_763_000_000_000_000), int64(86_400_000_000)
	server := func(i int) string { return fmt.Sprintf("server-%05d", i) }
	project := func(i int) string { return fmt.Sprintf("project-%d", i%siteProjects) }
	policy := func(i int) string { return fmt.Sprintf("policy-%d", i%sitePolicies) }
	kind := func(i int) string { return []string{"web", "database", "mail", "build", "shop"}[i%5] }
	insert(b, raw, "entities (id, kind, project_id, name, words, host, present, listed, server_id, attributes, seen, updated_at, excluded)", siteServers, func(i int) []any {
		return []any{server(i), "server", project(i), fmt.Sprintf("%s-%05d", kind(i), i), "nova\nm1.small\ngold", fmt.Sprintf("host%d", i%100), i%50 != 0, true, "",
			fmt.Sprintf(`{"status":"ACTIVE","zone":"nova","flavor_id":"f1","flavor":"m1.small","tags":["gold"],"networks":[{"name":"net","mac":"fa:16:3e:00:00:01","addresses":["10.0.0.%d"]}]}`, i%250), 1, t0, false}
	})
	insert(b, raw, "entities (id, kind, project_id, name, words, host, present, listed, server_id, attributes, seen, updated_at, excluded)", 2*siteServers, func(i int) []any {
		return []any{fmt.Sprintf("volume-%05d", i), "volume", project(i / 2), fmt.Sprintf("disk-%05d", i), "nova\nssd", "", true, false, server(i / 2), `{"status":"in-use","size_gib":20,"type":"ssd","device":"/dev/vda"}`, 1, t0, false}
	})
	insert(b, raw, "policies (id, project_id, name, active, priority, assigns, details, created_at, updated_at)", sitePolicies, func(i int) []any {
		return []any{policy(i), "", policy(i), true, 50, false, "{}", t0, t0}
	})
	insert(b, raw, "policy_rules (id, policy_id, project_id, name, position, active, details, created_at)", sitePolicies, func(i int) []any {
		return []any{fmt.Sprintf("rule-%d", i), policy(i), "", fmt.Sprintf("rule-%d", i), 0, true, "{}", t0}
	})
	insert(b, raw, "schedules (id, project_id, name, active, details, next_due, last_run, created_at, updated_at)", sitePolicies, func(i int) []any {
		return []any{fmt.Sprintf("schedule-%d", i), "", fmt.Sprintf("schedule-%d", i), true, "{}", t0 + day*400, t0, t0, t0}
	})
	insert(b, raw, "rule_schedules (rule_id, schedule_id)", sitePolicies, func(i int) []any { return []any{fmt.Sprintf("rule-%d", i), fmt.Sprintf("schedule-%d", i)} })
	insert(b, raw, "policy_entities (entity_id, policy_id, automatic)", siteServers*8/10, func(i int) []any { return []any{server(i), policy(i), false} })
	// Each backup of a server has an EXPORT and a STORE task, and two parts that are
	// volumes' backups of their own; one task in ten is a restore of it.
	const sets = siteTasks * 9 / 20
	backup := func(id, set int, of, kind string, i int) []any {
		status := "available"
		if i%40 == 7 {
			status = "error"
		}
		return []any{id, fmt.Sprintf("backup-%d", id), project(i % siteServers), "user", fmt.Sprintf("nightly of %s", of), "", "volumebackups", status, of,
			fmt.Sprintf(`{"id":%q,"type":"ssd"}`, of), 20, 20 << 30, int64(id) * 1000, 10, i >= siteServers, "root", t0, t0 + int64(i)*1e6, t0 + int64(i)*1e6, t0, policy(i), fmt.Sprintf("schedule-%d", i%sitePolicies), kind, set}
	}
	const columns = "backups (id, uuid, project_id, user_id, name, description, container, status, volume_id, volume, size_gib, volume_bytes, stored_bytes, object_count, incremental, manifest, verified_at, snapshot_at, created_at, updated_at, policy_id, schedule_id, kind, set_id)"
	insert(b, raw, columns, 3*sets, func(at int) []any {
		i, part := at/3, at%3
		if part == 0 {
			return backup(at+1, 0, server(i%siteServers), "server", i)
		}
		return backup(at+1, i*3+1, fmt.Sprintf("volume-%05d", (i%siteServers)*2+part-1), "", i)
	})
	insert(b, raw, "jobs (id, kind, state, project_id, user_id, backup_id, priority, ready_at, params, created_at, started_at, finished_at, updated_at, entity_id, parent_id, policy_id, schedule_id, lease_owner, host, percent)", siteTasks, func(at int) []any {
		i, kind, state, parent, owner, host := at/2, "export", "finished", "", "", fmt.Sprint("m", at%5)
		if at%2 == 1 {
			kind, parent = "store", fmt.Sprintf("job-%d", at-1)
		}
		if at >= 2*sets {
			i, kind, parent = at, "restore", ""
		}
		switch {
		case at >= siteTasks-50:
			state, owner, host = "running", "m1/instance", "m1"
		case at >= siteTasks-100:
			state, host = "queued", ""
		case i%40 == 7:
			state = "failed"
		}
		return []any{fmt.Sprintf("job-%d", at), kind, state, project(i % siteServers), "user", (i%sets)*3 + 1, 50, t0, "{}", t0 + int64(at)*1e6, t0 + int64(at)*1e6, t0 + int64(at)*1e6 + 1e6, t0,
			server(i % siteServers), parent, policy(i), fmt.Sprintf("schedule-%d", i%sitePolicies), owner, host, 100}
	})
	if _, err := raw.Exec(`UPDATE entities SET restorable = (SELECT COUNT(*) FROM backups WHERE volume_id = entities.id AND status IN ('available', 'restoring'))`); err != nil {
		b.Fatal(err) // what db keeps where backups move
	}
	if _, err := raw.Exec("ANALYZE"); err != nil { // what SQLite does by itself, and MariaDB is told below
		if _, err := raw.Exec("ANALYZE TABLE entities, jobs, backups, policies, policy_entities, policy_rules, schedules, rule_schedules"); err != nil {
			b.Fatal(err)
		}
	}
}

func insert(b *testing.B, raw *sql.DB, into string, n int, row func(at int) []any) {
	b.Helper()
	tx, err := raw.Begin()
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n; {
		var values []string
		var args []any
		for ; at < n && len(values) < 500; at++ {
			one := row(at)
			values, args = append(values, "("+strings.TrimSuffix(strings.Repeat("?,", len(one)), ",")+")"), append(args, one...)
		}
		if _, err := tx.Exec("INSERT INTO "+into+" VALUES "+strings.Join(values, ","), args...); err != nil {
			b.Fatal(into, err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
