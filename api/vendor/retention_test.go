package vendor_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/rpc"
)

// kept are the backups that demo has, the oldest first, by who asked for them.
func kept(h *harness.Harness) (out []map[string]any) {
	h.T.Helper()
	list := rows(h.T.(*testing.T), send(h, http.MethodGet, "/backups?status=SUCCESS&orderBy=backupTime", "", demo))
	return list
}

// cleaned waits until as many cleanups have ended, and all deletions with them.
func cleaned(h *harness.Harness, n int) {
	h.T.Helper()
	h.Until(fmt.Sprintf("%d cleanups have ended", n), func() bool {
		return len(polled(h, "/tasks?type=BACKUP_CLEANUP&state=FINISHED")) == n &&
			len(polled(h, "/tasks?type=DELETE&state=QUEUED&state=RUNNING")) == 0
	})
}

func TestAfterEachRunThePolicyKeepsWhatItsRuleSays(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	awaitTask(h, one(t, export(h, demo, `{"protectedEntities":["10"]}`))["guid"].(string), "FINISHED")
	s, due := soon(h, "S", "FULL", "")
	p := guidOf(policyOf(h, "P", `["10"]`, s, `"retentionKeepLastNFull":"2","keepLastBackupWhenSourceStillExists":true`))
	for n := range 4 {
		until(h, due.Add(time.Duration(n)*24*time.Hour))
		if got := entries(ran(h, s, n+1)); got != "10 BEGUN" {
			t.Fatalf("run %d has %s", n+1, got)
		}
		cleaned(h, n+1)
	}
	list := kept(h)
	mine := rows(t, send(h, http.MethodGet, "/backups?backup-policy="+p, "", demo))
	if len(list) != 3 || len(mine) != 2 || at(list[0], "originEntity.type.name") != "USER" {
		t.Errorf("%d are left, %d of the policy: %v", len(list), len(mine), list)
	}
	// What is left is the two newest, each of which can be restored.
	for _, b := range mine {
		if int64(b["backupTime"].(float64)) < due.Add(2*24*time.Hour).UnixMilli() {
			t.Errorf("an old one is left: %v", b)
		}
	}
	// To clean up again changes nothing; nor does it when the policy keeps all.
	good(h, http.MethodPut, "/policies/vm-backup/"+p, `{"name":"P","disableCleanOldBackups":true}`, demo)
	until(h, due.Add(4*24*time.Hour))
	ran(h, s, 5)
	h.Until("nothing is under way", func() bool {
		return len(polled(h, "/tasks?state=QUEUED&state=RUNNING")) == 0
	})
	if got := kept(h); len(got) != 4 {
		t.Errorf("%d are left, though it keeps all", len(got))
	}
	if got := rows(t, send(h, http.MethodGet, "/tasks?type=DELETE", "", demo)); len(got) != 2 {
		t.Errorf("%d were deleted", len(got))
	}
	// The policy goes, what it made stays.
	if a := send(h, http.MethodDelete, "/policies/vm-backup/"+p, "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if got := kept(h); len(got) != 4 {
		t.Errorf("%d are left", len(got))
	}
}

// madeBy counts what a policy has of a volume, by the rule that made it.
func madeBy(h *harness.Harness, policy, volume string) map[string]int {
	h.T.Helper()
	list, err := h.DB.PolicyBackups(h.T.Context(), policy, volume)
	if err != nil {
		h.T.Fatal(err)
	}
	out := map[string]int{}
	for _, b := range list {
		out[b.By.RuleID]++
	}
	return out
}

