package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/internal/harness"
)

// column gives what a path shows in each row.
func column(list []map[string]any, path string) string {
	var out []string
	for _, row := range list {
		out = append(out, fmt.Sprint(at(row, path)))
	}
	return strings.Join(out, " ")
}

func TestBackupsAreNarrowedByEveryValue(t *testing.T) {
	h := backedUp(t)
	s, _ := soon(h, "S", "INCREMENTAL", "")
	var policies []string
	for _, name := range []string{"P", "Q"} {
		policies = append(policies, guidOf(policyOf(h, name, "[]", s, "")))
	}
	h.Await(h.Create("9"), stowage.BackupAvailable)
	for n, p := range policies {
		if err := h.Exec(`UPDATE backups SET policy_id = ?, incremental = ? WHERE id = ?`, p, n, n+1); err != nil {
			t.Fatal(err)
		}
	}
	size := one(t, withTotal(send(h, http.MethodGet, "/backups?type=FULL", "", demo)))["size"].(float64)
	for query, want := range map[string]int{
		"": 2, "type=INCREMENTAL&type=FULL": 2, "type=FULL&type=INCREMENTAL": 2, "type=INCREMENTAL": 1, "type=SYNTHETIC": 0, "type=SYNTHETIC&type=FULL": 1,
		"backup-policy=" + policies[0]: 1, "backup-policy=" + policies[0] + "&backup-policy=" + policies[1]: 2, "backup-policy=none": 0,
		"min-size=999999999999.0": 0, "min-size=999999999999": 0, fmt.Sprintf("type=FULL&min-size=%.1f", size): 1, fmt.Sprintf("type=FULL&min-size=%.1f", size+1): 0,
		"min-size=": 2, "node=zzzz": 0, "node=m1": 0,
	} {
		for _, path := range []string{"/backups", "/backup-locations"} {
			if list := rows(t, send(h, http.MethodGet, path+"?"+query, "", demo)); len(list) != want {
				t.Errorf("%s?%s: %d, want %d", path, query, len(list), want)
			}
		}
	}
	if err := h.Exec(`UPDATE jobs SET host = 'm7' WHERE backup_id = 2`); err != nil {
		t.Fatal(err)
	}
	for node, want := range map[string]int{"m7": 1, "m1": 1, "m": 0, "m7/x": 0, "名": 0} {
		if list := rows(t, send(h, http.MethodGet, "/backups?node="+node, "", token("portal:admin"))); len(list) != want {
			t.Errorf("of node %s: %v", node, list)
		}
	}
}

