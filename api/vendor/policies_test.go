package vendor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/internal/harness"
)

// good sends a request that must work, and gives the object it answers with.
func good(h *harness.Harness, method, path, body string, who func(*http.Request)) map[string]any {
	h.T.Helper()
	a := send(h, method, path, body, who)
	if a.Status != http.StatusOK {
		h.T.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	if strings.Contains(a.Body, "null") {
		h.T.Errorf("%s %s answers with a null: %s", method, path, a.Body)
	}
	return a.JSON(h.T)
}

func guidOf(object map[string]any) string { return object["guid"].(string) }

// What the user interface sends: a policy with its rule, whole objects, numbers as
// text, and an empty secondary destination.
const wholePolicy = `{"name":" Nightly ","active":true,"priority":"60","autoRemoveNonPresent":true,"backupRetryCount":"2",
	"autoAssignSettings":{"mode":{"name":"DISABLED","description":"Disabled"},"includeTags":[],"excludeTags":[],"includeRegExps":[],"excludeRegExps":[],"hvClusters":[],"projects":null},
	"vms":[{"guid":"10","name":"vol-10","vmBackupPolicy":null,"tags":[]},{"guid":"srv-1"}],"failRemainingBackupTasksExportThreshold":"50","dailyReportEnabled":false,"mailingList":null,
	"rules":[{"name":"Rule 1","active":true,"schedules":[{"guid":"%s","name":"x"}],"ruleBackupDestinations":[
		{"active":true,"roleType":{"name":"PRIMARY","description":"Primary"},"backupDestination":{"guid":"demo:nightly","name":"nightly"},
		 "backupRetentionSettings":{"retentionKeepLastNFull":"4","retentionKeepFullNewerThan":86400000.0,"retentionKeepLastNIncremental":30,"retentionKeepIncrementalNewerThan":null,"keepLastBackupWhenSourceStillExists":true}},
		{"roleType":{"name":"SECONDARY","description":"Secondary"},"backupDestination":{},"backupRetentionSettings":{}}]}]}`

const dailyAtTen = `{"name":"Daily","active":true,"type":{"name":"VM_BACKUP"},"backupType":{"name":"FULL"},"executionType":{"name":"TIME"},
	"hour":36000000,"startWindowLength":3600000,"interval":null,"daysOfWeek":[],"months":[],"dayOfWeekOccurrences":[],"rules":[]}`

func TestAPolicyIsMadeInOneStep(t *testing.T) {
	h := clouded(t)
	s := guidOf(good(h, http.MethodPost, "/schedules", dailyAtTen, demo))
	made := good(h, http.MethodPost, "/policies/vm-backup", fmt.Sprintf(wholePolicy, s), demo)
	p := good(h, http.MethodGet, "/policies/vm-backup/"+guidOf(made), "", demo)
	if fmt.Sprint(made) != fmt.Sprint(p) {
		t.Errorf("made %v\nis   %v", made, p)
	}
	rules := p["rules"].([]any)
	r := rules[0].(map[string]any)
	to := r["ruleBackupDestinations"].([]any)
	keep := to[0].(map[string]any)["backupRetentionSettings"].(map[string]any)
	if p["name"] != "Nightly" || p["priority"] != 60.0 || p["backupRetryCount"] != 2.0 || p["failRemainingBackupTasksExportThreshold"] != 50.0 ||
		p["autoRemoveNonPresent"] != true || p["tenantId"] != "demo" || at(p, "autoAssignSettings.mode.name") != "DISABLED" || len(p["vms"].([]any)) != 2 || len(rules) != 1 {
		t.Errorf("the policy is %v", p)
	}
	if r["name"] != "Rule 1" || len(to) != 1 || at(r, "policy.guid") != guidOf(p) || at(r["schedules"].([]any)[0].(map[string]any), "name") != "Daily" ||
		at(to[0].(map[string]any), "backupDestination.guid") != "demo:nightly" || at(to[0].(map[string]any), "roleType.name") != "PRIMARY" ||
		keep["retentionKeepLastNFull"] != 4.0 || keep["retentionKeepFullNewerThan"] != 86400000.0 || keep["retentionKeepLastNIncremental"] != 30.0 || keep["keepLastBackupWhenSourceStillExists"] != true {
		t.Errorf("the rule is %v", r)
	}
	// Sent back whole, it stays what it is.
	a := send(h, http.MethodGet, "/policies/vm-backup/"+guidOf(p), "", demo)
	if again := good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), a.Body, demo); fmt.Sprint(again) != fmt.Sprint(p) {
		t.Errorf("sent back it is %v", again)
	}
	// Without rules and entities, those stay.
	again := good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), `{"name":"Other","priority":70}`, demo)
	if again["name"] != "Other" || len(again["rules"].([]any)) != 1 || len(again["vms"].([]any)) != 2 {
		t.Errorf("changed it is %v", again)
	}
	row := one(t, send(h, http.MethodGet, "/policies/vm-backup?extended=true&showLoader=true", "", demo))
	if row["name"] != "Other" || row["vmCount"] != 2.0 || row["ruleCount"] != 1.0 || at(row, "autoAssignMode.name") != "DISABLED" || len(row["rules"].([]any)) != 1 {
		t.Errorf("the row is %v", row)
	}
}

