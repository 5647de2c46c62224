package vendor_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
)

// trio has three servers of demo's, each with a volume and a backup.
func trio(t *testing.T) (h *harness.Harness, ids []string) {
	t.Helper()
	h = harness.New(t)
	h.Start(h.Manager("m1"))
	h.Nova.Offer(stowage.ResourceNetwork, stowage.Resource{ID: "n1", Name: "public", Shared: true}, stowage.Resource{ID: "n2", Name: "site-b", ProjectID: "demo"})
	for i, name := range []string{"db", "app", "web"} {
		volume := fmt.Sprint(31 + i)
		h.Volume(volume, 200_000)
		ids = append(ids, place(h, stowage.ServerRecord{
			ProjectID: "demo", Name: name, FlavorID: "f1",
			Ports: []stowage.ServerPort{{NetworkID: "n1", MAC: fmt.Sprintf("fa:16:3e:00:00:%02d", i), Addresses: []string{fmt.Sprintf("192.0.2.%d", 10+i)}}},
			Disks: []stowage.ServerDisk{{VolumeID: volume, Device: "/dev/vda", Boot: true}},
		}))
		exported(h, ids[i], "FULL")
	}
	return h, ids
}

// inOrder makes a plan that restores the servers in this order.
func inOrder(h *harness.Harness, ids []string, more string) map[string]any {
	h.T.Helper()
	return good(h, http.MethodPost, "/policies/recovery-plan", fmt.Sprintf(
		`{"name":"site","priority":90,"rules":[{"name":"first","vms":[%q],"namePrefix":"dr-"%s},{"name":"then","vms":[{"guid":%q},{"guid":%q}],"namePrefix":"dr-"%s}]}`,
		ids[0], more, ids[1], ids[2], more), demo)
}

// recovery runs a plan, waits until that has ended, and gives the task and the run.
func recovery(h *harness.Harness, plan, body string) (task, run map[string]any) {
	h.T.Helper()
	task = good(h, http.MethodPost, "/policies/recovery-plan/"+plan+"/run", body, demo)
	task = ended(h, guidOf(task))
	runs := rows(h.T.(*testing.T), send(h, http.MethodGet, "/policies/recovery-plan/"+plan+"/runs", "", demo))
	return task, runs[0]
}

func TestAPlanRestoresServersInItsOrder(t *testing.T) {
	h, ids := trio(t)
	plan := inOrder(h, ids, `,"networkMapping":[{"source":"n1","target":"site-b"}]`)
	if plan["ruleCount"] != 2.0 || at(plan["rules"].([]any)[1], "name") != "then" {
		t.Errorf("the plan is %v", plan)
	}
	task, run := recovery(h, guidOf(plan), `{}`)
	if at(task, "state.name") != "FINISHED" || at(task, "type.name") != "RECOVERY_PLAN" || task["priority"] != 90.0 {
		t.Errorf("the task is %v", task)
	}
	var last float64
	for i, s := range run["steps"].([]any) {
		begun, up := at(s, "startTime").(float64), at(s, "upTime").(float64)
		if at(s, "protectedEntity.guid") != ids[i] || at(s, "state.name") != "FINISHED" || begun < last || up < begun {
			t.Errorf("step %d is %v", i, s)
		}
		last = up
	}
	var names []string
	for _, s := range h.Servers.List() {
		names = append(names, s.Name)
		if strings.HasPrefix(s.Name, "dr-") && (s.Ports[0].NetworkID != "n2" || len(s.Ports[0].Addresses) != 0) {
			t.Errorf("%s has the port %+v", s.Name, s.Ports[0])
		}
	}
	if !slices.Equal(names, []string{"app", "db", "dr-app", "dr-db", "dr-web", "web"}) {
		t.Errorf("servers: %v", names)
	}
}

