package auth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// secureKeystone is a fake behind TLS, and the files of its certificate and key.
func secureKeystone(t *testing.T, clients tls.ClientAuthType) (c Credentials, certFile, keyFile string) {
	t.Helper()
	fake := newFakeKeystone(t, time.Now)
	secure := httptest.NewUnstartedServer(fake.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // for handshakes that shall fail
	secure.TLS = &tls.Config{ClientAuth: clients}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	key, err := x509.MarshalPKCS8PrivateKey(secure.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: secure.Certificate().Raw},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c = fakeCloud(fake).credentials("stowage")
	c.AuthURL = secure.URL
	return c, certFile, keyFile
}

func TestOnlyTheRightCAIsTrusted(t *testing.T) {
	c, cert, key := secureKeystone(t, tls.NoClientCert)
	if _, err := newSession(t, c).Token(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("an unknown CA: %v", err)
	}
	c.CAFile = cert
	tokenOf(t, newSession(t, c))
	c.CAFile, c.Insecure = "", true
	tokenOf(t, newSession(t, c))
	c.CAFile = key
	if _, err := NewSession(c); !stowage.Is(err, stowage.Invalid) {
		t.Errorf("a cafile without certificates: %v", err)
	}
}

func TestClientCertificateIsShown(t *testing.T) {
	c, cert, key := secureKeystone(t, tls.RequireAnyClientCert)
	c.CAFile = cert
	if _, err := newSession(t, c).Token(t.Context()); !stowage.Is(err, stowage.Unavailable) {
		t.Errorf("without a client certificate: %v", err)
	}
	c.CertFile, c.KeyFile = cert, key
	tokenOf(t, newSession(t, c))
	c.KeyFile = "" // the key is not in the certificate's file
	if _, err := NewSession(c); !stowage.Is(err, stowage.Invalid) {
		t.Errorf("a certificate without a key: %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer there.Close()
	here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusFound))
	defer here.Close()
	g := newGate(t)
	resp, err := g.o.Session.HTTPClient().Get(here.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusFound || followed {
		t.Errorf("status %d, followed %v", resp.StatusCode, followed)
	}
}

func TestProxyIsHandedIn(t *testing.T) {
	var through string
	fake := newFakeKeystone(t, time.Now)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through = r.URL.Host
		fake.Config.Handler.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	c := fakeCloud(fake).credentials("stowage")
	c.AuthURL = "http://keystone.invalid"
	to, _ := url.Parse(proxy.URL)
	tokenOf(t, newSession(t, c, WithProxy(http.ProxyURL(to))))
	if through != "keystone.invalid" {
		t.Errorf("went through to %q", through)
	}
}
