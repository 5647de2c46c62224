package vendor_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
)

// daily has a policy with a daily report to a list of demo's, as of today.
func daily(t *testing.T) (h *harness.Harness, policy string) {
	t.Helper()
	h = clouded(t)
	look(h)
	l := good(h, http.MethodPost, "/mailing-lists", `{"name":"Ops","recipients":["a@x.test","b@x.test"]}`, demo)
	s, _ := soon(h, "S", "FULL", "")
	p := policyOf(h, "Gold", `["10"]`, s, "")
	good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), fmt.Sprintf(`{"name":"Gold","active":true,"dailyReportEnabled":true,"mailingList":{"guid":%q}}`, guidOf(l)), demo)
	return h, guidOf(p)
}

// tomorrowAt lets it become an hour of the next day.
func tomorrowAt(h *harness.Harness, hour int) {
	now := h.Clock.Now().UTC()
	h.Clock.Step(now.Truncate(24 * time.Hour).Add(time.Duration(24+hour)*time.Hour + time.Minute).Sub(now))
}

func mailAll(h *harness.Harness) {
	h.T.Helper()
	if err := h.Verbs.MailDailyReports(h.T.Context(), 6*time.Hour); err != nil {
		h.T.Fatal(err)
	}
}

// mailed waits until there are as many mails, of whoever was quickest; the manager of
// the test is one of them. Then there are no more.
func mailed(h *harness.Harness, n int) {
	h.T.Helper()
	mailAll(h)
	h.Until(fmt.Sprintf("there are %d mails", n), func() bool { return len(h.Post.Got()) >= n })
	mailAll(h)
	if got := h.Post.Got(); len(got) != n {
		h.T.Fatalf("there are %d mails, not %d", len(got), n)
	}
}

func TestADailyReportIsMailedOnceByWhicheverManager(t *testing.T) {
	h, policy := daily(t)
	yesterday := h.Clock.Now().UTC()
	tomorrowAt(h, 5)
	if err := h.Exec(`UPDATE policies SET created_at = 1`); err != nil {
		t.Fatal(err)
	}
	const early = 1 // that of the day before: this day is not yet told of
	mailed(h, early)
	tomorrowAt(h, -24+6)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := h.Verbs.MailDailyReports(t.Context(), 6*time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	mailed(h, early+1)
	got := h.Post.Got()[early:]
	if len(got) != 1 || got[0].Subject != "Daily report of policy Gold, "+yesterday.Format(time.DateOnly) || fmt.Sprint(got[0].To) != "[a@x.test b@x.test]" ||
		got[0].ID != policy+" "+yesterday.Format(time.DateOnly) {
		t.Fatalf("the mails are %v", got)
	}
	tomorrowAt(h, 12)
	mailed(h, early+2)
}

func TestADailyReportThatCannotBeMailedIsTriedAgain(t *testing.T) {
	h, _ := daily(t)
	h.Post.Fail(stowage.Errorf(stowage.Unavailable, "not now"))
	tomorrowAt(h, 7)
	mailAll(h)
	h.Until("it was tried", func() bool { return h.LogContains("will be tried again\" policy=") })
	h.Post.Fail(nil)
	mailAll(h)
	if got := h.Post.Got(); len(got) != 0 {
		t.Errorf("it is tried at once: %v", got)
	}
	h.Clock.Step(11 * time.Minute)
	mailed(h, 1)
}

func TestADailyReportThatIsRefusedIsNot(t *testing.T) {
	h, _ := daily(t)
	h.Post.Fail(stowage.Errorf(stowage.Invalid, "no such user"))
	tomorrowAt(h, 7)
	mailAll(h)
	h.Until("it was tried", func() bool { return h.LogContains("daily report not mailed") })
	h.Post.Fail(nil)
	h.Clock.Step(time.Hour)
	mailAll(h)
	if got := h.Post.Got(); len(got) != 0 || !h.LogContains("daily report not mailed") {
		t.Errorf("it was tried again: %v", got)
	}
}

func TestADailyReportGoesToNoOtherProjectsList(t *testing.T) {
	h, _ := daily(t)
	if err := h.Exec(`UPDATE mailing_lists SET project_id = 'alt'`); err != nil {
		t.Fatal(err)
	}
	tomorrowAt(h, 7)
	mailAll(h)
	if got := h.Post.Got(); len(got) != 0 {
		t.Errorf("it got %v", got)
	}
}

func TestTheReportOfAnOperatorsPolicyGoesToAListOfHisOnly(t *testing.T) {
	h := clouded(t)
	list := func(name string, who func(*http.Request)) string {
		return guidOf(good(h, http.MethodPost, "/mailing-lists", fmt.Sprintf(`{"name":%q,"recipients":["%s@x.test"]}`, name, name), who))
	}
	mine, theirs := list("mine", portal), list("theirs", demo)
	body := func(name, list string) string {
		return fmt.Sprintf(`{"name":%q,"dailyReportEnabled":true,"mailingList":{"guid":%q}}`, name, list)
	}
	p := "/policies/vm-backup/" + guidOf(good(h, http.MethodPost, "/policies/vm-backup", body("all", mine), portal))
	tenants := "/policies/vm-backup/" + guidOf(good(h, http.MethodPost, "/policies/vm-backup", body("own", theirs), demo))
	for what, c := range map[string]struct {
		method, path, list string
		who                func(*http.Request)
	}{
		"a new one of the operator's": {http.MethodPost, "/policies/vm-backup", theirs, portal},
		"one of the operator's":       {http.MethodPut, p, theirs, portal},
		"a new one of a tenant's":     {http.MethodPost, "/policies/vm-backup", mine, demo},
		"one of a tenant's":           {http.MethodPut, tenants, mine, demo},
		"one of no list there is":     {http.MethodPut, tenants, "none", demo},
	} {
		if a := send(h, c.method, c.path, body("x", c.list), c.who); a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "Mailing list") {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	if a := send(h, http.MethodDelete, tenants, "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	tomorrowAt(h, 7)
	mailed(h, 1)
	if got := h.Post.Got()[0]; fmt.Sprint(got.To) != "[mine@x.test]" {
		t.Errorf("it went to %v", got.To)
	}
	// One that names a tenant's all the same is not mailed, and whoever changes something else is not held up.
	if err := h.Exec(`UPDATE mailing_lists SET project_id = 'demo'`); err != nil {
		t.Fatal(err)
	}
	good(h, http.MethodPut, p, body("all of them", mine), portal)
	tomorrowAt(h, 7)
	mailAll(h)
	h.Until("the log says so", func() bool { return h.LogContains("daily report not mailed") })
	if got := h.Post.Got(); len(got) != 1 {
		t.Errorf("it got %v", got)
	}
}

func TestManagersMailDailyReports(t *testing.T) {
	h, _ := daily(t)
	tomorrowAt(h, 7)
	h.Until("it is mailed", func() bool { return len(h.Post.Got()) > 0 })
	if got := h.Post.Got(); len(got) != 1 || !strings.Contains(got[0].HTML, "Daily report of policy Gold") {
		t.Errorf("the mails are %v", got)
	}
}
