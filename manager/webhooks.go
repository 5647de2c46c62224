package manager

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/webhook"
)

// What happened lies in the database until it was told, or given up. Each webhook is
// told one thing after the other, the oldest first, several webhooks beside each other;
// one that does not answer well is left alone until the next look, and what it was not
// told waits longer each time. One that is slow is left after a while, too, and goes on
// behind the others; no look waits for it. Whoever takes a delivery says until when, so
// that after a crash another goes on: a receiver may be told twice, and knows it by the id.

const (
	hooksAtOnce   = 16               // that are called beside each other
	hooksAProject = 2                // of them that are one project's
	hooksALook    = 1000             // that wait for that
	eventsALook   = 50               // that one webhook is told in a go
	hookTime      = 30 * time.Second // after which it is told nothing more in that go
	firstPause    = 10 * time.Second
	longestPause  = time.Hour
	deliveryHold  = 2 * time.Minute // longer than any call
	dropAtOnce    = 500
)

// callWebhooks sees to it that what is due is told. It does not wait for that.
func (m *Manager) callWebhooks(ctx context.Context) {
	if m.Box == nil || m.Caller == nil {
		return
	}
	m.publishKey(ctx)
	due, err := m.DB.DueWebhooks(ctx, m.Now(), hooksALook)
	if err != nil {
		m.Log.WarnContext(ctx, "webhooks not looked at", "error", err)
	}
	m.telling.add(due, func(id string) { m.tellWebhook(ctx, id) })
	for ctx.Err() == nil {
		n, err := m.DB.DropDeliveries(ctx, m.Now().Add(-max(m.DeliveryLog, m.DeliveryTime+time.Hour)), dropAtOnce)
		if err != nil {
			m.Log.WarnContext(ctx, "old deliveries not forgotten", "error", err)
		}
		if err != nil || n < dropAtOnce {
			return
		}
	}
}

// publishKey lets API servers seal secrets to us.
func (m *Manager) publishKey(ctx context.Context) {
	if m.Box == nil {
		return
	}
	have, err := m.DB.WebhookKey(ctx)
	if err == nil && bytes.Equal(have, m.Box.Public()) {
		return
	}
	if err == nil || stowage.CodeOf(err) == stowage.NotFound {
		err = m.DB.SetWebhookKey(ctx, m.Box.Public())
	}
	if err != nil && ctx.Err() == nil {
		m.Log.WarnContext(ctx, "the key for webhooks' secrets is not published", "error", err)
	}
}

// tellWebhook tells one webhook what is due, until it does not take it, or took too long.
func (m *Manager) tellWebhook(ctx context.Context, id string) {
	if ctx.Err() != nil {
		return
	}
	log, end := m.Log.With("webhook", id), m.Now().Add(hookTime)
	list, err := m.DB.DueDeliveries(ctx, id, m.Now(), eventsALook)
	if err != nil {
		log.WarnContext(ctx, "deliveries not looked at", "error", err)
		return
	}
	w, err := m.DB.Webhook(ctx, db.Scope{}, id)
	if err != nil {
		log.WarnContext(ctx, "webhook not read", "error", err)
		return // one that is deleted has no deliveries any more
	}
	for _, d := range list {
		if ctx.Err() != nil {
			return
		}
		if !m.Now().Before(end) {
			log.DebugContext(ctx, "webhook is slow, it is told the rest later", "delivery", d.ID)
			return
		}
		err := m.DB.TakeDelivery(ctx, &d, m.Now().Add(deliveryHold))
		if stowage.CodeOf(err) == stowage.Conflict {
			return // another manager has it, and goes on
		}
		if err != nil {
			log.WarnContext(ctx, "delivery not taken", "delivery", d.ID, "error", err)
			return
		}
		good := m.deliver(ctx, w, &d)
		if err := m.DB.SettleDelivery(context.WithoutCancel(ctx), d); err != nil && stowage.CodeOf(err) != stowage.Conflict {
			log.WarnContext(ctx, "delivery not settled", "delivery", d.ID, "error", err)
			return
		}
		if !good {
			return
		}
	}
}

// deliver makes one attempt, and writes on the delivery what became of it.
func (m *Manager) deliver(ctx context.Context, w stowage.Webhook, d *stowage.Delivery) (good bool) {
	d.TriedAt = m.Now()
	answer, err := m.call(ctx, w, *d)
	d.Status, d.Answer, d.Took, d.Error = answer.Status, answer.Begins, answer.Took, ""
	switch {
	case err != nil:
		d.Error = stowage.MessageOf(err)
		if d.Error == "" {
			d.Error = "An internal error; the manager's log tells more."
		}
	case answer.Status/100 != 2:
		d.Error = fmt.Sprintf("It answered %d.", answer.Status)
	default:
		d.State, d.NextAt = stowage.DeliveryDelivered, time.Time{}
		m.Log.DebugContext(ctx, "webhook told", "webhook", w.ID, "event", d.EventID, "took", d.Took)
		return true
	}
	pause := min(firstPause<<min(d.Attempts-1, 20), longestPause)
	d.NextAt = m.Now().Add(pause/2 + time.Duration(float64(pause/2)*m.Jitter()))
	final := answer.Status == http.StatusGone || !w.Active || d.NextAt.Sub(d.At) > m.DeliveryTime
	if final {
		d.State, d.NextAt = stowage.DeliveryFailed, time.Time{}
	}
	m.Log.InfoContext(ctx, "webhook not told", "webhook", w.ID, "event", d.EventID, "attempt", d.Attempts, "status", d.Status, "given_up", final, "error", err)
	return false
}

func (m *Manager) call(ctx context.Context, w stowage.Webhook, d stowage.Delivery) (webhook.Answer, error) {
	if !w.Active {
		return webhook.Answer{}, stowage.Errorf(stowage.Invalid, "The webhook is not active.")
	}
	secret, err := m.Box.Open(w.ID, w.Secret)
	if err != nil {
		return webhook.Answer{}, err
	}
	body, err := webhook.Body(d)
	if err != nil {
		return webhook.Answer{}, err
	}
	return m.Caller.Call(ctx, w.URL, secret, body)
}
