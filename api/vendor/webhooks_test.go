package vendor_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
	"github.com/stowage/stowage/webhook"
)

// receiver is what a tenant has that is told of events.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []map[string]any
	raw    []string // signature and body
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		var e map[string]any
		if err != nil || json.Unmarshal(body, &e) != nil || q.Header.Get("Content-Type") != webhook.ContentType {
			t.Errorf("it is told %s of %s: %v", body, q.Header.Get("Content-Type"), err)
		}
		w.WriteHeader(r.status)
		if r.status/100 == 2 {
			r.got, r.raw = append(r.got, e), append(r.raw, q.Header.Get(webhook.SignatureHeader)+" "+string(body))
		} else {
			fmt.Fprint(w, "not now")
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// told are the kinds of events that came, in the order in which they came.
func (r *receiver) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.got {
		out = append(out, strings.TrimPrefix(e["type"].(string), "io.stowage."))
	}
	return strings.Join(out, " ")
}

// made makes a webhook, once a manager has told to what key secrets are sealed.
func made(h *harness.Harness, body string) map[string]any {
	h.T.Helper()
	var a answer
	h.Until("a webhook can be made", func() bool {
		a = send(h, http.MethodPost, "/webhooks", body, demo)
		return a.Status != http.StatusServiceUnavailable
	})
	if a.Status != http.StatusCreated {
		h.T.Fatalf("%d %s", a.Status, a.Body)
	}
	return a.JSON(h.T)
}

func TestAWebhookIsToldWhatHappensInOrderAndSigned(t *testing.T) {
	h := clouded(t)
	r := receive(t)
	hook := made(h, fmt.Sprintf(`{"name":"CI","url":"%s/hook?x=1"}`, r.URL))
	secret := hook["secret"].(string)
	if len(secret) != 43 || hook["tenantId"] != "demo" || hook["active"] != true || len(hook["eventTypes"].([]any)) != len(stowage.EventTypes) {
		t.Errorf("the webhook is %v", hook)
	}
	h.Await(h.Create("10"), stowage.BackupAvailable)
	const want = "backup.creating task.queued task.running backup.available task.finished"
	h.Until("all is told", func() bool { return len(strings.Fields(r.told())) >= 5 })
	if got := r.told(); got != want {
		t.Errorf("it is told %s", got)
	}
	task := one(t, send(h, http.MethodGet, "/tasks?type=EXPORT", "", demo))
	backup := one(t, send(h, http.MethodGet, "/backups", "", demo))
	last := r.got[4]
	if last["subject"] != "tasks/"+guidOf(task) || at(last, "data.backup") != guidOf(backup) || at(last, "data.state") != "finished" || at(last, "data.protectedEntity") != "10" ||
		at(last, "data.volumeBytes") != 1000.0 || last["source"] != "/stowage/projects/demo" {
		t.Errorf("the event is %v", last)
	}
	for _, raw := range r.raw { // as doc/vendor-api.md tells receivers to check it
		signature, body, _ := strings.Cut(raw, " ")
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "." + body))
		if sum != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("the signature %s is not right", signature)
		}
	}
	var log []map[string]any
	h.Until("all of it is written down", func() bool {
		log = polled(h, "/webhooks/"+guidOf(hook)+"/deliveries?state=DELIVERED")
		return len(log) >= 5
	})
	if len(log) != 5 || log[0]["eventType"] != "io.stowage.task.finished" || log[0]["responseStatus"] != 204.0 || log[0]["attempts"] != 1.0 || log[0]["eventId"] != last["id"] {
		t.Errorf("the log is %v", log)
	}
	// Nobody is told the secret again, and it lies about nowhere.
	for _, text := range []string{send(h, http.MethodGet, "/webhooks", "", demo).Body, send(h, http.MethodGet, "/webhooks/"+guidOf(hook), "", portal).Body, h.Dump("webhooks")} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in %s", text)
		}
	}
	if h.LogContains(secret) {
		t.Error("the secret is in the log")
	}
}

