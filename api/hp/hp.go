// Package hp speaks the HP Volume Backup API: /v1.1/{tenant_id}/hp-volume-backups.
// It translates, and decides nothing: routes, views and faults, to the letter
// of the specification, and Nova's forms where that is silent.
package hp

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// API is the protocol.
type API struct {
	Gate    *api.Gate
	Service *service.Service
	Server  *api.Options // for links and the log
	// MaxLimit bounds a page; 0: 1000.
	MaxLimit int
}

// Version is v1.1.
func (a *API) Version() *api.Version {
	return &api.Version{ID: "v1.1", Status: "CURRENT", Updated: "2026-11-20T00:00:00Z"}
}

// Prefix is /v1.1.
func (a *API) Prefix() string { return "/v1.1" }

// Mount adds the routes.
func (a *API) Mount(r *mux.Router) {
	base := "/v1.1/{tenant}/hp-volume-backups"
	r.HandleFunc(base, a.call(auth.RuleGetAll, a.list)).Methods(http.MethodGet)
	r.HandleFunc(base, a.call(auth.RuleCreate, a.create)).Methods(http.MethodPost)
	r.HandleFunc(base+"/detail", a.call(auth.RuleGetAll, a.detail)).Methods(http.MethodGet)
	r.HandleFunc(base+"/{id}", a.call(auth.RuleGet, a.show)).Methods(http.MethodGet)
	r.HandleFunc(base+"/{id}", a.call(auth.RuleDelete, a.remove)).Methods(http.MethodDelete)
	r.HandleFunc(base+"/{id}/restore", a.call(auth.RuleRestore, a.restore)).Methods(http.MethodPost)
}

// request is one authorized request.
type request struct {
	*http.Request
	caller auth.Caller
	scope  db.Scope // whose backups it sees
}

// call authenticates, checks that the path's tenant is the token's project and
// that the policy lets him, and then does the verb.
func (a *API) call(rule string, verb func(http.ResponseWriter, request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, r, err := a.Gate.Caller(w, r)
		tenant, bad := url.PathUnescape(mux.Vars(r)["tenant"])
		if err == nil && (bad != nil || caller.ProjectID == "" || caller.ProjectID != tenant) {
			err = stowage.Errorf(stowage.Invalid, "Malformed request url")
		}
		if err == nil {
			err = a.Gate.May(rule, caller, caller.ProjectID)
		}
		q := request{Request: r, caller: caller}
		if err == nil {
			q.scope, err = a.scope(r.URL.Query(), caller)
		}
		if err == nil {
			err = verb(w, q)
		}
		if err != nil {
			a.Fault(w, r, err)
		}
	}
}

// scope is the caller's project, unless he may reach every project and asks
// for another (project_id) or for all (all_tenants). Who may not and asks all
// the same gets his own, as from Cinder.
func (a *API) scope(q url.Values, c auth.Caller) (db.Scope, error) {
	own := db.Scope{ProjectID: c.ProjectID}
	all := false
	if v := q.Get("all_tenants"); q.Has("all_tenants") {
		var err error
		if all, err = parseBool(v); err != nil {
			return own, stowage.Errorf(stowage.Invalid, "Invalid value for all_tenants.")
		}
	}
	project := q.Get("project_id")
	if !all && project == "" || !a.Gate.Everywhere(c) {
		return own, nil
	}
	return db.Scope{ProjectID: project}, nil
}

// parseBool knows what oslo.utils' strict bool_from_string knows.
func parseBool(s string) (bool, error) {
	switch s {
	case "1", "t", "true", "on", "y", "yes", "T", "True", "TRUE", "On", "ON", "Y", "Yes", "YES", "":
		return true, nil
	case "0", "f", "false", "off", "n", "no", "F", "False", "FALSE", "Off", "OFF", "N", "No", "NO":
		return false, nil
	}
	return strconv.ParseBool(s)
}

func (a *API) list(w http.ResponseWriter, r request) error {
	return a.page(w, r, func(v service.View) any { return brief{ID: idString(v.ID), Status: v.Status} })
}

func (a *API) detail(w http.ResponseWriter, r request) error {
	return a.page(w, r, func(v service.View) any { return a.details(r, v) })
}

func (a *API) show(w http.ResponseWriter, r request) error {
	id, err := backupID(r)
	if err != nil {
		return err
	}
	v, err := a.Service.Backup(r.Context(), r.scope, id)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, map[string]any{"backup": a.details(r, v)})
	return nil
}

func (a *API) create(w http.ResponseWriter, r request) error {
	req, err := readCreate(r.Request)
	if err != nil {
		return err
	}
	b, err := a.Service.BackupVolume(r.Context(), api.User(r.Request, r.caller), req)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, map[string]any{"backup": created(b)})
	return nil
}

func (a *API) remove(w http.ResponseWriter, r request) error {
	id, err := backupID(r)
	if err == nil {
		err = a.Service.DeleteBackup(r.Context(), api.User(r.Request, r.caller), r.scope, id)
	}
	if stowage.CodeOf(err) == stowage.NotFound {
		// The specification has other words here than for show and restore.
		return stowage.Wrap(stowage.NotFound, err, "The resource could not be found.")
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *API) restore(w http.ResponseWriter, r request) error {
	id, err := backupID(r)
	if err != nil {
		return err
	}
	volume, err := readRestore(r.Request)
	if err != nil {
		return err
	}
	req := service.RestoreRequest{VolumeID: volume}
	j, err := a.Service.RestoreBackup(r.Context(), api.User(r.Request, r.caller), r.scope, id, req)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, map[string]any{"restore": map[string]string{"backup_id": idString(id), "volume_id": j.VolumeID}})
	return nil
}

// backupID reads the id of the path. What is no id is not found.
func backupID(r request) (int64, error) {
	text, err := url.PathUnescape(mux.Vars(r.Request)["id"])
	id, bad := strconv.ParseInt(text, 10, 64)
	if err != nil || bad != nil || id < 1 || idString(id) != text {
		return 0, stowage.Errorf(stowage.NotFound, "Backup %.64s could not be found.", text)
	}
	return id, nil
}

func idString(id int64) string { return strconv.FormatInt(id, 10) }
