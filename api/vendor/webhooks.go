package vendor

import (
	"net/http"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/service"
)

// Webhooks are ours: the vendor has none.

type webhookBody struct {
	Name     text           `json:"name"`
	URL      text           `json:"url"`
	Types    *several[text] `json:"eventTypes"`
	Active   *truth         `json:"active"`
	Secret   text           `json:"secret"`
	TenantID text           `json:"tenantId"`
}

func (b webhookBody) wish() service.WebhookWish {
	wish := service.WebhookWish{Name: string(b.Name), URL: string(b.URL), Secret: string(b.Secret), Active: (*bool)(b.Active)}
	if b.Types != nil {
		types := each(*b.Types, func(t text) string { return string(t) })
		wish.Types = &types
	}
	return wish
}

type webhookView struct {
	GUID     string   `json:"guid"`
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	Types    []string `json:"eventTypes"`
	Active   bool     `json:"active"`
	Created  *int64   `json:"creationTime,omitempty"`
	Secret   string   `json:"secret,omitempty"` // in the answer to its creation only
	TenantID string   `json:"tenantId,omitempty"`
}

func viewOfWebhook(w stowage.Webhook) webhookView {
	return webhookView{w.ID, w.Name, w.URL, list(w.Events.Types()), w.Active, millis(w.CreatedAt), "", w.ProjectID}
}

func (a *API) webhooks(w http.ResponseWriter, r request) error {
	p, err := page(r.URL.Query(), nameColumns)
	if err != nil {
		return err
	}
	hooks, total, err := a.Service.Webhooks(r.Context(), r.scope, p)
	if err != nil {
		return err
	}
	respond(w, each(hooks, viewOfWebhook), total)
	return nil
}

func (a *API) webhook(w http.ResponseWriter, r request) error {
	hook, err := a.Service.Webhook(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, viewOfWebhook(hook))
	return nil
}

func (a *API) createWebhook(w http.ResponseWriter, r request) error {
	var body webhookBody
	if err := r.read(&body); err != nil {
		return err
	}
	r, owner, err := r.owner(string(body.TenantID))
	if err != nil {
		return err
	}
	wish := body.wish()
	wish.ProjectID = owner
	hook, secret, err := a.Service.CreateWebhook(r.Context(), wish)
	if err != nil {
		return err
	}
	view := viewOfWebhook(hook)
	view.Secret = secret
	w.Header().Set("Cache-Control", "no-store")
	api.WriteJSON(w, http.StatusCreated, view)
	return nil
}

func (a *API) updateWebhook(w http.ResponseWriter, r request) error {
	var body webhookBody
	if err := r.read(&body); err != nil {
		return err
	}
	wish := body.wish()
	wish.ID = r.guid()
	hook, err := a.Service.UpdateWebhook(r.Context(), r.scope, wish)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, viewOfWebhook(hook))
	return nil
}

func (a *API) deleteWebhook(w http.ResponseWriter, r request) error {
	return done(w, a.Service.DeleteWebhook(r.Context(), r.scope, r.guid()))
}

type deliveryView struct {
	EventID  string `json:"eventId"`
	Type     string `json:"eventType"`
	Subject  string `json:"subject"`
	Time     *int64 `json:"time"`
	State    enum   `json:"state"`
	Attempts int    `json:"attempts"`
	Last     *int64 `json:"lastAttempt,omitempty"`
	Next     *int64 `json:"nextAttempt,omitempty"`
	Status   int    `json:"responseStatus,omitempty"`
	Took     int64  `json:"responseTime"` // milliseconds
	Answer   string `json:"response,omitempty"`
	Info     string `json:"statusInfo,omitempty"`
}

func viewOfDelivery(d stowage.Delivery) deliveryView {
	return deliveryView{
		d.EventID, d.Type(), d.Subject, millis(d.At), enumOf(strings.ToUpper(string(d.State))), d.Attempts, millis(d.TriedAt), millis(d.NextAt), d.Status,
		d.Took.Milliseconds(), d.Answer, d.Error,
	}
}

func (a *API) deliveries(w http.ResponseWriter, r request) error {
	p, err := page(r.URL.Query(), nil)
	if err != nil {
		return err
	}
	var states []stowage.DeliveryState
	for _, s := range enums(r.URL.Query(), "state") {
		states = append(states, stowage.DeliveryState(strings.ToLower(s)))
	}
	told, total, err := a.Service.Deliveries(r.Context(), r.scope, r.guid(), states, p)
	if err != nil {
		return err
	}
	respond(w, each(told, viewOfDelivery), total)
	return nil
}

func (a *API) testWebhook(w http.ResponseWriter, r request) error {
	d, err := a.Service.TestWebhook(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusAccepted, viewOfDelivery(d))
	return nil
}