// The older panel and the guide: first the policy, then its rule, with bare guids.
// A script that renames a policy lifts no hold.
func TestAPolicyKeepsWhatIsNotSaid(t *testing.T) {
	h := clouded(t)
	list := good(h, http.MethodPost, "/mailing-lists", `{"name":"us","recipients":["us@example.org"]}`, demo)
	p := good(h, http.MethodPost, "/policies/vm-backup", `{"name":"P","active":false,"priority":60,"autoRemoveNonPresent":true,"backupRetryCount":2,
		"autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["gold"]},"failRemainingBackupTasksExportThreshold":50,"failRemainingBackupTasksStoreThreshold":40,
		"dailyReportEnabled":true,"mailingList":{"guid":"`+guidOf(list)+`"},"disableCleanOldBackups":true,"quiesceBeforeSnapshot":true,
		"rules":[{"name":"r"}],"vms":["10"]}`, demo)
	path := "/policies/vm-backup/" + guidOf(p)
	for _, body := range []string{`{}`, `{"active":null,"priority":"","name":null,"autoAssignSettings":null}`} {
		if got := good(h, http.MethodPut, path, body, demo); fmt.Sprint(got) != fmt.Sprint(p) {
			t.Errorf("%s: it is\n%v, and was\n%v", body, got, p)
		}
	}
	got := good(h, http.MethodPut, path, `{"name":"Q","active":"true","mailingList":null,"dailyReportEnabled":false,"disableCleanOldBackups":false,
		"backupRetryCount":null,"failRemainingBackupTasksStoreThreshold":"","autoAssignSettings":{"mode":"DISABLED"},"vms":[]}`, demo)
	if got["name"] != "Q" || got["active"] != true || got["mailingList"] != nil || got["dailyReportEnabled"] != false || got["disableCleanOldBackups"] != false ||
		got["backupRetryCount"] != 0.0 || got["failRemainingBackupTasksStoreThreshold"] != 0.0 || got["failRemainingBackupTasksExportThreshold"] != 50.0 ||
		at(got, "autoAssignSettings.mode.name") != "DISABLED" || len(got["vms"].([]any)) != 0 || got["quiesceBeforeSnapshot"] != true || got["priority"] != 60.0 {
		t.Errorf("it is %v", got)
	}
}

// Lists name rules by guid and name, and clients send back what they have read.
func TestARuleThatIsOnlyNamedStaysAsItIs(t *testing.T) {
	h := clouded(t)
	s := good(h, http.MethodPost, "/schedules", strings.Replace(dailyAtTen, `"active":true`, `"active":false`, 1), demo)
	made := good(h, http.MethodPost, "/policies/vm-backup", fmt.Sprintf(wholePolicy, guidOf(s)), demo)
	rule := made["rules"].([]any)[0].(map[string]any)
	good(h, http.MethodPut, "/rules/vm-backup/"+guidOf(rule), `{"active":false}`, demo)
	was := good(h, http.MethodGet, "/policies/vm-backup/"+guidOf(made), "", demo)
	for _, rules := range []string{`[{"guid":"` + guidOf(rule) + `","name":"Rule 1"}]`, `[{"guid":"` + guidOf(rule) + `"}]`} {
		if got := good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(made), `{"rules":`+rules+`}`, demo); fmt.Sprint(got) != fmt.Sprint(was) {
			t.Errorf("%s: it is\n%v, and was\n%v", rules, got, was)
		}
	}
	whole := strings.Replace(dailyAtTen, `"active":true,`, "", 1)
	if got := good(h, http.MethodPut, "/schedules/"+guidOf(s), whole, demo); got["active"] != false {
		t.Errorf("the schedule is %v", got)
	}
	if got := good(h, http.MethodPost, "/schedules", strings.Replace(whole, "Daily", "Other", 1), demo); got["active"] != true {
		t.Errorf("another schedule is %v", got)
	}
}

