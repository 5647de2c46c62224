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

// daily has a policy with a daily report to a list of demo's, as of yesterday.
func daily(t *testing.T) (h *harness.Harness, policy string) {
	t.Helper()
	h = clouded(t)
	look(h)
	l := good(h, http.MethodPost, "/mailing-lists", `{"name":"Ops","recipients":["a@x.test","b@x.test"]}`, demo)
	s, _ := soon(h, "S", "FULL", "")
	p := policyOf(h, "Gold", `["10"]`, s, "")
	good(h, http.MethodPut, "/policies/vm-backup/"+guidOf(p), fmt.Sprintf(`{"name":"Gold","active":true,"dailyReportEnabled":true,"mailingList":{"guid":%q}}`, guidOf(l)), demo)
	if err := h.Exec(`UPDATE policies SET created_at = 1`); err != nil {
		t.Fatal(err)
	}
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

func TestManagersMailDailyReports(t *testing.T) {
	h, _ := daily(t)
	tomorrowAt(h, 7)
	h.Until("it is mailed", func() bool { return len(h.Post.Got()) > 0 })
	if got := h.Post.Got(); len(got) != 1 || !strings.Contains(got[0].HTML, "Daily report of policy Gold") {
		t.Errorf("the mails are %v", got)
	}
}
