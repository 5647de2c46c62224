package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

func hook(t *testing.T, d *DB, project string, change func(*stowage.Webhook)) stowage.Webhook {
	t.Helper()
	w := stowage.Webhook{
		ID: uuid.NewString(), ProjectID: project, Name: "h", URL: "https://x.test/", Events: 1<<40 - 1, Active: true, Secret: []byte{0, 255}, CreatedAt: noon, UpdatedAt: noon,
	}
	if change != nil {
		change(&w)
	}
	must0(t, d.AddWebhook(t.Context(), w, 5))
	return w
}

// told are the kinds of events that a webhook is to be told, the oldest first.
func told(t *testing.T, d *DB, w stowage.Webhook) string {
	t.Helper()
	list := must(d.DueDeliveries(t.Context(), w.ID, noon.AddDate(1, 0, 0), 100))(t)
	var out []string
	for _, v := range list {
		out = append(out, strings.TrimPrefix(v.Type(), "io.stowage."))
	}
	return strings.Join(out, " ")
}

func TestEveryMoveIsToldOfInTheTransactionThatMakesIt(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		w := hook(t, d, "p", nil)
		operator := hook(t, d, "", nil)
		some := hook(t, d, "p", func(w *stowage.Webhook) { w.Events = stowage.EventOf("io.stowage.backup.available") })
		silent := []stowage.Webhook{
			hook(t, d, "p", func(w *stowage.Webhook) { w.Active = false }), hook(t, d, "q", nil),
			hook(t, d, "p", func(w *stowage.Webhook) { w.Events = stowage.EventOf("io.stowage.webhook.test") }),
		}
		b, j := sampleBackup("p"), sampleJob(stowage.JobBackup)
		must0(t, d.CreateBackup(t.Context(), &b, &j))
		must0(t, d.claim(t.Context(), &j, "m/1", noon.Add(1), time.Hour))
		must0(t, d.Requeue(t.Context(), j, "again", 1, noon, noon.Add(2)))
		j.State, j.Fence = stowage.JobQueued, j.Fence+1
		must0(t, d.claim(t.Context(), &j, "m/1", noon.Add(3), time.Hour))
		must0(t, d.Renew(t.Context(), j, noon.Add(4), time.Hour)) // no move
		must0(t, d.End(t.Context(), j, JobEnd{State: stowage.JobFinished, Now: noon.Add(time.Second), Move: &BackupMove{
			ID: b.ID, From: stowage.BackupCreating, To: stowage.BackupAvailable, Now: noon.Add(time.Second), Result: &BackupResult{VolumeBytes: 1000, StoredBytes: 100},
		}}))
		del := sampleJob(stowage.JobDelete)
		del.BackupID = b.ID
		must0(t, d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupDeleting, Now: noon.Add(2 * time.Second)}, &del))
		must0(t, d.claim(t.Context(), &del, "m/1", noon, time.Hour))
		must0(t, d.End(t.Context(), del, JobEnd{State: stowage.JobFinished, Now: noon, Move: &BackupMove{ID: b.ID, From: stowage.BackupDeleting, Remove: true, Now: noon.Add(3 * time.Second)}}))
		check := sampleJob(stowage.JobVerify)
		must0(t, d.inTx(t.Context(), func(tx *sql.Tx) error { return insertJob(t.Context(), tx, &check) }))

		const all = "backup.creating task.queued task.running task.queued task.running backup.available task.finished backup.deleting task.queued task.running backup.deleted task.finished"
		if got := told(t, d, w); got != all {
			t.Errorf("it is told\n%s\nwant\n%s", got, all)
		}
		if got := told(t, d, operator); got != all {
			t.Errorf("the operator is told %s", got)
		}
		if got := told(t, d, some); got != "backup.available" {
			t.Errorf("who wants one kind is told %s", got)
		}
		for _, s := range silent {
			if got := told(t, d, s); got != "" {
				t.Errorf("%v is told %s", s, got)
			}
		}
		seen := map[string]bool{}
		for _, v := range must(d.DueDeliveries(t.Context(), w.ID, noon.AddDate(1, 0, 0), 100))(t) {
			if seen[v.EventID] || v.ProjectID != "p" {
				t.Errorf("the event %+v", v)
			}
			seen[v.EventID] = true
			if v.Type() == "io.stowage.task.finished" && v.Kind == "backup" &&
				(v.Subject != j.ID || v.Backup != b.UUID || v.EntityID != j.EntityID || v.VolumeBytes != 1000 || v.StoredBytes != 100 || v.Container != "c" || !v.At.Equal(noon.Add(time.Second))) {
				t.Errorf("it is told %+v", v)
			}
			if v.Type() == "io.stowage.backup.available" && (v.Subject != b.UUID || v.EntityID != "9" || v.StoredBytes != 100) {
				t.Errorf("it is told %+v", v)
			}
		}
	})
}