func TestAPolicyIsMadeInTwoSteps(t *testing.T) {
	h := clouded(t)
	s := guidOf(good(h, http.MethodPost, "/schedules", `{"name":"S","type":"VM_BACKUP","backupType":"INCREMENTAL","executionType":"TIME","hour":18000000.0,
		"startWindowLength":10800000.0,"daysOfWeek":["MONDAY"],"months":["JANUARY"],"dayOfWeekOccurrences":["LAST_IN_MONTH"],"rules":[],"tenantId":"demo"}`, portal))
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"P","priority":50,"autoAssignSettings":{"mode":"DISABLED"},"vms":["10"],"tenantId":"demo"}`, portal))
	r := good(h, http.MethodPost, "/rules/vm-backup", `{"name":"Default","schedules":["`+s+`"],"backupDestinations":["demo:volumebackups"],"policy":"`+p+`"}`, portal)
	if r["name"] != "Default" || at(r, "policy.name") != "P" || len(r["schedules"].([]any)) != 1 {
		t.Errorf("the rule is %v", r)
	}
	for _, path := range []string{"/rules/vm-backup?rule=" + p, "/rules/vm-backup?policy=" + p} {
		if got := one(t, send(h, http.MethodGet, path, "", demo)); got["guid"] != r["guid"] {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := rows(t, send(h, http.MethodGet, "/rules/vm-backup?policy=other", "", demo)); len(got) != 0 {
		t.Errorf("of another policy: %v", got)
	}
	whole := send(h, http.MethodGet, "/rules/vm-backup/"+guidOf(r)+"?only-active-destinations=false", "", demo).Body
	if again := good(h, http.MethodPut, "/rules/vm-backup/"+guidOf(r), whole, demo); fmt.Sprint(again) != fmt.Sprint(r) {
		t.Errorf("sent back it is %v", again)
	}
	if got := one(t, withTotal(send(h, http.MethodPost, "/policies/vm-backup/list-by-entities", `{"protectedEntities":["10"]}`, demo))); guidOf(got) != p || len(got["rules"].([]any)) != 1 {
		t.Errorf("by entity: %v", got)
	}
	if a := send(h, http.MethodDelete, "/rules/vm-backup/"+guidOf(r), "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantFault(t, send(h, http.MethodGet, "/rules/vm-backup/"+guidOf(r), "", demo), http.StatusNotFound, "")
	good(h, http.MethodPost, "/rules/vm-backup", `{"name":"Again","policy":{"guid":"`+p+`"}}`, demo)
	if a := send(h, http.MethodDelete, "/policies/vm-backup/"+p, "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if got := rows(t, send(h, http.MethodGet, "/rules/vm-backup", "", portal)); len(got) != 0 {
		t.Errorf("rules outlived their policy: %v", got)
	}
	if v := send(h, http.MethodGet, "/virtual-machines/10", "", demo).JSON(t); v["vmBackupPolicy"] != nil {
		t.Errorf("the entity is still in it: %v", v)
	}
}

func TestAnEntityHasOnePolicyAtMost(t *testing.T) {
	h := clouded(t)
	policy := func(name, vms string) string {
		return guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"`+name+`","vms":`+vms+`}`, demo))
	}
	of := func() any {
		return at(send(h, http.MethodGet, "/virtual-machines/10", "", demo).JSON(t), "vmBackupPolicy.name")
	}
	first, second := policy("first", `["10","srv-1"]`), policy("second", `["10"]`)
	if got := good(h, http.MethodGet, "/policies/vm-backup/"+first, "", demo)["vms"].([]any); len(got) != 1 || of() != "second" {
		t.Errorf("the first has %v, it is in %v", got, of())
	}
	good(h, http.MethodPut, "/virtual-machines/10/settings", `{"guid":"10","vmBackupPolicy":{"guid":"`+first+`"},"quiesceBeforeSnapshot":false}`, demo)
	if of() != "first" {
		t.Errorf("it is in %v", of())
	}
	if got := names(rows(t, send(h, http.MethodGet, "/virtual-machines?filter=firs", "", demo))); len(got) != 2 {
		t.Errorf("by the policy's name: %v", got)
	}
	good(h, http.MethodPut, "/virtual-machines/10/settings", `{"vmBackupPolicy":null}`, demo)
	if v := good(h, http.MethodGet, "/virtual-machines/10", "", demo); v["vmBackupPolicy"] != nil {
		t.Errorf("it is still in %v", v)
	}
	good(h, http.MethodPut, "/policies/vm-backup/"+second, `{"name":"second","vms":[]}`, demo)
	wantFault(t, send(h, http.MethodPut, "/virtual-machines/10/settings", `{"vmBackupPolicy":"none"}`, demo), http.StatusNotFound, "Policy")
}

