package vendor

import (
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
)

type mailingListBody struct {
	Name       text          `json:"name"`
	Recipients several[text] `json:"recipients"`
	TenantID   text          `json:"tenantId"`
}

type mailingList struct {
	GUID       string   `json:"guid"`
	Name       string   `json:"name"`
	Recipients []string `json:"recipients"`
	Count      int      `json:"recipientCount"`
	TenantID   string   `json:"tenantId,omitempty"`
}

func mailingListView(l stowage.MailingList) mailingList {
	return mailingList{l.ID, l.Name, list(l.Recipients), len(l.Recipients), l.ProjectID}
}

func (a *API) mailingLists(w http.ResponseWriter, r request) error {
	p, err := page(r.URL.Query(), nameColumns)
	if err != nil {
		return err
	}
	lists, total, err := a.Service.MailingLists(r.Context(), r.scope, p)
	if err != nil {
		return err
	}
	respond(w, each(lists, mailingListView), total)
	return nil
}

func (a *API) mailingList(w http.ResponseWriter, r request) error {
	l, err := a.Service.MailingList(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, mailingListView(l))
	return nil
}

func (a *API) saveMailingList(w http.ResponseWriter, r request, guid string) error {
	var body mailingListBody
	if err := r.read(&body); err != nil {
		return err
	}
	l := stowage.MailingList{ID: guid, Name: string(body.Name)}
	if guid == "" {
		var err error
		if r, l.ProjectID, err = r.owner(string(body.TenantID)); err != nil {
			return err
		}
	}
	for _, recipient := range body.Recipients {
		l.Recipients = append(l.Recipients, string(recipient))
	}
	l, err := a.Service.SaveMailingList(r.Context(), r.scope, l)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, mailingListView(l))
	return nil
}

func (a *API) createMailingList(w http.ResponseWriter, r request) error {
	return a.saveMailingList(w, r, "")
}

func (a *API) updateMailingList(w http.ResponseWriter, r request) error {
	return a.saveMailingList(w, r, r.guid())
}

func (a *API) deleteMailingList(w http.ResponseWriter, r request) error {
	return done(w, a.Service.DeleteMailingList(r.Context(), r.scope, r.guid()))
}