func TestAMoveThatDoesNotHappenIsNotToldOf(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		w := hook(t, d, "p", nil)
		b, j := sampleBackup("p"), sampleJob(stowage.JobBackup)
		must0(t, d.CreateBackup(t.Context(), &b, &j))
		before := told(t, d, w)
		wrong := j
		wrong.Fence = 9
		end := JobEnd{State: stowage.JobFailed, Now: noon, Move: &BackupMove{ID: b.ID, From: stowage.BackupAvailable, To: stowage.BackupError}}
		for _, err := range []error{
			d.claim(t.Context(), &wrong, "m/1", noon, time.Hour), d.Requeue(t.Context(), wrong, "", 0, noon, noon), d.End(t.Context(), j, end),
			d.StartJob(t.Context(), BackupMove{ID: b.ID, From: stowage.BackupDeleting, Remove: true}, &wrong),
		} {
			if stowage.CodeOf(err) != stowage.Conflict {
				t.Errorf("it happened: %v", err)
			}
		}
		if after := told(t, d, w); after != before {
			t.Errorf("it is told %s, not %s", after, before)
		}
	})
}

func TestADeliveryIsTakenByOne(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		w := hook(t, d, "p", nil)
		v := stowage.Delivery{WebhookID: w.ID, EventID: "e", Event: 1, ProjectID: "p", Subject: "s", At: noon, State: stowage.DeliveryWaiting, NextAt: noon}
		must0(t, d.AddDelivery(t.Context(), &v))
		var mine atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if v := v; d.TakeDelivery(context.Background(), &v, noon.Add(time.Minute)) == nil {
					mine.Add(1)
				}
			})
		}
		all.Wait()
		if mine.Load() != 1 {
			t.Fatalf("%d took it", mine.Load())
		}
		due := func(at time.Time) int { return len(must(d.DueDeliveries(t.Context(), w.ID, at, 10))(t)) }
		if due(noon) != 0 || due(noon.Add(time.Minute)) != 1 || len(must(d.DueWebhooks(t.Context(), noon.Add(time.Minute), 10))(t)) != 1 {
			t.Error("it is due before the other's time is over, or not then")
		}
		late := v
		v.Attempts = 1
		v.State, v.Status, v.Answer, v.Error, v.TriedAt, v.Took = stowage.DeliveryDelivered, 204, strings.Repeat("ä", 2000), "", noon, time.Second
		must0(t, d.SettleDelivery(t.Context(), v))
		if err := d.SettleDelivery(t.Context(), late); stowage.CodeOf(err) != stowage.Conflict {
			t.Errorf("settled twice: %v", err)
		}
		log, total, err := d.Deliveries(t.Context(), w.ID, []stowage.DeliveryState{stowage.DeliveryDelivered}, Page{Limit: 10})
		if err != nil || total != 1 || log[0].Status != 204 || log[0].Took != time.Second || !log[0].TriedAt.Equal(noon) || len([]rune(log[0].Answer)) != 1024 {
			t.Errorf("the log is %v, %v", log, err)
		}
		if n, err := d.DropDeliveries(t.Context(), noon, 10); n != 0 || err != nil {
			t.Errorf("%d forgotten too early: %v", n, err)
		}
		if n, err := d.DropDeliveries(t.Context(), noon.Add(1), 10); n != 0 || err != nil { // a microsecond counts
			t.Errorf("%d forgotten: %v", n, err)
		}
		if n, err := d.DropDeliveries(t.Context(), noon.Add(time.Millisecond), 10); n != 1 || err != nil {
			t.Errorf("%d forgotten: %v", n, err)
		}
	})
}