// The older panel names the tenant in the schedule and in the rule's destination, and not
// in the policy between them.
func TestAPolicyIsWhoseItsFirstRuleSays(t *testing.T) {
	h := clouded(t)
	const daily = `{"name":%q,"type":"VM_BACKUP","backupType":"FULL","executionType":"TIME","hour":18000000.0,"startWindowLength":10800000.0,"tenantId":%q}`
	s := guidOf(good(h, http.MethodPost, "/schedules", fmt.Sprintf(daily, "S", "demo"), portal))
	others := guidOf(good(h, http.MethodPost, "/schedules", fmt.Sprintf(daily, "S", "alt"), portal))
	policy := func(name, more string) string {
		return guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"`+name+`","priority":50,"autoRemoveNonPresent":true`+more+`}`, portal))
	}
	const off = `,"autoAssignSettings":{"mode":"DISABLED"},"vms":["10"]`
	rule := func(p, schedule, destination string) answer {
		return send(h, http.MethodPost, "/rules/vm-backup", `{"name":"Default","schedules":["`+schedule+`"],"backupDestinations":["`+destination+`"],"policy":"`+p+`"}`, portal)
	}
	p := policy("P", off)
	wantFault(t, send(h, http.MethodGet, "/policies/vm-backup/"+p, "", demo), http.StatusNotFound, "")
	if r := rule(p, s, "demo:volumebackups").JSON(t); at(r, "policy.name") != "P" || len(r["schedules"].([]any)) != 1 {
		t.Fatalf("the rule is %v", r)
	}
	if got := good(h, http.MethodGet, "/policies/vm-backup/"+p, "", demo); got["tenantId"] != "demo" || len(got["rules"].([]any)) != 1 {
		t.Errorf("the policy is %v", got)
	}
	// What is not one project's stays the operator's.
	for name, more := range map[string]string{
		"of two":       `,"vms":["srv-1","srv-2"]`,
		"of another":   `,"vms":["srv-2"]`,
		"of nobody":    `,"vms":[]`,
		"comes itself": `,"vms":["srv-1"],"autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["x"]}`,
	} {
		p := policy(name, more)
		wantFault(t, rule(p, s, "demo:volumebackups"), http.StatusBadRequest, "another project")
		wantFault(t, send(h, http.MethodGet, "/policies/vm-backup/"+p, "", demo), http.StatusNotFound, "")
	}
	wantFault(t, rule(policy("mixed", `,"vms":["srv-1"]`), others, "demo:volumebackups"), http.StatusBadRequest, "another project")
	ruled := policy("ruled", `,"vms":["srv-1"],"rules":[{"name":"R"}]`)
	wantFault(t, rule(ruled, s, "volumebackups"), http.StatusBadRequest, "another project")
	wantFault(t, rule(policy("P", `,"vms":["srv-1"]`), s, "volumebackups"), http.StatusConflict, "of that name")
}

