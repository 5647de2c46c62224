package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/webhook"
)

// Bounds of webhooks.
const (
	mostWebhooks = 20 // of a project
	leastSecret  = 16
	mostSecret   = 256
)

// WebhookWish is a webhook as somebody wants it. What is nil or empty stays, or is
// made.
type WebhookWish struct {
	ID, ProjectID string
	Name, URL     string
	Types         *[]string // kinds of events, or beginnings of such with a * at the end; none: all
	Active        *bool
	Secret        string
}

// Webhooks lists the scope's by name, and how many there are.
func (s *Service) Webhooks(ctx context.Context, scope db.Scope, p db.Page) ([]stowage.Webhook, int, error) {
	return s.DB.Webhooks(ctx, scope, p)
}

// Webhook gives one of the scope's.
func (s *Service) Webhook(ctx context.Context, scope db.Scope, id string) (stowage.Webhook, error) {
	return s.DB.Webhook(ctx, scope, id)
}

// CreateWebhook makes a webhook and gives its secret, which nobody is told again.
// OverLimit: there are enough. Unavailable: no manager has told yet to what key secrets
// are sealed.
func (s *Service) CreateWebhook(ctx context.Context, wish WebhookWish) (stowage.Webhook, string, error) {
	now := s.Now()
	w := stowage.Webhook{ID: s.NewID(), ProjectID: wish.ProjectID, Active: true, CreatedAt: now, Events: eventsOf(nil)}
	if wish.Secret == "" {
		wish.Secret = base64.RawURLEncoding.EncodeToString(randomBytes(32))
	}
	if err := s.changeWebhook(ctx, &w, wish); err != nil {
		return w, "", err
	}
	if err := s.DB.AddWebhook(ctx, w, mostWebhooks); err != nil {
		return w, "", err
	}
	s.Log.InfoContext(ctx, "webhook made", "webhook", w.ID, "project", w.ProjectID)
	return w, wish.Secret, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not return without
	return b
}

// UpdateWebhook changes a webhook of the scope.
func (s *Service) UpdateWebhook(ctx context.Context, scope db.Scope, wish WebhookWish) (stowage.Webhook, error) {
	return changed(ctx, "The webhook", func() (stowage.Webhook, time.Time, error) {
		w, err := s.DB.Webhook(ctx, scope, wish.ID)
		return w, w.UpdatedAt, err
	}, func(w *stowage.Webhook, seen time.Time) error {
		if err := s.changeWebhook(ctx, w, wish); err != nil {
			return err
		}
		w.UpdatedAt = s.later(seen)
		return s.DB.UpdateWebhook(ctx, *w, seen)
	})
}

func (s *Service) changeWebhook(ctx context.Context, w *stowage.Webhook, wish WebhookWish) error {
	w.UpdatedAt = s.Now()
	w.Name = orReason(strings.TrimSpace(wish.Name), orReason(w.Name, wish.URL))
	if n := []rune(w.Name); len(n) > 255 {
		w.Name = string(n[:255])
	}
	w.URL = orReason(strings.TrimSpace(wish.URL), w.URL)
	if err := s.Guard.CheckURL(w.URL); err != nil {
		return err
	}
	if wish.Types != nil {
		w.Events = eventsOf(*wish.Types)
		if w.Events == 0 {
			return stowage.Errorf(stowage.Invalid, "eventTypes must name kinds of events: %s.", strings.Join(stowage.EventTypes, ", "))
		}
	}
	if wish.Active != nil {
		w.Active = *wish.Active
	}
	if wish.Secret == "" {
		return nil
	}
	if n := len(wish.Secret); n < leastSecret || n > mostSecret {
		return stowage.Errorf(stowage.Invalid, "A secret must have from %d to %d bytes.", leastSecret, mostSecret)
	}
	public, err := s.DB.WebhookKey(ctx)
	if stowage.CodeOf(err) == stowage.NotFound {
		return stowage.Wrap(stowage.Unavailable, err, "No backup manager has made a key for secrets yet. Try again later.")
	}
	if err != nil {
		return err
	}
	w.Secret, err = webhook.SealSecret(public, w.ID, []byte(wish.Secret))
	return err
}

// eventsOf gives the events that are named, 0 if one of the names is none's; without
// names, all.
func eventsOf(names []string) (set stowage.EventSet) {
	if len(names) == 0 {
		names = []string{"*"}
	}
	for _, name := range names {
		var of stowage.EventSet
		begins, some := strings.CutSuffix(strings.TrimSpace(name), "*")
		for _, kind := range stowage.EventTypes {
			if kind == begins || some && strings.HasPrefix(kind, begins) {
				of |= stowage.EventOf(kind)
			}
		}
		if of == 0 {
			return 0
		}
		set |= of
	}
	return set
}

// DeleteWebhook deletes a webhook of the scope, with what it was to be told.
func (s *Service) DeleteWebhook(ctx context.Context, scope db.Scope, id string) error {
	return s.DB.DeleteWebhook(ctx, scope, id)
}

// Deliveries lists what a webhook of the scope was and is to be told, the newest first.
func (s *Service) Deliveries(ctx context.Context, scope db.Scope, id string, states []stowage.DeliveryState, p db.Page) ([]stowage.Delivery, int, error) {
	if _, err := s.DB.Webhook(ctx, scope, id); err != nil {
		return nil, 0, err
	}
	return s.DB.Deliveries(ctx, id, states, p)
}

// TestWebhook has a manager call a webhook of the scope, and gives the delivery.
func (s *Service) TestWebhook(ctx context.Context, scope db.Scope, id string) (stowage.Delivery, error) {
	w, err := s.DB.Webhook(ctx, scope, id)
	if err != nil {
		return stowage.Delivery{}, err
	}
	const kind = "io.stowage.webhook.test"
	now := s.Now()
	d := stowage.Delivery{
		WebhookID: w.ID, EventID: "test." + s.NewID(), Event: stowage.EventOf(kind), ProjectID: w.ProjectID, Subject: w.ID, At: now,
		State: stowage.DeliveryWaiting, NextAt: now,
	}
	err = s.DB.AddDelivery(ctx, &d)
	return d, err
}