func TestAWebhookThatFailsIsCalledAgainWithPauses(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	r := receive(t)
	r.answer(http.StatusInternalServerError)
	hook := made(h, fmt.Sprintf(`{"url":%q,"eventTypes":["io.stowage.task.*"],"secret":"my own secret, long"}`, r.URL))
	delivery := func() map[string]any {
		return one(t, send(h, http.MethodGet, "/webhooks/"+guidOf(hook)+"/deliveries", "", demo))
	}
	tried := func(times float64) {
		t.Helper()
		h.Until(fmt.Sprintf("it was tried %v times", times), func() bool {
			d := delivery()
			return d["attempts"] == times && d["lastAttempt"] != nil && d["responseStatus"] != nil
		})
	}
	begun := time.Now()
	if a := send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", demo); a.Status != http.StatusAccepted || a.JSON(t)["eventType"] != "io.stowage.webhook.test" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	tried(1)
	took := time.Since(begun).Milliseconds()
	d := delivery()
	if at(d, "state.name") != "WAITING" || d["responseStatus"] != 500.0 || d["response"] != "not now" || d["statusInfo"] != "It answered 500." {
		t.Errorf("the delivery is %v", d)
	}
	// With a jitter of a half: 3/4 of 10 s, from the end of an attempt.
	if pause := d["nextAttempt"].(float64) - d["lastAttempt"].(float64); pause < 7400 || pause > 7600+float64(took) {
		t.Errorf("the next attempt is after %v ms", pause)
	}
	h.Clock.Step(10 * time.Second)
	tried(2)
	r.answer(http.StatusOK)
	h.Clock.Step(20 * time.Second)
	h.Until("it is delivered", func() bool { return at(delivery(), "state.name") == "DELIVERED" })
	if got := r.told(); got != "webhook.test" {
		t.Errorf("it is told %s", got)
	}
}

func TestADeliveryIsGivenUpInTheEndAndForgottenLater(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	r := receive(t)
	r.answer(http.StatusBadGateway)
	hook := made(h, fmt.Sprintf(`{"url":%q}`, r.URL))
	test := func() { send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", demo) }
	log := func() []map[string]any {
		return rows(t, send(h, http.MethodGet, "/webhooks/"+guidOf(hook)+"/deliveries", "", demo))
	}
	test()
	h.Until("it was tried", func() bool { return log()[0]["lastAttempt"] != nil })
	h.Clock.Step(25 * time.Hour)
	h.Until("it is given up", func() bool { return at(log()[0], "state.name") == "FAILED" })
	r.answer(http.StatusGone)
	test()
	h.Until("who is gone is not asked twice", func() bool { return at(log()[0], "state.name") == "FAILED" && log()[0]["attempts"] == 1.0 })
	// Who was not there to tell does it later, and forgets what is old.
	r.answer(http.StatusOK)
	stop()
	test()
	h.Start(h.Manager("m2"))
	h.Until("it is told", func() bool { return at(log()[0], "state.name") == "DELIVERED" })
	h.Clock.Step(8 * 24 * time.Hour)
	h.Until("it is forgotten", func() bool { return len(log()) == 0 })
}

func TestTwoManagersTellOnce(t *testing.T) {
	h := clouded(t)
	h.Start(h.Manager("m2"))
	h.Start(h.Manager("m3"))
	r := receive(t)
	made(h, fmt.Sprintf(`{"url":%q}`, r.URL))
	h.Await(h.Create("10"), stowage.BackupAvailable)
	h.Await(h.Create("9"), stowage.BackupAvailable)
	h.Until("all is told", func() bool { return len(strings.Fields(r.told())) >= 10 })
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, e := range r.got {
		ids = append(ids, e["id"].(string))
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(r.got) || len(r.got) != 10 {
		t.Errorf("%d events of %d ids came", len(r.got), len(ids))
	}
}

func TestSlowWebhooksOfAProjectHoldUpNobodyElses(t *testing.T) {
	h := harness.New(t)
	m := h.Manager("m1")
	m.Caller = webhook.NewCaller(webhook.Options{Guard: harness.Here, Timeout: time.Minute, Now: h.Clock.Now, Version: "test"})
	h.Start(m)
	calls, release := make(chan string, 100), make(chan bool)
	answer := sync.OnceFunc(func() { close(release) })
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls <- r.URL.Path
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(answer)
	for i := range 4 {
		hook := made(h, fmt.Sprintf(`{"url":"%s/%d"}`, slow.URL, i))
		for range 2 {
			send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", demo)
		}
	}
	first, second := <-calls, <-calls
	r, other := receive(t), token("x:alt")
	hook := send(h, http.MethodPost, "/webhooks", fmt.Sprintf(`{"url":%q}`, r.URL), other).JSON(t)
	send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", other)
	h.Until("another project's is told", func() bool { return r.told() == "webhook.test" })
	if len(calls) != 0 || first == second {
		t.Errorf("%d more calls of the project are under way, beside %s and %s", len(calls), first, second)
	}
	answer()
	h.Until("all are told in the end", func() bool { return len(calls) == 6 })
}

func TestASlowWebhookIsToldTheRestLaterAndInOrder(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	got := make(chan string, 100)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e map[string]any
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		h.Clock.Step(20 * time.Second)
		got <- e["id"].(string)
	}))
	t.Cleanup(slow.Close)
	hook := made(h, fmt.Sprintf(`{"url":%q}`, slow.URL))
	stop()
	var want []string
	for range 5 {
		want = append(want, send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", demo).JSON(t)["eventId"].(string))
	}
	h.Start(h.Manager("m2"))
	for i, id := range want {
		if told := <-got; told != id {
			t.Errorf("event %d is %s, not %s", i, told, id)
		}
	}
	if !h.LogContains("webhook is slow") {
		t.Error("it was told all of it in one go")
	}
}