func TestARuleKeepsWhatIsNotNamed(t *testing.T) {
	h := clouded(t)
	s := guidOf(good(h, http.MethodPost, "/schedules", dailyAtTen, demo))
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"P","vms":["10"]}`, demo))
	path := "/rules/vm-backup/" + guidOf(good(h, http.MethodPost, "/rules/vm-backup", `{"name":"R","active":false,"schedules":["`+s+`"],"policy":"`+p+`"}`, demo))
	got := good(h, http.MethodPut, path, `{"ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"demo:volumebackups","backupRetentionSettings":{"retentionKeepLastNFull":2}}]}`, demo)
	if got["name"] != "R" || got["active"] != false || len(got["schedules"].([]any)) != 1 || at(got["ruleBackupDestinations"].([]any)[0], "backupRetentionSettings.retentionKeepLastNFull") != 2.0 {
		t.Errorf("with a retention it is %v", got)
	}
	if got = good(h, http.MethodPut, path, `{"active":true,"schedules":[]}`, demo); got["active"] != true || len(got["schedules"].([]any)) != 0 ||
		at(got["ruleBackupDestinations"].([]any)[0], "backupRetentionSettings.retentionKeepLastNFull") != 2.0 {
		t.Errorf("without schedules it is %v", got)
	}
}

// What the operator protects, a tenant does not take out; he sees by which rules it is.
func TestNobodyLeavesTheOperatorsPolicy(t *testing.T) {
	h := clouded(t)
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"all","vms":["srv-1","srv-2"],"autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["secret"]},
		"rules":[{"name":"R","ruleBackupDestinations":[{"roleType":"PRIMARY","backupDestination":"volumebackups"}]}]}`, portal))
	wantFault(t, send(h, http.MethodPut, "/virtual-machines/srv-1/settings", `{"guid":"srv-1","vmBackupPolicy":null}`, demo), http.StatusForbidden, "operator")
	own := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"own","vms":["10"]}`, demo))
	wantFault(t, send(h, http.MethodPut, "/virtual-machines/srv-1/settings", `{"vmBackupPolicy":"`+own+`"}`, demo), http.StatusForbidden, "operator")
	wantFault(t, send(h, http.MethodPost, "/policies/vm-backup", `{"name":"mine","vms":["srv-1"]}`, demo), http.StatusForbidden, "operator")
	wantFault(t, send(h, http.MethodPut, "/policies/vm-backup/"+own, `{"name":"own","vms":["10","srv-1"]}`, demo), http.StatusForbidden, "operator")
	wantFault(t, send(h, http.MethodPost, "/policies/vm-backup", `{"name":"mine","vms":["srv-2"]}`, demo), http.StatusNotFound, "srv-2")
	if got := good(h, http.MethodGet, "/policies/vm-backup/"+p, "", portal)["vms"].([]any); len(got) != 2 {
		t.Errorf("left are %v", got)
	}
	for _, who := range []func(*http.Request){demo, portal} {
		got := one(t, withTotal(send(h, http.MethodPost, "/policies/vm-backup/list-by-entities", `{"protectedEntities":["srv-1"]}`, who)))
		if guidOf(got) != p || len(got["rules"].([]any)) != 1 || at(got["rules"].([]any)[0].(map[string]any)["ruleBackupDestinations"].([]any)[0], "backupDestination.guid") != "volumebackups" {
			t.Errorf("of his server: %v", got)
		}
	}
	asTenant := send(h, http.MethodPost, "/policies/vm-backup/list-by-entities", `{"protectedEntities":["srv-1","srv-2"]}`, demo)
	if got := one(t, withTotal(asTenant)); len(got["vms"].([]any)) != 1 || got["vmCount"] != 1.0 || strings.Contains(asTenant.Body, "srv-2") || strings.Contains(asTenant.Body, "secret") {
		t.Errorf("a tenant sees %s", asTenant.Body)
	}
	if got := rows(t, withTotal(send(h, http.MethodPost, "/policies/vm-backup/list-by-entities", `{"protectedEntities":["srv-2"]}`, demo))); len(got) != 0 {
		t.Errorf("of another's: %v", got)
	}
	// The operator may.
	good(h, http.MethodPut, "/virtual-machines/srv-1/settings", `{"guid":"srv-1","vmBackupPolicy":null}`, portal)
	good(h, http.MethodPut, "/policies/vm-backup/"+own, `{"name":"own","vms":["10","srv-1"]}`, demo)
}

