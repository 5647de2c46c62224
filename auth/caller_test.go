package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/stowage/stowage"
)

func TestSecretsCannotBePrinted(t *testing.T) {
	const value = "gAAAAABsecret"
	s := NewSecret(value)
	caller := Caller{UserID: "u1", ProjectID: "p1", Roles: []string{"member"}, Token: s}
	hidden := struct{ c Caller }{caller}
	creds := Credentials{Username: "u", Password: s, ApplicationCredentialSecret: s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, caller, &caller, hidden, &hidden, creds, []Caller{caller}, map[string]any{"x": caller}, map[string]Secret{"x": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		data, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(data)
		if data, err = yaml.Marshal(v); err != nil {
			t.Error(err)
		}
		out.Write(data)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("event", "value", v, slog.Group("g", "value", v))
		}
	}
	text := out.String()
	for _, leak := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value)} {
		if strings.Contains(text, leak) {
			t.Errorf("%q was printed", leak)
		}
	}
	if !strings.Contains(text, "user=u1") || !strings.Contains(text, redacted) {
		t.Error("what may be printed is not")
	}
	if s.Reveal() != value || (Secret{}).Reveal() != "" || !NewSecret("").Empty() {
		t.Error("the secret is not kept")
	}
}

func TestCallerTravelsInTheContext(t *testing.T) {
	if _, ok := CallerFrom(t.Context()); ok {
		t.Error("a caller from nowhere")
	}
	got, ok := CallerFrom(WithCaller(t.Context(), Caller{UserID: "u1"}))
	if !ok || got.UserID != "u1" {
		t.Errorf("%v %v", got, ok)
	}
}

func TestNoauth(t *testing.T) {
	for token, want := range map[string]string{
		"demo:p1": "demo p1 member,reader", "demo": "demo demo member,reader", " demo:p1 ": "demo p1 member,reader",
		"admin:p1": "admin p1 admin,member,reader", "admin": "admin admin admin,member,reader",
		"Admin": "Admin Admin member,reader", "a.b_c@d-e:P.1": "a.b_c@d-e P.1 member,reader",
	} {
		for _, header := range []string{"X-Auth-Token", "X-Storage-Token"} {
			c := accept(t, Noauth{}, get(header, token))
			if got := c.UserID + " " + c.ProjectID + " " + strings.Join(c.Roles, ","); got != want {
				t.Errorf("%q: %s", token, got)
			}
			if c.UserName != c.UserID || c.ProjectName != c.ProjectID || !c.IsAdminProject || !slices.Equal(c.Methods, []string{"noauth"}) {
				t.Errorf("%q: %+v", token, c)
			}
		}
	}
	for _, token := range []string{"", " ", ":", "demo:", ":p1", "a:b:c", "a/b", "a b", "a\nb", "ä", strings.Repeat("a", 65), "u:" + strings.Repeat("p", 65)} {
		refuse(t, Noauth{}, get("X-Auth-Token", token), stowage.Unauthorized)
	}
	refuse(t, Noauth{}, get("X-User-Id", "admin", "X-Roles", "admin"), stowage.Unauthorized)
}
