package openstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/stowage/stowage"
)

// fault says in a coded error what went wrong with a call. Whatever is not an
// answer of the neighbour's (no connection, no time, rubbish) is Unavailable.
func (n *neighbour) fault(c call, client *gophercloud.ServiceClient, err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	var coded *stowage.Error
	var relogin *gophercloud.ErrUnableToReauthenticate
	switch {
	case errors.As(err, &coded):
		return fmt.Errorf("%s: %w", c.what, err)
	case errors.As(err, &relogin):
		return n.away(fmt.Errorf("%s: log in again: %w", c.what, relogin.ErrReauth))
	case !errors.As(err, &answer):
		return n.away(fmt.Errorf("%s: %w", c.what, err))
	}
	said := read(answer.Body)
	said.text = hide(said.text, client)
	cause := fmt.Errorf("%s: %s %s: status %d: %s", c.what, answer.Method, hide(answer.URL, client), answer.Actual, said.text)
	message := said.message
	if message == "" {
		message = fmt.Sprintf("The %s refused the request.", n.name)
	}
	message = hide(message, client)
	switch status := answer.Actual; {
	case said.name == "overLimit" || status == http.StatusRequestEntityTooLarge:
		return stowage.Wrap(stowage.OverLimit, cause, "%s", message)
	case c.creates && status < 500 && strings.Contains(strings.ToLower(said.message), "quota"):
		// Quotas have status 413, except where a proxy or a filter answers.
		return stowage.Wrap(stowage.OverLimit, cause, "%s", message)
	case status == http.StatusBadRequest, c.creates && status == http.StatusNotFound:
		return stowage.Wrap(stowage.Invalid, cause, "%s", message)
	case status == http.StatusUnauthorized && c.user != nil:
		return stowage.Wrap(stowage.Unauthorized, cause, "The %s refused the token.", n.name)
	case status == http.StatusForbidden && (c.user != nil || c.creates):
		return stowage.Wrap(stowage.Forbidden, cause, "%s", message)
	case status == http.StatusForbidden:
		return stowage.Wrap(stowage.Forbidden, cause, "The %s does not allow the backup service to do this.", n.name)
	case status == http.StatusNotFound && c.sure && said.name != "itemNotFound":
		return n.away(cause)
	case status == http.StatusNotFound:
		return stowage.Wrap(stowage.NotFound, cause, "%s", c.missing)
	case status == http.StatusConflict:
		return stowage.Wrap(stowage.Conflict, cause, "%s", message)
	case status == http.StatusUnauthorized, status == http.StatusTooManyRequests, status == 498, status >= 500:
		return n.away(cause)
	case status < 300: // not the success that was to be expected: somebody else answers
		return n.away(cause)
	}
	return cause
}

func (n *neighbour) away(cause error) error {
	return stowage.Wrap(stowage.Unavailable, cause, "The %s is temporarily unavailable.", n.name)
}

// said is what a neighbour wrote along with a status it sent.
type said struct {
	name    string // of the fault: "badRequest", "overLimit"
	kind    string // as Neutron adds: "MacAddressInUse"
	message string // for the user; empty if there is none
	text    string // for the log
}

// read reads a fault body, {"<name>": {"code": 400, "message": "..."}} of
// Cinder or a page of HTML of whoever stands before it.
func read(body []byte) said {
	s := said{text: bound(string(body))}
	var faults map[string]struct {
		Message string `json:"message"`
		Type    string `json:"type"`
	}
	if json.Unmarshal(body, &faults) != nil || len(faults) != 1 {
		return s
	}
	for name, f := range faults {
		s.name, s.kind, s.message = name, f.Type, bound(f.Message)
	}
	return s
}

// bound makes a foreign text fit to be shown: one line of 500 characters.
func bound(s string) string {
	if len(s) > 4096 {
		s = s[:4096]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 500 {
		s = string(r[:500]) + "..."
	}
	return strings.TrimSpace(s)
}

// hide takes the token of the call out of a text that came from outside.
func hide(s string, client *gophercloud.ServiceClient) string {
	if client == nil || client.Token() == "" {
		return s
	}
	return strings.ReplaceAll(s, client.Token(), "[redacted]")
}
