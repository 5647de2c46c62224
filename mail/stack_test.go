//go:build stack

package mail

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/stacktest"
)

// real is a sender to the stack's mail server.
func real(t *testing.T, security Security, port string) *Sender {
	t.Helper()
	pem, err := os.ReadFile(stacktest.Env(t, "MAIL_CA"))
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(pem)
	n, err := strconv.Atoi(stacktest.Env(t, port))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{
		Host: "127.0.0.1", Port: n, Security: security, TLS: &tls.Config{RootCAs: trust}, User: stacktest.Env(t, "MAIL_USER"),
		Password: stacktest.Env(t, "MAIL_PASSWORD"), From: "Stowage <stowage@cloud.test>", Now: time.Now, NewID: uuid.NewString,
		Timeout: 10 * time.Second, Pause: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// delivered gives the messages to an address in the Maildir.
func delivered(t *testing.T, to string) (found []*mail.Message) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(stacktest.Env(t, "MAIL_DIR"), "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("X-RcptTo") == to {
			found = append(found, m)
		}
	}
	return found
}

func TestARealServerTakesMailAfterTLSAndALogin(t *testing.T) {
	for security, port := range map[Security]string{STARTTLS: "MAIL_PORT", TLS: "MAIL_TLS_PORT"} {
		t.Run(string(security), func(t *testing.T) {
			a, b := uuid.NewString()+"@x.test", uuid.NewString()+"@x.test"
			err := real(t, security, port).Send(t.Context(), Message{
				ID: a, To: []string{a, "nobody-" + b, b}, Subject: "Report 名前", Text: "text", HTML: "<b>html</b>",
				Attachments: []Attachment{{"report.pdf", "application/pdf", []byte("%PDF-1.3")}},
			})
			if stowage.CodeOf(err) != stowage.Invalid || !strings.Contains(stowage.MessageOf(err), "1 of 3") {
				t.Errorf("one is refused: %v", err)
			}
			for _, to := range []string{a, b} {
				got := delivered(t, to)
				if len(got) != 1 {
					t.Fatalf("%s got %d messages", to, len(got))
				}
				body, err := io.ReadAll(got[0].Body)
				if err != nil {
					t.Fatal(err)
				}
				if h := got[0].Header; h.Get("To") != "<"+to+">" || h.Get("From") != `"Stowage" <stowage@cloud.test>` || !strings.HasPrefix(h.Get("Subject"), "=?UTF-8?") ||
					!strings.Contains(string(body), "report.pdf") || !strings.Contains(string(body), "<b>html</b>") {
					t.Errorf("it got %v\n%s", h, body)
				}
			}
			if got := delivered(t, "nobody-"+b); len(got) != 0 {
				t.Errorf("who was refused got %v", got)
			}
		})
	}
}

func TestARealServerIsNotTrustedNorDoesItTrustUnproven(t *testing.T) {
	to := uuid.NewString() + "@x.test"
	wrong := real(t, STARTTLS, "MAIL_PORT")
	wrong.Password = "wrong"
	stranger := real(t, STARTTLS, "MAIL_PORT")
	stranger.Options.TLS = nil // the system's certificates
	stranger.Timeout = time.Second
	clear := real(t, Clear, "MAIL_PORT")
	clear.Timeout = time.Second
	for name, s := range map[string]*Sender{"a wrong password": wrong, "a certificate of nobody's": stranger, "no TLS": clear} {
		if err := s.Send(t.Context(), Message{To: []string{to}, Subject: "s", Text: "t"}); stowage.CodeOf(err) != stowage.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := delivered(t, to); len(got) != 0 {
		t.Errorf("it got %v", got)
	}
}