func TestPoliciesAreTheProjectsOwn(t *testing.T) {
	h := clouded(t)
	alt := token("x:alt")
	s := guidOf(good(h, http.MethodPost, "/schedules", dailyAtTen, demo))
	p := good(h, http.MethodPost, "/policies/vm-backup", fmt.Sprintf(wholePolicy, s), demo)
	r := p["rules"].([]any)[0].(map[string]any)
	for _, path := range []string{"/policies/vm-backup/" + guidOf(p), "/rules/vm-backup/" + guidOf(r), "/schedules/" + s} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			body := `{"name":"x"}`
			if strings.HasPrefix(path, "/schedules") {
				body = dailyAtTen
			}
			wantFault(t, send(h, method, path, body, alt), http.StatusNotFound, "")
		}
		good(h, http.MethodGet, path, "", portal)
	}
	for _, path := range []string{"/policies/vm-backup", "/rules/vm-backup", "/schedules"} {
		if got := rows(t, send(h, http.MethodGet, path, "", alt)); len(got) != 0 {
			t.Errorf("%s: another sees %v", path, got)
		}
		if got := rows(t, send(h, http.MethodGet, path+"?tenant-id=alt", "", portal)); len(got) != 0 {
			t.Errorf("%s: of the other project there are %v", path, got)
		}
		one(t, send(h, http.MethodGet, path+"?tenantid=demo", "", portal))
	}
	for body, status := range map[string]int{
		`{"name":"a","vms":["10"]}`: 404, `{"name":"a","tenantId":"demo"}`: 404, `{"name":"a","rules":[{"schedules":["` + s + `"]}]}`: 404,
		`{"name":"a","rules":[{"backupDestinations":["demo:x"]}]}`: 400,
	} {
		wantFault(t, send(h, http.MethodPost, "/policies/vm-backup", body, alt), status, "")
	}
	wantFault(t, send(h, http.MethodPost, "/rules/vm-backup", `{"policy":"`+guidOf(p)+`"}`, alt), 404, "Policy")
	wantFault(t, send(h, http.MethodPost, "/schedules", strings.Replace(dailyAtTen, `"rules":[]`, `"rules":["`+guidOf(r)+`"]`, 1), alt), 404, "Rule")
	wantFault(t, send(h, http.MethodPost, "/policies/vm-backup", `{"name":"a"}`, token("reader:demo")), http.StatusForbidden, "Policy")
	// The integration account acts for one project at a time, and does not mix them.
	wantFault(t, send(h, http.MethodPost, "/policies/vm-backup", `{"name":"a","tenantId":"alt","vms":["10"]}`, portal), 404, "")
	// What it makes for nobody in particular is the operator's, for anybody's entities.
	own := good(h, http.MethodPost, "/policies/vm-backup", `{"name":"gold","vms":["10","srv-2"]}`, portal)
	if own["tenantId"] != nil || len(own["vms"].([]any)) != 2 {
		t.Errorf("the operator's is %v", own)
	}
	wantFault(t, send(h, http.MethodGet, "/policies/vm-backup/"+guidOf(own), "", demo), http.StatusNotFound, "")
	if got := at(good(h, http.MethodGet, "/virtual-machines/10", "", demo), "vmBackupPolicy.name"); got != "gold" {
		t.Errorf("the tenant does not see by what his volume is protected: %v", got)
	}
}

func TestANameIsOfOnePolicyOfAProject(t *testing.T) {
	h := clouded(t)
	for _, path := range []string{"/policies/vm-backup", "/schedules"} {
		body := strings.Replace(dailyAtTen, "Daily", "Twice", 1)
		first := good(h, http.MethodPost, path, body, demo)
		wantFault(t, send(h, http.MethodPost, path, body, demo), http.StatusConflict, "named Twice already")
		good(h, http.MethodPost, path, body, token("x:alt"))
		good(h, http.MethodPut, path+"/"+guidOf(first), body, demo)
		other := good(h, http.MethodPost, path, strings.Replace(body, "Twice", "Other", 1), demo)
		wantFault(t, send(h, http.MethodPut, path+"/"+guidOf(other), body, demo), http.StatusConflict, "named Twice already")
	}
}