func TestATestOfAPlanLeavesNothing(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(h *harness.Harness)
		state string
	}{
		"it works":                  {func(*harness.Harness) {}, "FINISHED"},
		"the second is not built":   {func(h *harness.Harness) { refuse(h, "dr-app") }, "FAILED"},
		"the console shows nothing": {func(h *harness.Harness) { h.Servers.Say("Kernel panic") }, "FAILED"},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			h, ids := trio(t)
			before := volumes(h)
			h.Servers.Say("login:")
			c.spoil(h)
			plan := inOrder(h, ids, `,"check":{"type":"CONSOLE","text":"login:","timeout":1}`)
			seen := map[string]bool{}
			h.Servers.After("BuildServer", func(string) error {
				for _, s := range h.Servers.List() {
					seen[s.Ports[0].NetworkID+" "+strings.Join(s.Ports[0].Addresses, ",")] = true
				}
				return nil
			})
			task := good(h, http.MethodPost, "/policies/recovery-plan/"+guidOf(plan)+"/run", `{"test":true}`, demo)
			h.Until("the test has ended", func() bool {
				h.Clock.Step(10 * time.Millisecond) // a check gives up after a while
				got := send(h, http.MethodGet, "/tasks/"+guidOf(task), "", demo).JSON(t)
				return at(got, "state.name") == c.state
			})
			if got := volumes(h); !slices.Equal(got, before) {
				t.Errorf("volumes %v, before %v", got, before)
			}
			if n := len(h.Servers.List()); n != 3 {
				t.Errorf("%d servers", n)
			}
			if left := h.Servers.TestNetworks(); len(left) != 0 {
				t.Errorf("networks: %v", left)
			}
			if !seen["test-n1-"+guidOf(task)+" 192.0.2.10"] {
				t.Errorf("the servers were in %v", seen)
			}
		})
	}
}

func refuse(h *harness.Harness, name string) {
	h.Servers.Before("BuildServer", func(n string) error {
		if n == name {
			return errBroken
		}
		return nil
	})
}

func TestAPlanStopsAtWhatFails(t *testing.T) {
	h, ids := trio(t)
	refuse(h, "dr-app")
	task, run := recovery(h, guidOf(inOrder(h, ids, "")), "")
	var states []any
	for _, s := range run["steps"].([]any) {
		states = append(states, at(s, "state.name"))
	}
	if at(task, "state.name") != "FAILED" || !strings.Contains(task["statusInfo"].(string), "It broke.") || !slices.Equal(states, []any{"FINISHED", "FAILED", "QUEUED"}) {
		t.Errorf("the task is %v, the steps %v", task, states)
	}
	if n := len(h.Servers.List()); n != 4 { // what is up stays
		t.Errorf("%d servers", n)
	}
}

