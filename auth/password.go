package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stowage/stowage"
)

// Login is what a user types to prove who he is.
type Login struct {
	Domain   string // of the user and of the project, by name
	User     string
	Password Secret
	Project  string // by name; empty: the user's default one, or the only one he has
}

// Passwords checks logins.
type Passwords interface {
	// Login gives the caller with a token of his own, and when that ends (zero:
	// never). ErrCredentials: he is not who he says. Invalid: no project can be
	// told. Unavailable: the identity service cannot be asked.
	Login(ctx context.Context, l Login) (Caller, time.Time, error)
}

// ErrCredentials is all that is told of a login that failed: not which part.
var ErrCredentials = stowage.Errorf(stowage.Invalid, "The login or the password is wrong.")

var errNoProject = stowage.Errorf(stowage.Invalid, "The user has no default project: name one with the login.")

// Login implements Passwords with a token that Keystone gives for the password.
func (k *Keystone) Login(ctx context.Context, l Login) (Caller, time.Time, error) {
	domain := map[string]string{"name": l.Domain}
	user := map[string]any{"name": l.User, "domain": domain, "password": l.Password.Reveal()}
	identity := map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": user}}
	var scope any
	if l.Project != "" {
		scope = map[string]any{"project": map[string]any{"name": l.Project, "domain": domain}}
	}
	id, t, err := k.obtain(ctx, identity, scope)
	if err != nil {
		return Caller{}, time.Time{}, err
	}
	if t.Project.ID == "" {
		if id, t, err = k.onlyProject(ctx, id); err != nil {
			return Caller{}, time.Time{}, err
		}
	}
	k.remember(tokenKey(sha256.Sum256([]byte(id))), t)
	c := t.caller()
	c.Token = NewSecret(id)
	return c, t.ExpiresAt, nil
}

// onlyProject changes a token without a project for one of the only project its
// user has.
func (k *Keystone) onlyProject(ctx context.Context, id string) (string, token, error) {
	status, body, _, err := k.send(ctx, http.MethodGet, "/v3/auth/projects", id, nil)
	if err != nil || status != http.StatusOK {
		return "", token{}, unavailable(fmt.Errorf("list the user's projects: status %d: %w", status, err))
	}
	var answer struct {
		Projects []named `json:"projects"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", token{}, unavailable(fmt.Errorf("list the user's projects: %w", err))
	}
	if len(answer.Projects) != 1 {
		return "", token{}, errNoProject
	}
	identity := map[string]any{"methods": []string{"token"}, "token": map[string]string{"id": id}}
	return k.obtain(ctx, identity, map[string]any{"project": map[string]string{"id": answer.Projects[0].ID}})
}

// obtain asks Keystone for a token.
func (k *Keystone) obtain(ctx context.Context, identity, scope any) (string, token, error) {
	ask := map[string]any{"identity": identity}
	if scope != nil {
		ask["scope"] = scope
	}
	request, err := json.Marshal(map[string]any{"auth": ask})
	if err != nil {
		return "", token{}, fmt.Errorf("write a login: %w", err)
	}
	status, body, id, err := k.send(ctx, http.MethodPost, "/v3/auth/tokens?nocatalog", "", request)
	switch {
	case err != nil:
		return "", token{}, unavailable(fmt.Errorf("log a user in: %w", err))
	case status == http.StatusUnauthorized, status == http.StatusBadRequest, status == http.StatusForbidden:
		// 403 is what a user who is locked out for a while gets. The body holds no
		// secret, and the log needs it.
		k.o.Log.InfoContext(ctx, "login refused by Keystone", "status", status, "answer", excerpt(body))
		return "", token{}, stowage.Wrap(stowage.Invalid, ErrCredentials, "%s", ErrCredentials.Message)
	case status != http.StatusCreated || !plausible(id):
		return "", token{}, unavailable(fmt.Errorf("log a user in: status %d: %s", status, excerpt(body)))
	}
	t, err := parseToken(body)
	if err != nil {
		return "", token{}, unavailable(err)
	}
	if t.expired(k.o.Now()) {
		return "", token{}, unavailable(errors.New("log a user in: the token has expired already: is the clock right?"))
	}
	return id, t, nil
}

// send sends one request to Keystone, with a user's token or with none.
func (k *Keystone) send(ctx context.Context, method, path, own string, request []byte) (status int, body []byte, subject string, err error) {
	s := k.o.Session
	ctx, cancel := context.WithTimeout(ctx, s.login.timeout)
	defer cancel()
	client := s.login.keystone()
	var resp *http.Response
	err = retryConnect(ctx, s.login.credentials.MaxRetries, s.login.pause, func() error {
		req, err := http.NewRequestWithContext(ctx, method, s.AuthURL()+path, bytes.NewReader(request))
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", "stowage")
		if own != "" {
			req.Header.Set("X-Auth-Token", own)
		}
		resp, err = client.Do(req) //nolint:bodyclose // closed below
		return err
	})
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end or given up
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, resp.Header.Get("X-Subject-Token"), err
}

// Login implements Passwords for whoever Noauth believes anyway: the login is
// his token, `user:project` or `user`, and the password is not looked at.
func (n Noauth) Login(ctx context.Context, l Login) (Caller, time.Time, error) {
	token := l.User
	if l.Project != "" {
		token += ":" + l.Project
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return Caller{}, time.Time{}, fmt.Errorf("log in: %w", err)
	}
	r.Header.Set("X-Auth-Token", token)
	c, err := n.Validate(ctx, r)
	if err != nil {
		return c, time.Time{}, stowage.Wrap(stowage.Invalid, ErrCredentials, "%s", ErrCredentials.Message)
	}
	return c, time.Time{}, nil
}