func TestEachRuleKeepsItsOwnBackupsAndThoseOfRulesThatAreGoneMakeRoom(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	often, due := soon(h, "often", "FULL", "")
	later := due.Add(10 * time.Minute)
	seldom := guidOf(good(h, http.MethodPost, "/schedules", fmt.Sprintf(`{"name":"seldom","type":"VM_BACKUP","backupType":"FULL","executionType":"TIME","hour":%d,"startWindowLength":3600000}`,
		later.Sub(later.Truncate(24*time.Hour)).Milliseconds()), demo))
	rule := func(schedule string, last int) string {
		return fmt.Sprintf(`{"name":"last %d","schedules":[%q],"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"demo:nightly","backupRetentionSettings":{"retentionKeepLastNFull":%d}}]}`,
			last, schedule, last)
	}
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"P","vms":["10"],"rules":[`+rule(often, 1)+`,`+rule(seldom, 2)+`]}`, demo))
	rules := func() (ids []string) {
		for _, r := range good(h, http.MethodGet, "/policies/vm-backup/"+p, "", demo)["rules"].([]any) {
			ids = append(ids, guidOf(r.(map[string]any)))
		}
		return ids
	}
	old := rules()
	for n := range 3 {
		until(h, due.Add(time.Duration(n)*24*time.Hour))
		ran(h, often, n+1)
		cleaned(h, 2*n+1)
		until(h, later.Add(time.Duration(n)*24*time.Hour))
		ran(h, seldom, n+1)
		cleaned(h, 2*n+2)
	}
	if got := madeBy(h, p, "10"); got[old[0]] != 1 || got[old[1]] != 2 {
		t.Errorf("the rules %v have %v", old, got)
	}
	// Whoever edits the policy makes its rules anew: what the old ones made goes as the new ones' come.
	good(h, http.MethodPut, "/policies/vm-backup/"+p, `{"name":"P","rules":[`+rule(often, 2)+`]}`, demo)
	for n := range 2 {
		until(h, due.Add(time.Duration(3+n)*24*time.Hour))
		ran(h, often, 4+n)
		cleaned(h, 7+n)
		if got := madeBy(h, p, "10"); got[rules()[0]] != n+1 || got[old[1]] != 1-n || got[old[0]] != 0 {
			t.Errorf("the rules %v and %v have %v", rules(), old, got)
		}
	}
}

// A server that Nova's list leaves out is there still, and so is its last backup.
func TestTheLastBackupOutlivesACellThatIsDown(t *testing.T) {
	h, id, _, _ := farm(t)
	s, due := soon(h, "S", "FULL", "")
	p := guidOf(policyOf(h, "P", fmt.Sprintf(`[%q]`, id), s,
		`"retentionKeepFullNewerThan":"3600000","keepLastBackupWhenSourceStillExists":true`))
	good(h, http.MethodPut, "/policies/vm-backup/"+p, `{"name":"P","autoRemoveNonPresent":true}`, demo)
	until(h, due)
	ran(h, s, 1)
	cleaned(h, 1)
	h.Clock.Step(25 * time.Hour) // Nova is asked for all
	h.Nova.LeaveOut(stowage.Errorf(stowage.Unavailable, "The compute service is temporarily unavailable."), id)
	look(h)
	h.Until("nothing is under way", func() bool { return len(polled(h, "/tasks?state=QUEUED&state=RUNNING")) == 0 })
	n, err := h.Verbs.Cleanup(t.Context(), stowage.Job{By: stowage.Origin{PolicyID: p}})
	if err != nil || n != 0 || len(kept(h)) == 0 {
		t.Errorf("%d backups were removed, %d are left: %v", n, len(kept(h)), err)
	}
	if entities, err := h.DB.PolicyEntities(t.Context(), p); err != nil || len(entities) != 1 {
		t.Errorf("the policy has %v, %v", entities, err)
	}
}

// A backup of a server of which a part is damaged, or was deleted, takes no place of one
// that is whole, and says so.
func TestAServersBackupThatLacksAPartTakesNoPlace(t *testing.T) {
	for what, spoil := range map[string]func(*harness.Harness, stowage.Backup) string{
		"damaged": func(h *harness.Harness, part stowage.Backup) string {
			if err := h.DB.NoteVerified(h.T.Context(), part.ID, "Object x is gone.", h.Clock.Now()); err != nil {
				h.T.Fatal(err)
			}
			return "The backup of volume " + part.Volume.ID + " is damaged: Object x is gone."
		},
		"deleted": func(h *harness.Harness, part stowage.Backup) string {
			if a := h.Call("demo:demo", http.MethodDelete, fmt.Sprint(harness.Base("demo"), "/", part.ID), ""); a.Status != http.StatusAccepted {
				h.T.Fatal(a)
			}
			h.Until("the part is deleted", func() bool {
				_, err := h.DB.Backup(h.T.Context(), db.Scope{}, part.ID)
				return stowage.CodeOf(err) == stowage.NotFound
			})
			return "The backup of volume " + part.Volume.ID + " is not there."
		},
	} {
		t.Run(what, func(t *testing.T) {
			h, id, _, _ := farm(t)
			s, due := soon(h, "S", "FULL", "")
			p := guidOf(policyOf(h, "P", fmt.Sprintf(`[%q]`, id), s, `"retentionKeepLastNFull":"2"`))
			sets := func() []stowage.Backup {
				list, err := h.DB.PolicyBackups(t.Context(), p, id)
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			run := func(n int) {
				until(h, due.Add(time.Duration(n)*24*time.Hour))
				ran(h, s, n+1)
				cleaned(h, n+1)
			}
			run(0)
			run(1)
			before := sets()
			parts, err := h.DB.SetBackups(t.Context(), before[1].ID)
			if err != nil {
				t.Fatal(err)
			}
			want := spoil(h, parts[0])
			b := good(h, http.MethodGet, "/backups/"+before[1].UUID, "", demo)
			if b["warningsPresent"] != true || fmt.Sprint(b["warnings"]) != "["+want+"]" {
				t.Errorf("it shows %v", b)
			}
			if whole := good(h, http.MethodGet, "/backups/"+before[0].UUID, "", demo); whole["warningsPresent"] != false {
				t.Errorf("the whole one shows %v", whole)
			}
			if vm := good(h, http.MethodGet, "/virtual-machines/"+id, "", demo); vm["warningsPresent"] != true {
				t.Errorf("the server shows %v", vm)
			}
			run(2)
			var left []string
			for _, b := range sets() {
				left = append(left, b.UUID)
			}
			if !slices.Contains(left, before[0].UUID) {
				t.Errorf("the whole one of two went, left are %v", left)
			}
			run(3)
			if got := sets(); len(got) != 2 || got[0].ID <= before[1].ID {
				t.Errorf("once there are two whole ones, there are %d, the first is %d", len(got), got[0].ID)
			}
		})
	}
}

func TestMarksKeepAndRemove(t *testing.T) {
	h := clouded(t)
	h.Volume("10", 300_000)
	var guids []string
	for range 3 {
		h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == "available" })
		task := one(t, export(h, demo, `{"protectedEntities":["10"]}`))
		awaitTask(h, task["guid"].(string), "FINISHED")
		guids = append(guids, at(task, "backup.guid").(string))
	}
	mark := func(path, body string, who func(*http.Request)) answer {
		return withTotal(send(h, http.MethodPost, "/retention/mark-backups"+path, body, who))
	}
	hintOf := func(guid string) any {
		return at(rowsBy(t, send(h, http.MethodGet, "/backup-locations", "", demo))[guid], "retentionHint.name")
	}
	until := h.Clock.Now().Add(time.Hour).UnixMilli()
	archive := fmt.Sprintf(`[{"guid":%q,"backup":{"guid":%q,"name":"x"},"status":{"name":"PRESENT"},"retentionHint":{"name":"ARCHIVE","description":"Archive"},"archiveExpire":"%d"}]`, guids[0], guids[0], until)
	got := one(t, mark("/preview", archive, demo))
	if at(got, "previousHint.name") != "STANDARD_RETENTION" || at(got, "retentionHint.name") != "ARCHIVE" || got["archiveExpire"] != float64(until) ||
		at(got, "backup.guid") != guids[0] || at(got, "roleType.name") != "PRIMARY" || hintOf(guids[0]) != "STANDARD_RETENTION" {
		t.Errorf("the preview is %v, the hint %v", got, hintOf(guids[0]))
	}
	one(t, mark("", archive, demo))
	if b := good(h, http.MethodGet, "/backups/"+guids[0], "", demo); hintOf(guids[0]) != "ARCHIVE" || b["archiveExpire"] != float64(until) {
		t.Errorf("the hint is %v of %v", hintOf(guids[0]), b)
	}
	one(t, mark("", `{"guid":"`+guids[1]+`","retentionHint":"TO_REMOVE"}`, demo))
	h.Until("it is removed", func() bool { return len(polled(h, "/backups?status=SUCCESS")) == 2 })
	cleaned(h, 1)
	one(t, mark("", `[{"guid":"`+guids[0]+`","retentionHint":"STANDARD_RETENTION"}]`, demo))
	if hintOf(guids[0]) != "STANDARD_RETENTION" || hintOf(guids[2]) != "STANDARD_RETENTION" {
		t.Errorf("the hint is %v", hintOf(guids[0]))
	}
	for what, c := range map[string]struct {
		body   string
		status int
		who    func(*http.Request)
	}{
		"none":             {`[{"guid":"none","retentionHint":"ARCHIVE"}]`, 404, demo},
		"another's":        {`[{"guid":"` + guids[0] + `","retentionHint":"TO_REMOVE"}]`, 404, token("x:alt")},
		"one of two":       {`[{"guid":"` + guids[0] + `","retentionHint":"TO_REMOVE"},{"guid":"none","retentionHint":"TO_REMOVE"}]`, 404, demo},
		"no hint":          {`[{"guid":"` + guids[0] + `"}]`, 400, demo},
		"an odd hint":      {`[{"guid":"` + guids[0] + `","retentionHint":"RECREATE"}]`, 400, demo},
		"expired":          {`[{"guid":"` + guids[0] + `","retentionHint":"ARCHIVE","archiveExpire":1}]`, 400, demo},
		"no array":         {`"x"`, 400, demo},
		"a reader's":       {archive, 403, token("reader:demo")},
		"far in the years": {`[{"guid":"` + guids[0] + `","retentionHint":"ARCHIVE","archiveExpire":1e18}]`, 400, demo},
	} {
		a := mark("", c.body, c.who)
		if a.Status != c.status {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		wantFault(t, a, c.status, "")
	}
	if len(kept(h)) != 2 || strings.Contains(h.Dump("backups"), "TO_REMOVE") {
		t.Error("a mark was made all the same")
	}
}

// bells calls a function before each bell.
type bells struct {
	rpc.Transport
	before func()
}

func (b bells) Ring(ctx context.Context, queue string, bell rpc.Bell) error {
	b.before()
	return b.Transport.Ring(ctx, queue, bell)
}

// A cleanup reads what there is, and removes it one after the other: while the broker is
// away that takes its time.
func TestAMarkThatIsMadeDuringACleanupCounts(t *testing.T) {
	for _, c := range []struct{ policy, hint string }{{"", "DONT_TOUCH"}, {"", "STANDARD_RETENTION"}, {"gone", "DONT_TOUCH"}, {"gone", "ARCHIVE"}} {
		t.Run(c.policy+c.hint, func(t *testing.T) {
			h := clouded(t)
			h.Volume("10", 300_000)
			var all []stowage.Backup
			for range 2 {
				h.Until("the volume is free", func() bool { return h.VolumeStatus("10") == "available" })
				task := one(t, export(h, demo, `{"protectedEntities":["10"]}`))
				awaitTask(h, guidOf(task), "FINISHED")
				all = append(all, stowage.Backup{UUID: at(task, "backup.guid").(string), Mark: stowage.MarkRemove})
			}
			if err := h.DB.MarkBackups(t.Context(), db.Scope{}, all, nil, h.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			if err := h.Exec("UPDATE backups SET policy_id = ?", c.policy); err != nil {
				t.Fatal(err)
			}
			mark := func(b stowage.Backup) answer {
				return send(h, http.MethodPost, "/retention/mark-backups", fmt.Sprintf(`{"guid":%q,"retentionHint":%q}`, b.UUID, c.hint), demo)
			}
			statusOf := func(b stowage.Backup) stowage.BackupStatus {
				b, err := h.DB.BackupByUUID(t.Context(), db.Scope{}, b.UUID)
				if err != nil && stowage.CodeOf(err) != stowage.NotFound {
					t.Fatal(err)
				}
				return b.Status
			}
			verbs, rings, kept := *h.Verbs, 0, -1
			verbs.Transport = bells{h.Transport, func() {
				if rings++; rings > 1 {
					return
				}
				kept = slices.IndexFunc(all, func(b stowage.Backup) bool { return statusOf(b) == stowage.BackupAvailable })
				if a := mark(all[kept]); a.Status != http.StatusOK {
					t.Errorf("marked: %d %s", a.Status, a.Body)
				}
				// It may be gone by now.
				if a := mark(all[1-kept]); a.Status != http.StatusConflict && a.Status != http.StatusNotFound {
					t.Errorf("what is being deleted is to stay: %d %s", a.Status, a.Body)
				}
			}}
			n, err := verbs.Cleanup(t.Context(), stowage.Job{ProjectID: "demo", By: stowage.Origin{PolicyID: c.policy}})
			if err != nil || n != 1 || rings != 1 {
				t.Errorf("%d were removed, with %d bells: %v", n, rings, err)
			}
			h.Until("the other is gone", func() bool { return statusOf(all[1-kept]) == "" })
			if got := statusOf(all[kept]); got != stowage.BackupAvailable {
				t.Errorf("what is to stay is %q", got)
			}
		})
	}
}

// rowsBy are rows by their guids.
func rowsBy(t *testing.T, a answer) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, r := range rows(t, a) {
		out[guidOf(r)] = r
	}
	return out
}
