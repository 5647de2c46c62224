// Package webhook tells addresses of tenants' choosing what happened: CloudEvents 1.0
// in structured JSON, signed with a secret that the receiver shares.
//
// Where it calls is checked when it connects, on the address that the name has then,
// so that no name can be looked up twice with two answers: what is private, local or
// reserved is refused unless the operator allows the network. Redirects are not
// followed, proxies of the environment are not used, TLS is verified, and answers and
// times are bounded.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stowage/stowage"
)

// ContentType is that of an event in structured JSON.
const ContentType = "application/cloudevents+json; charset=UTF-8"

// SignatureHeader holds t=<seconds since 1970>,v1=<hex of the HMAC-SHA256, with the
// secret as the key, of t, a point and the body>.
const SignatureHeader = "X-Stowage-Signature"

// event is a CloudEvent.
type event struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject"`
	Time            string         `json:"time"`
	DataContentType string         `json:"datacontenttype"`
	Data            map[string]any `json:"data"`
}

// Body is what is sent of a delivery: the same each time.
func Body(d stowage.Delivery) ([]byte, error) {
	kind := d.Type()
	what, state := "webhooks", ""
	data := map[string]any{"projectId": d.ProjectID}
	set := func(key, value string) {
		if value != "" {
			data[key] = value
		}
	}
	if after, ok := strings.CutPrefix(kind, "io.stowage.task."); ok {
		what, state = "tasks", after
		set("taskKind", d.Kind)
	}
	if after, ok := strings.CutPrefix(kind, "io.stowage.backup."); ok {
		what, state = "backups", after
	}
	if state != "" {
		data["volumeBytes"], data["storedBytes"] = d.VolumeBytes, d.StoredBytes
	}
	set("state", state)
	set("guid", d.Subject)
	set("protectedEntity", d.EntityID)
	set("backup", d.Backup)
	set("container", d.Container)
	set("statusInfo", d.Reason)
	body, err := json.Marshal(event{
		SpecVersion: "1.0", ID: d.EventID, Source: "/stowage/projects/" + url.PathEscape(d.ProjectID), Type: kind, Subject: what + "/" + d.Subject,
		Time: d.At.UTC().Format(time.RFC3339Nano), DataContentType: "application/json", Data: data,
	})
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", d.EventID, err)
	}
	return body, nil
}

// Sign gives the value of SignatureHeader.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// MaxURL is how long a URL may be.
const MaxURL = 2048

// CheckURL refuses what can never be called: Invalid.
func (g Guard) CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > MaxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return stowage.Errorf(stowage.Invalid, "The URL must be one of http or https with a host, of %d characters at most.", MaxURL)
	case u.User != nil:
		return stowage.Errorf(stowage.Invalid, "The URL must hold no user and no password: the signature tells who calls.")
	case u.Fragment != "":
		return stowage.Errorf(stowage.Invalid, "The URL must have no fragment.")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.Check(ip)
	}
	return nil
}

// Guard says where calls may go.
type Guard struct{ Allowed []netip.Prefix }

// reserved are the networks that are not the internet's, beyond those that netip knows.
var reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

// Check refuses an address that may not be called: Invalid.
func (g Guard) Check(ip netip.Addr) error {
	plain := ip.Unmap().WithZone("")
	for _, p := range g.Allowed {
		if p.Contains(plain) {
			return nil
		}
	}
	bad := !plain.IsGlobalUnicast() || plain.IsPrivate() || ip.Zone() != ""
	for _, p := range reserved {
		bad = bad || p.Contains(plain)
	}
	if bad {
		return stowage.Errorf(stowage.Invalid, "The address %s is in a network that webhooks may not call.", ip)
	}
	return nil
}

// control is asked for each connection, with the address it is about to go to.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	return g.Check(at.Addr())
}

// Caller calls webhooks. It may be used by many at the same time.
type Caller struct {
	client *http.Client
	now    func() time.Time
	agent  string
}

// Options are a Caller's.
type Options struct {
	Guard   Guard
	Timeout time.Duration // of one call, whole
	TLS     *tls.Config   // nil: the system's certificates
	Now     func() time.Time
	Version string
}

// The bounds of what is read of an answer.
const (
	mostAnswer = 1 << 10
	mostHeader = 16 << 10
)

// NewCaller makes a caller.
func NewCaller(o Options) *Caller {
	dialer := &net.Dialer{Timeout: o.Timeout, Control: o.Guard.control}
	secure := &tls.Config{}
	if o.TLS != nil {
		secure = o.TLS.Clone()
	}
	secure.MinVersion = tls.VersionTLS12
	return &Caller{
		now: o.Now, agent: "Stowage/" + o.Version,
		client: &http.Client{
			Timeout:       o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: secure, DisableKeepAlives: true, // each call is checked
				MaxResponseHeaderBytes: mostHeader, TLSHandshakeTimeout: o.Timeout, ForceAttemptHTTP2: true, DisableCompression: true,
			},
		},
	}
}

// Answer is what a webhook answered.
type Answer struct {
	Status int
	Begins string // the first 1024 bytes, made readable
	Took   time.Duration
}

// Call sends a body, signed. An error says that there was no answer, in words for the
// owner of the webhook; what was answered is not judged here.
func (c *Caller) Call(ctx context.Context, address string, secret, body []byte) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, stowage.Wrap(stowage.Invalid, err, "The URL cannot be called.")
	}
	begun := c.now()
	r.Header.Set("Content-Type", ContentType)
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set(SignatureHeader, Sign(secret, body, begun))
	resp, err := c.client.Do(r)
	if err != nil {
		return Answer{Took: c.now().Sub(begun)}, told(err, r.URL)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	a := Answer{Status: resp.StatusCode, Begins: readable(text), Took: c.now().Sub(begun)}
	if err != nil {
		return a, told(err, r.URL)
	}
	return a, nil
}

// told gives a failure words that tell no more than the owner may know: an address only
// if he wrote it into the URL, not what a name leads to here.
func told(err error, u *url.URL) error {
	if refused, ok := errors.AsType[*stowage.Error](err); ok {
		if _, notIP := netip.ParseAddr(u.Hostname()); notIP == nil {
			return refused
		}
		return stowage.Wrap(refused.Code, err, "The name %.200s leads into a network that webhooks may not call.", u.Hostname())
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return stowage.Wrap(stowage.Unavailable, err, "The name %.200s could not be looked up.", dns.Name)
	}
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return stowage.Wrap(stowage.Unavailable, err, "The certificate is not trusted: %.300s", wrong.Err.Error())
	}
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return stowage.Wrap(stowage.Unavailable, err, "There was no answer in time.")
	case errors.Is(err, syscall.ECONNREFUSED):
		return stowage.Wrap(stowage.Unavailable, err, "The connection was refused.")
	}
	return stowage.Wrap(stowage.Unavailable, err, "The connection failed.")
}

// readable leaves of an answer what can be shown and kept as text.
func readable(b []byte) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
}