// Lists that are held in memory are filtered, ordered and cut into pages like others.
func TestShortListsAreFilteredOrderedAndPaged(t *testing.T) {
	h := clouded(t)
	admin := token("portal:admin")
	for i, host := range []string{"compute-2", "Compute-3"} {
		for n := range i + 2 {
			h.Nova.Set(cloud.Server{ID: fmt.Sprint(host, n), ProjectID: "demo", Name: fmt.Sprint(host, n), Status: "ACTIVE", Host: host, Zone: "nova"}, h.Clock.Now())
		}
		if err := h.DB.Report(t.Context(), stowage.Service{Host: fmt.Sprint("m", 3-i), Kind: stowage.ServiceManager, Version: "1", LastSeen: h.Clock.Now().Add(time.Duration(i+1) * -time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	look(h)
	for i, name := range []string{"alpha", "beta"} {
		awaitTask(h, guidOf(one(t, withTotal(export(h, demo, fmt.Sprintf(`{"protectedEntities":["10"],"backupDestination":"demo:%s"}`, name))))), "FINISHED")
		if err := h.Exec(`UPDATE backups SET stored_bytes = ? WHERE container = ?`, 100-i, name); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/nodes?orderBy=name&direction=desc": "m3 m2 m1", "/nodes?filter=M2": "m2", "/nodes?nameLike=m3": "m3", "/nodes?filter=none": "",
		"/nodes?page=1&size=2": "m3", "/nodes?orderBy=lastSeen": "m2 m3 m1", "/nodes?orderBy=state": "m2 m3 m1", "/nodes?size=1": "m1", "/nodes?page=9&size=2": "",
		"/hypervisors": "Compute-3 compute-1 compute-2", "/hypervisors?orderBy=host&direction=desc": "Compute-3 compute-2 compute-1",
		"/hypervisors?orderBy=vmCount": "compute-1 compute-2 Compute-3", "/hypervisors?filter=COMPUTE-3": "Compute-3", "/hypervisors?page=1&size=2": "compute-2",
		"/backup-destinations": "alpha beta volumebackups", "/backup-destinations?orderBy=name&direction=desc": "volumebackups beta alpha",
		"/backup-destinations?orderBy=totalUsedSpace&filter=a": "volumebackups beta alpha", "/backup-destinations?filter=ALPH": "alpha", "/backup-destinations?page=1&size=1": "beta",
	} {
		who, name := admin, "name"
		if strings.HasPrefix(path, "/backup-destinations") {
			who = demo
		} else if strings.HasPrefix(path, "/hypervisors") {
			name = "host"
		}
		a := send(h, http.MethodGet, path, "", who)
		if got := column(rows(t, a), name); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if total := a.Header.Get("X-Total-Count"); !strings.Contains(path, "filter") && !strings.Contains(path, "Like") && total != "3" {
			t.Errorf("%s: of %s", path, total)
		}
	}
}

func TestMountsAndPoliciesAreOrderedByWhatTheyShow(t *testing.T) {
	h := backedUp(t)
	for _, mode := range []string{"MANUAL", "AUTO"} {
		mounted(t, h, `{"backup": %q, "mode": "`+mode+`"}`)
	}
	for direction, want := range map[string]string{"asc": "AUTO MANUAL", "desc": "MANUAL AUTO"} {
		if got := column(rows(t, send(h, http.MethodGet, "/mounted-backups?orderBy=mode&direction="+direction, "", demo)), "mode.name"); got != want {
			t.Errorf("mounts %s: %s", direction, got)
		}
	}
	s, _ := soon(h, "S", "FULL", "")
	for i, name := range []string{"P", "Q", "R"} {
		p := guidOf(policyOf(h, name, "[]", s, ""))
		if i == 2 {
			continue
		}
		h.Await(h.Create("9"), stowage.BackupAvailable)
		if err := h.Exec(`UPDATE backups SET policy_id = ?, stored_bytes = ? WHERE id = (SELECT MAX(id) FROM backups)`, p, 1000-i); err != nil {
			t.Fatal(err)
		}
	}
	list := rows(t, send(h, http.MethodGet, "/policies/vm-backup?orderBy=averageBackupSize", "", demo))
	if got := column(list, "name"); got != "R Q P" {
		t.Errorf("policies: %s", got)
	}
	slices.Reverse(list)
	if got := column(rows(t, send(h, http.MethodGet, "/policies/vm-backup?orderBy=averageBackupSize&direction=desc", "", demo)), "name"); got != column(list, "name") {
		t.Errorf("policies the other way: %s", got)
	}
}

func TestMachinesAreOrderedByWhatTheyShow(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	for n := range 6 {
		h.Volume(fmt.Sprint(n), 1000)
	}
	h.Nova.Change(func(v *cloud.Volume) { v.ProjectID, v.Name = "demo", "vol-"+v.ID })
	look(h)
	s, _ := soon(h, "S", "FULL", "")
	policyOf(h, "Q", `["1","2"]`, s, "")
	policyOf(h, "P", `["3"]`, s, "")
	policyOf(h, "A", `["4"]`, "", "") // which nothing carries out
	for i, v := range []string{"2", "3", "5"} {
		h.Await(h.Create(v), stowage.BackupAvailable)
		if err := h.Exec(`UPDATE backups SET stored_bytes = ?, snapshot_at = ?, created_at = ? WHERE volume_id = ?`, 1000-i, 9e15-int64(i), 9e15-int64(i), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Exec(`UPDATE backups SET snapshot_at = 1, created_at = 1 WHERE volume_id = '3'`); err != nil { // long ago
		t.Fatal(err)
	}
	for order, want := range map[string]string{
		"vmBackupPolicy": "0 5 4 3 1 2", "lastBackup": "0 1 4 3 5 2", "lastSuccessfulBackupSize": "0 1 4 5 3 2", "backupUpToDate": "0 4 5 1 3 2", "nothing": "0 1 2 3 4 5",
	} {
		list := rows(t, send(h, http.MethodGet, "/virtual-machines?orderBy="+order, "", demo))
		if got := column(list, "guid"); got != want {
			t.Errorf("by %s: %s, want %s", order, got, want)
		}
		if order == "nothing" {
			continue
		}
		slices.Reverse(list)
		var pages []map[string]any
		for page := range 3 {
			pages = append(pages, rows(t, send(h, http.MethodGet, fmt.Sprintf("/virtual-machines?orderBy=%s&direction=desc&size=2&page=%d", order, page), "", demo))...)
		}
		if column(pages, "guid") != column(list, "guid") {
			t.Errorf("down by %s, in pages: %s, want %s", order, column(pages, "guid"), column(list, "guid"))
		}
	}
}

func TestTasksAreOrderedByWhoAskedForThem(t *testing.T) {
	h := backedUp(t)
	for range 2 {
		h.Await(h.Create("9"), stowage.BackupAvailable)
	}
	if err := h.Exec(`UPDATE jobs SET schedule_id = 's' WHERE seq = (SELECT MIN(seq) FROM jobs)`); err != nil {
		t.Fatal(err)
	}
	first := column(rows(t, send(h, http.MethodGet, "/tasks?orderBy=creationTime&size=1", "", demo)), "guid")
	for path, want := range map[string]int{
		"/tasks?orderBy=originEntity": 2, "/tasks?orderBy=originEntity&direction=desc": 0, "/workflow-executions?orderBy=originEntity": 2, "/workflow-executions?orderBy=originEntity&direction=desc": 0,
	} {
		if list := rows(t, send(h, http.MethodGet, path, "", demo)); len(list) != 3 || list[want]["guid"] != first {
			t.Errorf("%s: %s, want %s at %d", path, column(list, "guid"), first, want)
		}
	}
}
