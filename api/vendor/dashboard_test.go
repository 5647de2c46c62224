package vendor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/drivers/drivertest"
	"github.com/stowage/stowage/internal/harness"
)

// busy has backups of demo's volumes 9 and 10, one of 10 that was deleted and one that
// failed, and a restore to 10.
func busy(t *testing.T) *harness.Harness {
	t.Helper()
	h := clouded(t)
	if now := h.Clock.Now(); now.Add(2*time.Minute).UTC().Day() != now.UTC().Day() {
		h.Clock.Step(3 * time.Minute) // all of it is of one day
	}
	look(h)
	h.Await(h.Create("9"), stowage.BackupAvailable)
	h.Await(h.Create("10"), stowage.BackupAvailable)
	free := func() { h.Until("10 is free", func() bool { return h.VolumeStatus("10") == stowage.VolumeAvailable }) }
	free()
	backup := one(t, send(h, http.MethodGet, "/backups?protected-entity=10", "", demo))["guid"]
	gone := h.Create("10")
	h.Await(gone, stowage.BackupAvailable)
	h.Call("demo:demo", http.MethodDelete, harness.Base("demo")+"/"+gone, "")
	h.Await(gone, "")
	free()
	h.Stores.On(drivertest.OpPut, "").Always().Before(stowage.Errorf(stowage.Corrupt, "it is broken"))
	h.Await(h.Create("10"), stowage.BackupError)
	h.Stores.Clear()
	free()
	task := good(h, http.MethodPost, "/tasks/restore", fmt.Sprintf(`{"backup":%q,"overwrite":true}`, backup), demo)
	h.Until("it is restored", func() bool {
		return at(good(h, http.MethodGet, "/tasks/"+guidOf(task), "", demo), "state.name") == "FINISHED"
	})
	return h
}

// around is the query of a span around now.
func around(h *harness.Harness) string {
	now := h.Clock.Now()
	return fmt.Sprintf("?from=%d&to=%d&protectedEntityType=VM", now.Add(-time.Hour).UnixMilli(), now.Add(time.Hour).UnixMilli())
}

func TestTheDashboardCountsWhatIsProtected(t *testing.T) {
	h := clouded(t)
	look(h)
	s, _ := soon(h, "S", "FULL", "")
	policyOf(h, "P", `["10"]`, s, "")
	want := func(what string, who func(*http.Request), want string) {
		t.Helper()
		a := good(h, http.MethodGet, "/dashboard/protection", "", who)
		for _, of := range []string{"vm", "allEntities"} {
			if got := fmt.Sprint(at(a, of+".protectedNo"), at(a, of+".notProtected"), at(a, of+".noSchedule")); got != want {
				t.Errorf("%s: %s is %s, want %s", what, of, got, want)
			}
		}
	}
	want("before the first backup", demo, "0 1 1")
	h.Await(h.Create("10"), stowage.BackupAvailable)
	want("afterwards", demo, "1 0 1")
	want("for the portal", portal, "1 0 2")
	want("for another project", token("x:alt"), "0 0 1")
}

func TestTheDashboardTellsWhatWasDone(t *testing.T) {
	h := busy(t)
	stats := send(h, http.MethodGet, "/dashboard/backup-stats", "", demo)
	if want := `{"failed":1,"inProgress":0,"queued":0,"successful":3,"totalData":"2.9 KiB"}`; stats.Body != want {
		t.Errorf("the stats are %s, want %s", stats.Body, want)
	}
	if other := send(h, http.MethodGet, "/dashboard/backup-stats", "", token("x:alt")); !strings.Contains(other.Body, `"successful":0`) {
		t.Errorf("another project sees %s", other.Body)
	}
	rows(t, send(h, http.MethodGet, "/dashboard/staging-space", "", demo))
	var days struct{ BackupSizeStatsResponses, RestoreSizeStatsResponses json.RawMessage }
	if err := json.Unmarshal([]byte(send(h, http.MethodGet, "/dashboard/vm-backup-size-stats", "", demo).Body), &days); err != nil {
		t.Fatal(err)
	}
	// Clients take the values in the order in which they come: the last is today's.
	today := h.Clock.Now().UTC().Format(time.DateOnly)
	for _, c := range []struct {
		got  json.RawMessage
		want string
	}{{days.BackupSizeStatsResponses, `"` + today + `":3000}`}, {days.RestoreSizeStatsResponses, `"` + today + `":1000}`}} {
		if !strings.HasSuffix(string(c.got), c.want) || strings.Count(string(c.got), ":0") != 14 {
			t.Errorf("the days are %s", c.got)
		}
	}
}