func TestRulesOfAPlanAreChangedOneByOne(t *testing.T) {
	h, ids := trio(t)
	plan := good(h, http.MethodPost, "/policies/recovery-plan", `{"name":"empty"}`, demo)
	rule := good(h, http.MethodPost, "/rules/recovery-plan", fmt.Sprintf(`{"policy":%q,"name":"a","vms":[%q]}`, guidOf(plan), ids[0]), demo)
	good(h, http.MethodPut, "/rules/recovery-plan/"+guidOf(rule), fmt.Sprintf(`{"name":"b","vms":[%q],"check":{"type":"DELAY","delay":5000}}`, ids[1]), demo)
	got := good(h, http.MethodGet, "/rules/recovery-plan/"+guidOf(rule), "", demo)
	if got["name"] != "b" || at(got, "check.type.name") != "DELAY" || at(got, "check.delay") != 5000.0 {
		t.Errorf("the rule is %v", got)
	}
	if list := rows(t, send(h, http.MethodGet, "/rules/recovery-plan?policy="+guidOf(plan), "", demo)); len(list) != 1 {
		t.Errorf("rules: %v", list)
	}
	good(h, http.MethodPut, "/policies/recovery-plan/"+guidOf(plan), fmt.Sprintf(`{"active":false,"rules":[{"guid":%q}]}`, guidOf(rule)), demo)
	wantFault(t, send(h, http.MethodPost, "/policies/recovery-plan/"+guidOf(plan)+"/run", "", demo), http.StatusBadRequest, "not active")
	if a := send(h, http.MethodDelete, "/rules/recovery-plan/"+guidOf(rule), "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantFault(t, send(h, http.MethodGet, "/policies/recovery-plan/"+guidOf(plan), "", token("alt:alt")), http.StatusNotFound, "")
	if a := send(h, http.MethodDelete, "/policies/recovery-plan/"+guidOf(plan), "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for what, c := range map[string]struct{ body, message string }{
		"no name":           {`{"rules":[]}`, "name"},
		"no server":         {`{"name":"x","rules":[{"name":"a","vms":["31"]}]}`, "no server"},
		"an odd check":      {fmt.Sprintf(`{"name":"x","rules":[{"vms":[%q],"check":{"type":"PING"}}]}`, ids[0]), "no check"},
		"no text":           {fmt.Sprintf(`{"name":"x","rules":[{"vms":[%q],"check":{"type":"CONSOLE"}}]}`, ids[0]), "text"},
		"an odd network":    {fmt.Sprintf(`{"name":"x","rules":[{"vms":[%q],"networkMapping":[{"source":"n1","target":"n9"}]}]}`, ids[0]), "network"},
		"deletion":          {fmt.Sprintf(`{"name":"x","rules":[{"vms":[%q],"deleteIfExists":true}]}`, ids[0]), "deleteIfExists"},
		"a rule of another": {`{"name":"x","rules":[{"guid":"y"}]}`, "no rule"},
	} {
		a := send(h, http.MethodPost, "/policies/recovery-plan", c.body, demo)
		if a.Status/100 != 4 {
			t.Errorf("%s: %d", what, a.Status)
		}
		wantFault(t, a, a.Status, c.message)
	}
}

// Backups are written in any order: containers are imported one after the other, and an
// export may wait for its window. Nor is the newest one always whole.
func TestAPlanRestoresTheNewestWholeBackups(t *testing.T) {
	h, ids := trio(t)
	var older, newer []stowage.Backup
	for _, id := range ids {
		exported(h, id, "FULL")
		list, err := h.DB.Restorable(t.Context(), db.Scope{}, id, 10)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		older, newer = append(older, list[1]), append(newer, list[0])
	}
	// The second of the first server was taken before the first. The second of the second
	// server is damaged; of the third server nothing is whole.
	if err := h.Exec("UPDATE backups SET snapshot_at = ? WHERE id = ?", older[0].SnapshotAt.Add(-time.Hour).UnixMicro(), newer[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, b := range []stowage.Backup{newer[1], newer[2], older[2]} {
		if err := h.Exec("UPDATE backups SET damaged_reason = 'Object x is gone.' WHERE set_id = ?", b.ID); err != nil {
			t.Fatal(err)
		}
	}
	task := good(h, http.MethodPost, "/policies/recovery-plan/"+guidOf(inOrder(h, ids, ""))+"/run", `{}`, demo)
	j, err := h.DB.Job(t.Context(), guidOf(task))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{older[0].UUID, older[1].UUID, newer[2].UUID}
	for i, step := range j.Params.Recovery.Steps {
		if step.Backup != want[i] {
			t.Errorf("server %d is restored from %s, want %s", i, step.Backup, want[i])
		}
	}
	vm := good(h, http.MethodGet, "/virtual-machines/"+ids[0], "", demo)
	if vm["lastBackup"] != float64(older[0].SnapshotAt.UnixMilli()) {
		t.Errorf("its newest backup is of %v, want %v", vm["lastBackup"], older[0].SnapshotAt.UnixMilli())
	}
	ended(h, guidOf(task))
}