// Several managers tell a webhook, and yet in order.
func TestNothingIsDueBehindADeliveryThatIsUnderWay(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		w, other := hook(t, d, "p", nil), hook(t, d, "q", nil)
		var all []stowage.Delivery
		for i := range 6 {
			v := stowage.Delivery{WebhookID: w.ID, EventID: fmt.Sprint(i), Event: 1, ProjectID: "p", Subject: "s", At: noon, State: stowage.DeliveryWaiting, NextAt: noon}
			if i == 5 {
				v.WebhookID, v.ProjectID = other.ID, "q"
			}
			must0(t, d.AddDelivery(t.Context(), &v))
			all = append(all, v)
		}
		due := func(w stowage.Webhook, at time.Time) string {
			var out []string
			for _, v := range must(d.DueDeliveries(t.Context(), w.ID, at, 3))(t) {
				out = append(out, v.EventID)
			}
			return fmt.Sprint(out)
		}
		is := func(what string, at time.Time, want string) {
			t.Helper()
			if got := due(w, at); got != want {
				t.Errorf("%s: due are %s, not %s", what, got, want)
			}
		}
		is("at first", noon, "[0 1 2]")
		first := all[0]
		must0(t, d.TakeDelivery(t.Context(), &first, noon.Add(time.Minute)))
		is("while the first is told", noon, "[]")
		if got := due(other, noon); got != "[5]" {
			t.Errorf("of another webhook %s", got)
		}
		is("when its teller died", noon.Add(time.Minute), "[0 1 2]")
		first.NextAt, first.TriedAt, first.Status = noon.Add(time.Hour), noon, 500
		must0(t, d.SettleDelivery(t.Context(), first))
		is("while it waits to be told again", noon, "[1 2 3]")
		projects := map[string]string{}
		for _, one := range must(d.DueWebhooks(t.Context(), noon, 10))(t) {
			projects[one.ID] = one.ProjectID
		}
		if len(projects) != 2 || projects[w.ID] != "p" || projects[other.ID] != "q" {
			t.Errorf("due are those of %v", projects)
		}
	})
}

func TestWebhooksAreOneProjectsAndNotMany(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		w := hook(t, d, "p", nil)
		if got := must(d.Webhook(t.Context(), Scope{"p"}, w.ID))(t); fmt.Sprint(got) != fmt.Sprint(w) {
			t.Errorf("it is %v, not %v", got, w)
		}
		for _, id := range []string{"none", "日本"} {
			if _, err := d.Webhook(t.Context(), Scope{"p"}, id); stowage.CodeOf(err) != stowage.NotFound {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := d.DeleteWebhook(t.Context(), Scope{"q"}, w.ID); stowage.CodeOf(err) != stowage.NotFound {
			t.Errorf("another project's: %v", err)
		}
		for range 4 {
			hook(t, d, "p", nil)
		}
		if err := d.AddWebhook(t.Context(), stowage.Webhook{ID: "x", ProjectID: "p"}, 5); stowage.CodeOf(err) != stowage.OverLimit {
			t.Errorf("a sixth: %v", err)
		}
		b, j := sampleBackup("p"), sampleJob(stowage.JobBackup)
		must0(t, d.CreateBackup(t.Context(), &b, &j))
		seen := w.UpdatedAt
		w.Name, w.Active, w.Events, w.UpdatedAt = "n", false, 1, seen.Add(time.Microsecond)
		must0(t, d.UpdateWebhook(t.Context(), w, seen))
		wantCode(t, d.UpdateWebhook(t.Context(), w, seen), stowage.Conflict)
		must0(t, d.DeleteWebhook(t.Context(), Scope{"p"}, w.ID))
		wantCode(t, d.UpdateWebhook(t.Context(), w, w.UpdatedAt), stowage.Conflict)
		if got := told(t, d, w); got != "" {
			t.Errorf("it is told %s when it is gone", got)
		}
		if _, err := d.WebhookKey(t.Context()); stowage.CodeOf(err) != stowage.NotFound {
			t.Errorf("there is a key: %v", err)
		}
		for _, key := range []string{"one", "two", "two"} {
			must0(t, d.SetWebhookKey(t.Context(), []byte(key)))
			if got := must(d.WebhookKey(t.Context()))(t); string(got) != key {
				t.Errorf("the key is %s", got)
			}
		}
	})
}
