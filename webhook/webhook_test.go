package webhook

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 123456000, time.UTC)

func TestAnEventIsACloudEvent(t *testing.T) {
	d := stowage.Delivery{
		EventID: "5f3e.2.finished", Event: stowage.EventOf("io.stowage.task.finished"), ProjectID: "p/ü", Subject: "5f3e", At: noon,
		Kind: "backup", EntityID: "vol", Backup: "77aa", Container: "c", VolumeBytes: 1 << 30, StoredBytes: 1000,
	}
	body, err := Body(d)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"5f3e.2.finished","source":"/stowage/projects/p%2F%C3%BC","type":"io.stowage.task.finished",` +
		`"subject":"tasks/5f3e","time":"2026-11-20T12:00:00.123456Z","datacontenttype":"application/json","data":{"backup":"77aa","container":"c",` +
		`"guid":"5f3e","projectId":"p/ü","protectedEntity":"vol","state":"finished","storedBytes":1000,"taskKind":"backup","volumeBytes":1073741824}}`
	if string(body) != want {
		t.Errorf("it is\n%s\nwant\n%s", body, want)
	}
	for _, kind := range stowage.EventTypes {
		d.Event = stowage.EventOf(kind)
		body, err := Body(d)
		if err != nil {
			t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		// What CloudEvents 1.0 requires: present and not empty.
		for _, key := range []string{"specversion", "id", "source", "type"} {
			if s, ok := e[key].(string); !ok || s == "" {
				t.Errorf("%s: %s is %v", kind, key, e[key])
			}
		}
		if _, err := time.Parse(time.RFC3339Nano, e["time"].(string)); err != nil || e["type"] != kind {
			t.Errorf("%s: %v, %v", kind, e, err)
		}
	}
}

func TestASignatureIsWhatTheDocumentSays(t *testing.T) {
	// printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
	const want = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
	got := Sign([]byte("secret"), []byte("{}"), time.Unix(1700000000, 0))
	if got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
	for _, other := range []string{
		Sign([]byte("secret2"), []byte("{}"), time.Unix(1700000000, 0)), Sign([]byte("secret"), []byte("{ }"), time.Unix(1700000000, 0)),
		Sign([]byte("secret"), []byte("{}"), time.Unix(1700000001, 0)),
	} {
		if got == other {
			t.Errorf("%s is another's, too", got)
		}
	}
}

func TestTheGuardKnowsWhatIsNotTheInternet(t *testing.T) {
	for _, bad := range []string{
		"127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.0.1",
		"192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::1111%eth0",
	} {
		if err := (Guard{}).Check(netip.MustParseAddr(bad)); stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s may be called: %v", bad, err)
		}
	}
	for _, good := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "::ffff:1.1.1.1", "2606:4700::1111", "2a00::1"} {
		if err := (Guard{}).Check(netip.MustParseAddr(good)); err != nil {
			t.Errorf("%s may not be called: %v", good, err)
		}
	}
	some := Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}}
	for text, allowed := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fd12::1": true, "fc00::1": false} {
		if err := some.Check(netip.MustParseAddr(text)); (err == nil) != allowed {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAURLThatCanNeverBeCalledIsRefused(t *testing.T) {
	for text, good := range map[string]bool{
		"https://example.org/hook?x=1": true, "http://example.org:8080": true, "https://1.1.1.1/": true, "https://[2606:4700::1111]/": true,
		"": false, "example.org": false, "ftp://example.org": false, "https://": false, "https://u:p@example.org": false, "https://example.org/#f": false,
		"https://127.0.0.1/": false, "http://[::1]:80/": false, "http://[::ffff:169.254.169.254]/": false, "file:///etc/passwd": false, "https://a\nb": false,
		"https://example.org/" + strings.Repeat("a", MaxURL): false,
	} {
		if err := (Guard{}).CheckURL(text); (err == nil) != good || err != nil && stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

var here = Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}

func callers(g Guard, s *httptest.Server) *Caller {
	o := Options{Guard: g, Timeout: 500 * time.Millisecond, Now: time.Now, Version: "test"}
	if s.TLS != nil {
		o.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	}
	return NewCaller(o)
}

func TestACallIsSignedAndItsAnswerBounded(t *testing.T) {
	var signature, kind string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signature, kind = r.Header.Get(SignatureHeader), r.Header.Get("Content-Type")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(bytes.Repeat([]byte("a\x00\xffb\n"), 1<<20))
	}))
	defer s.Close()
	a, err := callers(here, s).Call(t.Context(), s.URL, []byte("secret"), []byte("{}"))
	if err != nil || a.Status != http.StatusAccepted || len([]rune(a.Begins)) > 1024 || strings.ContainsRune(a.Begins, 0) || !strings.HasPrefix(a.Begins, "a\uFFFDb\n") {
		t.Errorf("it answered %+v, %v", a, err)
	}
	stamp, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	var at int64
	if _, err := fmt.Sscan(stamp, &at); err != nil || signature != Sign([]byte("secret"), []byte("{}"), time.Unix(at, 0)) || kind != ContentType {
		t.Errorf("the signature is %s, of %s: %v", signature, kind, err)
	}
}

func TestAPrivateAddressIsRefusedWhateverItIsCalled(t *testing.T) {
	var calls atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0"} {
		_, err := callers(Guard{}, s).Call(t.Context(), "http://"+host+":"+port, nil, nil)
		if err == nil {
			t.Errorf("%s was called", host)
		}
		message := stowage.MessageOf(err)
		if host == "localhost" && !strings.Contains(message, "may not call") {
			t.Errorf("%s: %v", host, err)
		}
		// What a name leads to is for the operator's log alone.
		if _, literal := netip.ParseAddr(strings.Trim(host, "[]")); literal != nil && (strings.Contains(message, "127.") || strings.Contains(message, "::") || strings.Contains(message, "0.0.0.0")) {
			t.Errorf("%s: the owner is told %s", host, message)
		}
		if host == "localhost" && !strings.Contains(err.Error(), "127.0.0.1") && !strings.Contains(err.Error(), "::1") {
			t.Errorf("%s: the log has no address: %v", host, err)
		}
		if host == "127.0.0.1" && !strings.Contains(message, host) {
			t.Errorf("the address that was typed is not named: %s", message)
		}
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls came through", calls.Load())
	}
}

func TestRedirectsAndProxiesLeadNowhere(t *testing.T) {
	var calls atomic.Int32
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" || r.Host != strings.TrimPrefix(s.URL, "http://") {
			calls.Add(1)
		}
		http.Redirect(w, r, s.URL+"/other", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	t.Setenv("HTTP_PROXY", s.URL)
	t.Setenv("http_proxy", s.URL)
	if a, err := callers(here, s).Call(t.Context(), s.URL, nil, nil); err != nil || a.Status != http.StatusTemporaryRedirect {
		t.Errorf("it answered %+v, %v", a, err)
	}
	if _, err := callers(here, s).Call(t.Context(), "http://no-such-host.invalid/", nil, nil); err == nil {
		t.Error("a proxy was used")
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls were led elsewhere", calls.Load())
	}
}

func TestWhatIsSlowOrNotTrustedIsToldSo(t *testing.T) {
	stop := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(stop)
	trusted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	trusted.Config.ErrorLog = nil
	defer trusted.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for want, of := range map[string]struct {
		c   *Caller
		url string
	}{
		"in time":     {callers(here, slow), slow.URL},
		"not trusted": {NewCaller(Options{Guard: here, Timeout: time.Second, Now: time.Now, TLS: &tls.Config{}}), trusted.URL},
		"refused":     {callers(here, gone), gone.URL},
		"looked up":   {callers(here, gone), "http://no-such-host.invalid/"},
	} {
		_, err := of.c.Call(t.Context(), of.url, nil, nil)
		if stowage.CodeOf(err) != stowage.Unavailable || !strings.Contains(stowage.MessageOf(err), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestASecretIsOpenedByManagersAndForItsWebhookOnly(t *testing.T) {
	box, err := NewBox(sha256.Sum256([]byte("new")), sha256.Sum256([]byte("old")))
	if err != nil {
		t.Fatal(err)
	}
	old, err := NewBox(sha256.Sum256([]byte("old")))
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range [][]byte{box.Public(), old.Public()} {
		sealed, err := SealSecret(public, "hook", []byte("the secret"))
		if err != nil || bytes.Contains(sealed, []byte("secret")) {
			t.Fatal(err)
		}
		if got, err := box.Open("hook", sealed); err != nil || string(got) != "the secret" {
			t.Errorf("it opened to %q, %v", got, err)
		}
		if _, err := box.Open("another", sealed); stowage.CodeOf(err) != stowage.Forbidden {
			t.Errorf("another webhook's: %v", err)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := box.Open("hook", sealed); err == nil {
			t.Error("a changed one was opened")
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", box, box, box); strings.Contains(shown, "priv") || len(shown) > 100 {
		t.Errorf("it shows %s", shown)
	}
	if _, err := SealSecret([]byte("no key"), "hook", nil); err == nil {
		t.Error("it sealed to no key")
	}
}