func TestAReportTellsOfEachBackupAndRestore(t *testing.T) {
	h := busy(t)
	r := good(h, http.MethodGet, "/dashboard/report"+around(h), "", demo)
	for path, want := range map[string]any{
		"backups.successful": 3.0, "backups.failed": 1.0, "backups.total": 4.0, "backups.inProgress": 0.0, "backups.queued": 0.0, "backups.totalData": "2.9 KiB",
		"restores.successful": 1.0, "restores.total": 1.0, "restores.totalData": "1000 B",
	} {
		if got := at(r, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	var lines []string
	for _, e := range r["backups"].(map[string]any)["elements"].([]any) {
		lines = append(lines, fmt.Sprint(at(e, "protectedEntityGuid"), " ", at(e, "protectedEntity"), " ", at(e, "size"), " ", at(e, "type"), " ", at(e, "status.name"), " ", at(e, "status.description")))
		if at(e, "snapshotTime") == nil || at(e, "policy") != "" {
			t.Errorf("the row is %v", e)
		}
	}
	want := "10 vol-10 0  FAILED Failed; 10 vol-10 1000  SUCCESS_REMOVED Success (removed); 10 vol-10 1000 Full SUCCESS Success; 9 vol-9 1000 Full SUCCESS Success"
	if got := strings.Join(lines, "; "); got != want {
		t.Errorf("the rows are %s\nwant %s", got, want)
	}
	restored := r["restores"].(map[string]any)["elements"].([]any)[0]
	if at(restored, "type") != "Restore" || at(restored, "status.name") != "SUCCESS" || at(restored, "restoreTime") == nil || at(restored, "snapshotTime") != nil {
		t.Errorf("the restore is %v", restored)
	}
	for path, want := range map[string]any{"/dashboard/report?from=1000&to=2000": 0.0, "/dashboard/report": 4.0, "/dashboard/report?from=0&to=9999999999999": 4.0, "/dashboard/report?to=0": 4.0, "/dashboard/report?protectedEntityType=APP": 0.0} {
		if got := at(good(h, http.MethodGet, path, "", demo), "backups.total"); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := at(good(h, http.MethodGet, "/dashboard/report"+around(h), "", token("x:alt")), "backups.total"); got != 0.0 {
		t.Errorf("another project sees %v", got)
	}
	wantFault(t, send(h, http.MethodGet, "/dashboard/report?from=2000&to=1000", "", demo), http.StatusBadRequest, "from")
}

func TestAReportIsAFileToo(t *testing.T) {
	h := busy(t)
	if err := h.Exec(`UPDATE entities SET name = '<script>alert(1)</script> 名前 🗄' WHERE id = '10'`); err != nil {
		t.Fatal(err)
	}
	body := `{"backupSize":{"groupBy":"virtual-machine"},"transferSize":{"groupBy":"backup-destination","projectGuids":[]},"value":""}`
	name := h.Clock.Now().Add(time.Hour).UTC().Format(time.DateOnly)
	for path, c := range map[string]struct{ kind, file, begins, holds string }{
		"/dashboard/report-html": {"text/html; charset=utf-8", "backup-report-" + name + ".html", "<!DOCTYPE html>", "&lt;script&gt;alert(1)&lt;/script&gt; 名前 🗄"},
		"/dashboard/report-pdf":  {"application/pdf", "backup-report-" + name + ".pdf", "%PDF-", "%%EOF"},
	} {
		a := send(h, http.MethodPost, path+around(h), body, demo)
		if a.Status != http.StatusOK || a.Header.Get("Content-Type") != c.kind || a.Header.Get("Content-Disposition") != `attachment; filename="`+c.file+`"` ||
			!strings.HasPrefix(a.Body, c.begins) || !strings.Contains(a.Body, c.holds) || strings.Contains(a.Body, "<script>") {
			t.Errorf("%s: %d %v %.200s", path, a.Status, a.Header, a.Body)
		}
		if c.kind != "application/pdf" && (!strings.Contains(a.Body, "Backup size by virtual machine") || !strings.Contains(a.Body, "Transfer size by backup destination")) {
			t.Errorf("%s has no charts: %s", path, a.Body)
		}
		if a := send(h, http.MethodPost, path, "", demo); a.Status != http.StatusOK {
			t.Errorf("%s without a body: %d %s", path, a.Status, a.Body)
		}
		wantFault(t, send(h, http.MethodPost, path, `{"backupSize":{"groupBy":"moon"}}`, demo), http.StatusBadRequest, "groupBy")
	}
}

func TestAReportIsMailed(t *testing.T) {
	h := busy(t)
	path := "/dashboard/report-email" + around(h)
	if a := send(h, http.MethodPost, path, `{"value":"a@x.test, b@x.test"}`, demo); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	got := h.Post.Got()
	if len(got) != 1 || fmt.Sprint(got[0].To) != "[a@x.test b@x.test]" || got[0].Subject != "Backup report" || !strings.Contains(got[0].HTML, "vol-10") ||
		!strings.Contains(got[0].Text, "Total                  4") || !strings.HasPrefix(string(got[0].Attachments[0].Content), "%PDF") {
		t.Errorf("the mail is %v", got)
	}
	for what, body := range map[string]string{"nobody": `{}`, "no address": `{"value":"nobody"}`, "a header": `{"value":"a@x.test\r\nBcc: b@x.test"}`} {
		wantFault(t, send(h, http.MethodPost, path, body, demo), http.StatusBadRequest, "mail address")
		if len(h.Post.Got()) != 1 {
			t.Errorf("%s got mail", what)
		}
	}
	h.Post.Fail(stowage.Errorf(stowage.Unavailable, "The mail server does not take the message now. Try again later."))
	wantFault(t, send(h, http.MethodPost, path, `{"value":"a@x.test"}`, demo), http.StatusServiceUnavailable, "mail server")
	h.Verbs.Mail = nil
	wantFault(t, send(h, http.MethodPost, path, `{"value":"a@x.test"}`, demo), http.StatusConflict, "no mail server")
	wantFault(t, send(h, http.MethodPost, path, `{"value":"a@x.test"}`, token("reader:demo")), http.StatusForbidden, "")
}

func TestChargesAreGroupedInEveryWay(t *testing.T) {
	h := busy(t)
	charge := func(what, body string, who func(*http.Request)) string {
		t.Helper()
		var out []string
		for _, r := range rows(t, send(h, http.MethodPost, "/chargeback-reporting/"+what+"/vm"+around(h), body, who)) {
			out = append(out, fmt.Sprint(r["name"], " ", r["size"]))
		}
		return strings.Join(out, ", ")
	}
	for body, want := range map[string]string{
		`{"groupBy":"virtual-machine"}`:                                                       "vol-10 1000, vol-9 1000",
		`{"groupBy":"backup-destination"}`:                                                    "volumebackups 2000",
		`{"groupBy":"backup-policy"}`:                                                         "No policy 2000",
		`{"groupBy":"hypervisor-manager"}`:                                                    "keystone.test 2000",
		`{"groupBy":"project"}`:                                                               "Demo 2000",
		`{"groupBy":"hypervisor"}`:                                                            "No hypervisor 2000",
		`{"groupBy":"hypervisor-cluster"}`:                                                    "No cluster 1000, nova 1000",
		`{"groupBy":"virtual-machine","virtualMachineGuids":["9"]}`:                           "vol-9 1000",
		`{"groupBy":"virtual-machine","virtualMachineGuids":[{"guid":"9","name":"x"}]}`:       "vol-9 1000",
		`{"groupBy":"virtual-machine","backupDestinationGuids":["demo:volumebackups"]}`:       "vol-10 1000, vol-9 1000",
		`{"groupBy":"virtual-machine","backupDestinationGuids":["demo:other"]}`:               "",
		`{"groupBy":"virtual-machine","backupPolicyGuids":["none"]}`:                          "",
		`{"groupBy":"virtual-machine","hypervisorManagerGuids":["openstack"]}`:                "vol-10 1000, vol-9 1000",
		`{"groupBy":"virtual-machine","hypervisorManagerGuids":["other"]}`:                    "",
		`{"groupBy":"backup-destination","hypervisorClusterGuids":["nova"]}`:                  "volumebackups 1000",
		`{"groupBy":"virtual-machine","projectGuids":["alt"]}`:                                "",
		`{"groupBy":"virtual-machine","virtualMachineGuids":[],"backupPolicyGuids":[],"x":1}`: "vol-10 1000, vol-9 1000",
	} {
		if got := charge("backup-size", body, demo); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	if got := charge("backup-size", `{"groupBy":"hypervisor"}`, portal); got != "No hypervisor 1000, compute-1 1000" {
		t.Errorf("the operator sees %s", got)
	}
	if got := charge("backup-size", `{"groupBy":"virtual-machine"}`, token("x:alt")); got != "" {
		t.Errorf("another project sees %s", got)
	}
	// What was stored counts although it was deleted.
	moved := charge("transfer-size", `{"groupBy":"virtual-machine"}`, demo)
	if !strings.Contains(moved, "vol-10") || !strings.Contains(moved, "vol-9") || strings.HasPrefix(moved, "vol-9") {
		t.Errorf("the transfers are %s", moved)
	}
	for _, body := range []string{``, `{}`, `{"groupBy":"moon"}`, `{"groupBy":{}}`} {
		wantFault(t, send(h, http.MethodPost, "/chargeback-reporting/transfer-size/vm", body, demo), http.StatusBadRequest, "")
	}
}

func TestDestinationsTellHowMuchFits(t *testing.T) {
	h := busy(t)
	h.Containers.Space = cloud.Capacity{Policy: "gold", Bytes: 1 << 40}
	var asked []string
	h.Containers.Before("Capacity", func(who string) error { asked = append(asked, who); return nil })
	d := one(t, send(h, http.MethodGet, "/backup-destinations", "", demo))
	if d["totalAvailableSpace"] != float64(1<<40) || d["storagePolicy"] != "gold" || at(d, "type.name") != "SWIFT" || d["totalUsedSpace"].(float64) <= 0 {
		t.Errorf("the destination is %v", d)
	}
	stats := good(h, http.MethodGet, "/dashboard/backup-destination-stats", "", demo)
	if stats["totalAvailableSpace"] != float64(1<<40) || stats["totalUsedSpace"] != d["totalUsedSpace"] || len(stats["backupDestinations"].([]any)) != 1 {
		t.Errorf("the stats are %v", stats)
	}
	if fmt.Sprint(asked) != "[demo:volumebackups as demo]" {
		t.Errorf("Swift was asked for %q", asked)
	}
	// Later it is asked again; that it is away is no reason to show nothing.
	h.Clock.Step(time.Hour)
	h.Containers.Before("Capacity", func(string) error { return stowage.Errorf(stowage.Unavailable, "Swift is away.") })
	d = one(t, send(h, http.MethodGet, "/backup-destinations", "", demo))
	if d["totalAvailableSpace"] != 0.0 || d["totalUsedSpace"].(float64) <= 0 {
		t.Errorf("the destination is %v", d)
	}
	h.Verbs.Directory = true
	d = one(t, send(h, http.MethodGet, "/backup-destinations", "", demo))
	if at(d, "type.name") != "FILESYSTEM" || at(d, "type.description") != "File system" {
		t.Errorf("the destination is %v", d)
	}
}

func TestMailingListsAreKept(t *testing.T) {
	h := harness.New(t)
	l := good(h, http.MethodPost, "/mailing-lists", `{"name":" Ops ","recipients":["a@x.test","B <b@x.test>","a@X.test"]}`, demo)
	if l["name"] != "Ops" || fmt.Sprint(l["recipients"]) != "[a@x.test b@x.test]" || l["recipientCount"] != 2.0 {
		t.Errorf("the list is %v", l)
	}
	good(h, http.MethodPut, "/mailing-lists/"+guidOf(l), `{"guid":"x","name":"Ops 2","recipients":"c@x.test"}`, demo)
	got := one(t, send(h, http.MethodGet, "/mailing-lists?filter=ops", "", demo))
	if got["name"] != "Ops 2" || fmt.Sprint(got["recipients"]) != "[c@x.test]" || guidOf(got) != guidOf(l) {
		t.Errorf("the list became %v", got)
	}
	wantFault(t, send(h, http.MethodPost, "/mailing-lists", `{"name":"ops 2","recipients":["a@x.test"]}`, demo), http.StatusConflict, "")
	wantFault(t, send(h, http.MethodPost, "/mailing-lists", `{"name":"x","recipients":[]}`, demo), http.StatusBadRequest, "mail address")
	wantFault(t, send(h, http.MethodPost, "/mailing-lists", `{"recipients":["a@x.test"]}`, demo), http.StatusBadRequest, "name")
	wantFault(t, send(h, http.MethodPost, "/mailing-lists", `{"name":"x","recipients":["a@x.test"]}`, token("reader:demo")), http.StatusForbidden, "")
	stranger := token("x:alt")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		wantFault(t, send(h, method, "/mailing-lists/"+guidOf(l), `{"name":"x","recipients":["a@x.test"]}`, stranger), http.StatusNotFound, "")
	}
	if list := rows(t, send(h, http.MethodGet, "/mailing-lists", "", stranger)); len(list) != 0 {
		t.Errorf("another project sees %v", list)
	}
	if a := send(h, http.MethodDelete, "/mailing-lists/"+guidOf(l), "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if list := rows(t, send(h, http.MethodGet, "/mailing-lists", "", demo)); len(list) != 0 {
		t.Errorf("there is still %v", list)
	}
}
