package vendor

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/auth"
)

// cookieName is ours to choose: no client looks at it.
const cookieName = "stowage_session"

type loginBody struct {
	Login    text `json:"login"`
	Password text `json:"password"`
}

// login begins a session.
func (a *API) login(w http.ResponseWriter, r request) error {
	var body loginBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Login == "" {
		return stowage.Errorf(stowage.Invalid, "login must be set.")
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	s, err := a.Sessions.Login(r.Context(), string(body.Login), string(body.Password), remote)
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(r.Request, s.Ticket.Reveal()))
	w.Header().Set("Cache-Control", "no-store")
	api.WriteJSON(w, http.StatusOK, a.info(s.Caller, s.Since))
	return nil
}

// cookie is the client's ticket, out of the reach of scripts and of other
// sites' forms; over TLS it never goes without.
func (a *API) cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: base, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// Whatever links begin with: what came over TLS goes back over TLS only.
		Secure: r.TLS != nil || strings.HasPrefix(api.BaseURL(a.Server, r), "https:"),
	}
}

func (a *API) logout(w http.ResponseWriter, r request) error {
	if cookie, err := r.Cookie(cookieName); err == nil {
		if err := a.Sessions.Logout(r.Context(), cookie.Value); err != nil {
			return err
		}
	}
	gone := a.cookie(r.Request, "")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// alive tells that the session is good.
func (a *API) alive(w http.ResponseWriter, _ request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) user(w http.ResponseWriter, r request) error {
	api.WriteJSON(w, http.StatusOK, a.info(r.caller, r.session.Since))
	return nil
}

// sessionInfo is who is logged in, and what a user interface shows him.
type sessionInfo struct {
	Requester   ref         `json:"requester"`
	Privileges  []enum      `json:"privileges"`
	Project     *ref        `json:"project,omitempty"`
	TimeZone    string      `json:"uiTimeZone"`
	Settings    appSettings `json:"appUserSettings"`
	Language    enum        `json:"language"`
	ConsoleMode enum        `json:"uiConsoleMode"`
	LastLogin   *int64      `json:"lastSuccessfulLogin,omitempty"`
	InfoTour    bool        `json:"infoTourEnabled"`
}

// appSettings are defaults: users keep no settings here.
type appSettings struct {
	PageSize      int    `json:"pageSize"`
	TimeFormat    string `json:"timeFormat"`
	UnmountPeriod int64  `json:"unmountPeriodForMountedBackups"` // ms
}

func (a *API) info(c auth.Caller, since time.Time) sessionInfo {
	name := c.UserName
	if name == "" {
		name = c.UserID
	}
	return sessionInfo{
		Requester: ref{c.UserID, name}, Privileges: a.privileges(c), Project: refTo(c.ProjectID, c.ProjectName),
		TimeZone: "UTC", Settings: appSettings{PageSize: 20, TimeFormat: "YYYY-MM-DD HH:mm", UnmountPeriod: a.Service.MountTime.Milliseconds()},
		Language: enum{"EN", "English"}, ConsoleMode: enum{"STANDARD", "Standard"}, LastLogin: millis(since),
	}
}

// privileges are the vendor's names for what the policy lets the caller do.
func (a *API) privileges(c auth.Caller) []enum {
	out := []enum{}
	for _, p := range []struct{ rule, name string }{
		{auth.RuleVendorGet, "VE_BACKUP_SLA_READ"},
		{auth.RuleVendorExport, "VE_BACKUP_SLA_WRITE"},
		{auth.RuleIntegration, "NODE_READ"},
	} {
		if a.Gate.May(p.rule, c, c.ProjectID) == nil {
			out = append(out, enumOf(p.name))
		}
	}
	return out
}