func TestPoliciesThatMakeNoSenseAreRefused(t *testing.T) {
	h := clouded(t)
	for what, c := range map[string]struct{ body, message string }{
		"no name":               {`{}`, "name"},
		"a long name":           {`{"name":"` + strings.Repeat("x", 256) + `"}`, "name"},
		"a priority":            {`{"name":"a","priority":101}`, "priority"},
		"a priority of letters": {`{"name":"a","priority":"high"}`, "body"},
		"a threshold":           {`{"name":"a","failRemainingBackupTasksStoreThreshold":101}`, "threshold"},
		"a mode":                {`{"name":"a","autoAssignSettings":{"mode":"SOMETIMES"}}`, "mode"},
		"no expression":         {`{"name":"a","autoAssignSettings":{"mode":"ASSIGN_ONLY","includeRegExps":["("]}}`, "regular expression"},
		"one that looks behind": {`{"name":"a","autoAssignSettings":{"includeRegExps":["(?<!a)b"]}}`, "regular expression"},
		"one that is too long":  {`{"name":"a","autoAssignSettings":{"includeRegExps":["` + strings.Repeat("x", 256) + `"]}}`, "bytes"},
		"one that explodes":     {`{"name":"a","autoAssignSettings":{"includeRegExps":["((((x{100}){100}){100}){100})"]}}`, "regular expression"},
		"too many":              {`{"name":"a","autoAssignSettings":{"includeRegExps":[` + strings.Repeat(`"x",`, 100) + `"x"]}}`, "at most"},
		"a lock":                {`{"name":"a","rules":[{"name":"r","daysToKeepRetentionLock":"30"}]}`, "nobody can lock"},
		"a locked destination":  {`{"name":"a","rules":[{"ruleBackupDestinations":[{"roleType":"PRIMARY","daysToKeepRetentionLock":1}]}]}`, "nobody can lock"},
		"two at once":           {`{"name":"a","rules":[{"backupDestinations":["demo:x","demo:y"]}]}`, "one destination"},
		"a second destination":  {`{"name":"a","rules":[{"ruleBackupDestinations":[{"active":true,"roleType":"SECONDARY","backupDestination":"demo:x"}]}]}`, "one place"},
		"a retention":           {`{"name":"a","rules":[{"ruleBackupDestinations":[{"roleType":"PRIMARY","backupRetentionSettings":{"retentionKeepLastNFull":-1}}]}]}`, "retention"},
		"a destination":         {`{"name":"a","rules":[{"backupDestinations":["demo:a/b"]}]}`, "destination"},
		"too many rules":        {`{"name":"a","rules":[` + strings.Repeat(`{},`, 50) + `{}]}`, "rules at most"},
		"a rule's long name":    {`{"name":"a","rules":[{"name":"` + strings.Repeat("x", 256) + `"}]}`, "name"},
	} {
		a := send(h, http.MethodPost, "/policies/vm-backup", c.body, demo)
		if a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		wantFault(t, a, http.StatusBadRequest, c.message)
	}
	if got := rows(t, send(h, http.MethodGet, "/policies/vm-backup", "", portal)); len(got) != 0 {
		t.Errorf("made all the same: %v", got)
	}
}