func TestAWebhookCallsNoPrivateNetwork(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	r := receive(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(r.URL, "http://"), ":")
	for _, url := range []string{"http://127.0.0.2:" + port, "http://10.0.0.1", "https://169.254.169.254/latest", "http://[::1]", "ftp://x.test", "http://u:p@x.test", ""} {
		wantFault(t, send(h, http.MethodPost, "/webhooks", fmt.Sprintf(`{"url":%q}`, url), demo), http.StatusBadRequest, "")
	}
	// A name may lead there: that is seen when it is called.
	hook := made(h, `{"url":"http://127.0.0.1:`+port+`"}`)
	if err := h.Exec(`UPDATE webhooks SET url = ?`, "http://127.0.0.2:"+port); err != nil {
		t.Fatal(err)
	}
	send(h, http.MethodPost, "/webhooks/"+guidOf(hook)+"/test", "", demo)
	var d map[string]any
	h.Until("it was tried", func() bool {
		d = one(t, send(h, http.MethodGet, "/webhooks/"+guidOf(hook)+"/deliveries", "", demo))
		return d["lastAttempt"] != nil
	})
	if !strings.Contains(d["statusInfo"].(string), "may not call") || r.told() != "" {
		t.Errorf("the delivery is %v; it is told %s", d, r.told())
	}
}

func TestWebhooksAreTheProjectsOwn(t *testing.T) {
	h := harness.New(t)
	wantFault(t, send(h, http.MethodPost, "/webhooks", `{"url":"https://x.test"}`, demo), http.StatusServiceUnavailable, "key")
	h.Start(h.Manager("m1"))
	hook := made(h, `{"url":"https://x.test/a","eventTypes":["io.stowage.backup.error"],"active":"false"}`)
	if hook["name"] != "https://x.test/a" || fmt.Sprint(hook["eventTypes"]) != "[io.stowage.backup.error]" || hook["active"] != false {
		t.Errorf("the webhook is %v", hook)
	}
	path := "/webhooks/" + guidOf(hook)
	changed := good(h, http.MethodPut, path, `{"name":"N","active":true,"eventTypes":["io.stowage.task.f*"]}`, demo)
	if changed["url"] != "https://x.test/a" || changed["secret"] != nil || fmt.Sprint(changed["eventTypes"]) != "[io.stowage.task.finished io.stowage.task.failed]" {
		t.Errorf("it became %v", changed)
	}
	for what, body := range map[string]string{"a kind": `{"eventTypes":["moon"]}`, "a secret": `{"secret":"short"}`, "a URL": `{"url":"http://10.1.1.1"}`} {
		if a := send(h, http.MethodPut, path, body, demo); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
	}
	for _, who := range []func(*http.Request){token("x:alt"), token("reader:demo")} {
		for method, of := range map[string]string{http.MethodPut: path, http.MethodDelete: path, http.MethodPost: path + "/test"} {
			if a := send(h, method, of, `{}`, who); a.Status != http.StatusNotFound && a.Status != http.StatusForbidden {
				t.Errorf("%s %s: %d", method, of, a.Status)
			}
		}
	}
	for _, of := range []string{path, path + "/deliveries"} {
		wantFault(t, send(h, http.MethodGet, of, "", token("x:alt")), http.StatusNotFound, "")
	}
	for range 19 {
		made(h, `{"url":"https://x.test"}`)
	}
	wantFault(t, send(h, http.MethodPost, "/webhooks", `{"url":"https://x.test"}`, demo), http.StatusForbidden, "20")
	if a := send(h, http.MethodDelete, path, "", demo); a.Status != http.StatusNoContent {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantFault(t, send(h, http.MethodGet, path, "", demo), http.StatusNotFound, "")
}

// One switches it off while another one renames it.
func TestChangesOfAWebhookAtOnceAllCount(t *testing.T) {
	h := clouded(t)
	w := send(h, http.MethodPost, "/webhooks", `{"name":"w","url":"https://example.com/"}`, demo).JSON(t)
	for round := range 5 {
		var all sync.WaitGroup
		for _, body := range []string{fmt.Sprintf(`{"name":"n%d"}`, round), fmt.Sprintf(`{"active":%v}`, round%2 == 1), fmt.Sprintf(`{"url":"https://example.com/%d"}`, round)} {
			all.Go(func() {
				if a := send(h, http.MethodPut, "/webhooks/"+guidOf(w), body, demo); a.Status != http.StatusOK {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
		got := good(h, http.MethodGet, "/webhooks/"+guidOf(w), "", demo)
		if got["name"] != fmt.Sprint("n", round) || got["active"] != (round%2 == 1) || got["url"] != fmt.Sprint("https://example.com/", round) {
			t.Errorf("after round %d it is %v", round, got)
		}
	}
}