func TestEntitiesComeByThemselves(t *testing.T) {
	h := clouded(t)
	h.Nova.Set(cloud.Server{ID: "srv-3", ProjectID: "demo", Name: "web-test", Status: "ACTIVE", Zone: "other", Tags: []string{"gold", "test"}}, h.Clock.Now())
	look(h)
	preview := func(settings string) string {
		a := withTotal(send(h, http.MethodPost, "/policies/vm-backup/auto-assignment-preview", `{"name":"x","autoAssignSettings":`+settings+`}`, demo))
		var out []string
		for _, v := range rows(t, a) {
			out = append(out, fmt.Sprint(at(v, "protectedEntity.name"), " ", at(v, "changeType.name"), " ", at(v, "changeReason.name")))
		}
		return strings.Join(out, ", ")
	}
	for settings, want := range map[string]string{
		`{"mode":{"name":"ASSIGN_ONLY"},"includeTags":["gold"]}`:                                "web ASSIGN INCLUDED_TAG, web-test ASSIGN INCLUDED_TAG",
		`{"mode":"ASSIGN_ONLY","includeTags":["gold"],"excludeTags":["test"]}`:                  "web ASSIGN INCLUDED_TAG",
		`{"mode":"ASSIGN_ONLY","includeRegExps":["^web"],"excludeRegExps":["-test$"]}`:          "web ASSIGN INCLUDED_NAME",
		`{"mode":"ASSIGN_ONLY","includeRegExps":["^(vol|web)"],"hvClusters":[{"guid":"nova"}]}`: "web ASSIGN INCLUDED_NAME",
		`{"mode":"ASSIGN_ONLY","includeRegExps":["."],"projects":["alt"]}`:                      "",
		`{"mode":"ASSIGN_ONLY","includeRegExps":["db"]}`:                                        "", // another project's
		`{"mode":"ASSIGN_ONLY"}`:                     "", // nothing speaks for any
		`{"mode":"DISABLED","includeTags":["gold"]}`: "",
	} {
		if got := preview(settings); got != want {
			t.Errorf("%s: %s, want %s", settings, got, want)
		}
	}
	of := func(id string) any {
		return at(good(h, http.MethodGet, "/virtual-machines/"+id, "", demo), "vmBackupPolicy.name")
	}
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"auto","autoAssignSettings":{"mode":"ASSIGN_AND_REMOVE","includeTags":["gold"]},"executeAutoAssignmentAfterSavingPolicy":true,"vms":["10"]}`, demo))
	if of("srv-1") != "auto" || of("srv-3") != "auto" || of("10") != "auto" {
		t.Errorf("they are in %v, %v, %v", of("srv-1"), of("srv-3"), of("10"))
	}
	good(h, http.MethodPost, "/policies/vm-backup", `{"name":"late","autoAssignSettings":{"mode":"ASSIGN_ONLY","includeTags":["gold","new"]},"executeAutoAssignmentAfterSavingPolicy":true}`, demo)
	if of("srv-1") != "auto" {
		t.Errorf("one policy took it from another: %v", of("srv-1"))
	}
	// It loses its tag: it goes with the next look, and whoever was put there by hand stays.
	h.Nova.Set(cloud.Server{ID: "srv-3", ProjectID: "demo", Name: "web-test", Status: "ACTIVE", Tags: []string{"new"}}, h.Clock.Now())
	a := withTotal(send(h, http.MethodPost, "/policies/vm-backup/"+p+"/auto-assignment-preview", `{"name":"auto","autoAssignSettings":{"mode":"ASSIGN_AND_REMOVE","includeTags":["new"]}}`, demo))
	leave := rows(t, a)
	for _, got := range leave {
		if at(got, "changeType.name") != "REMOVE" || at(got, "changeReason.name") != "NO_LONGER_INCLUDED" {
			t.Errorf("the preview has %v", got)
		}
	}
	if len(leave) != 2 { // and not the one that was put there by hand
		t.Errorf("the preview is %v", leave)
	}
	look(h)
	h.Until("it went to the policy that wants it", func() bool { return of("srv-3") == "late" })
	if of("srv-1") != "auto" || of("10") != "auto" {
		t.Errorf("they are in %v, %v", of("srv-1"), of("10"))
	}
}

func TestWhoIsGoneLeavesThePolicyThatWantsNoSuch(t *testing.T) {
	h := clouded(t)
	h.Nova.Set(cloud.Server{ID: "srv-4", ProjectID: "demo", Name: "mail", Status: "ACTIVE"}, h.Clock.Now())
	look(h)
	good(h, http.MethodPost, "/policies/vm-backup", `{"name":"stay","vms":["srv-1"]}`, demo)
	p := guidOf(good(h, http.MethodPost, "/policies/vm-backup", `{"name":"go","vms":["srv-4"],"autoRemoveNonPresent":true}`, demo))
	for _, id := range []string{"srv-1", "srv-4"} {
		h.Nova.Set(cloud.Server{ID: id, ProjectID: "demo", Name: id, Deleted: true}, h.Clock.Now())
	}
	look(h)
	h.Until("it has left", func() bool {
		return len(good(h, http.MethodGet, "/policies/vm-backup/"+p, "", demo)["vms"].([]any)) == 0
	})
	if got := at(good(h, http.MethodGet, "/virtual-machines/srv-1", "", demo), "vmBackupPolicy.name"); got != "stay" {
		t.Errorf("the other one is in %v", got)
	}
}
