package rpc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Broker is one host of a transport URL with its credentials.
type Broker struct {
	Host     string // name or address, IPv6 without brackets
	Port     int    // 0: the scheme's
	User     string
	Password string
}

// TransportURL is oslo.messaging's transport_url:
//
//	rabbit://user:password@host1:5672,user:password@host2:5672/vhost?ssl=1
//
// It prints without passwords.
type TransportURL struct {
	Scheme  string // rabbit or amqps
	Brokers []Broker
	VHost   string // "/" when the URL names none
	Query   map[string]string
}

// schemes maps what oslo.messaging takes for its RabbitMQ driver; amqps is ours.
var schemes = map[string]string{
	"rabbit": "rabbit", "kombu": "rabbit", "amqp": "rabbit", "amqps": "amqps",
	"kombu+rabbit": "rabbit", "kombu+amqp": "rabbit", "kombu+amqps": "amqps",
}

// ParseTransportURL reads a transport_url as oslo.messaging does: each host has
// its own credentials, user and password are percent-decoded, an empty path
// and // are both vhost "/". Its errors never show the URL, for its password.
func ParseTransportURL(raw string) (TransportURL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme == "" {
		return TransportURL{}, errors.New("transport URL: no scheme, rabbit://... expected")
	}
	u := TransportURL{Scheme: schemes[strings.ToLower(scheme)], VHost: "/"}
	if u.Scheme == "" {
		return TransportURL{}, fmt.Errorf("transport URL: scheme %q is not supported, use rabbit", printable(scheme))
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	var err error
	if u.Query, err = parseQuery(query); err != nil {
		return TransportURL{}, err
	}
	if path != "" {
		// A second slash is the vhost "/" written out: rabbit://host//
		u.VHost = unquote(path)
	}
	for part := range strings.SplitSeq(hosts, ",") {
		if part == "" {
			continue
		}
		b, err := parseBroker(part)
		if err != nil {
			return TransportURL{}, fmt.Errorf("transport URL: host %d: %w", len(u.Brokers)+1, err)
		}
		u.Brokers = append(u.Brokers, b)
	}
	if len(u.Brokers) == 0 {
		return TransportURL{}, errors.New("transport URL: no host")
	}
	return u, nil
}

func parseQuery(query string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("transport URL: the part behind ? is not percent-encoded well")
	}
	q := map[string]string{}
	for key, v := range values {
		q[key] = strings.Join(v, ",")
	}
	return q, nil
}

func parseBroker(part string) (Broker, error) {
	var b Broker
	host := part
	if at := strings.LastIndexByte(part, '@'); at >= 0 {
		user, password, _ := strings.Cut(part[:at], ":")
		b.User, b.Password = unquote(user), unquote(password)
		host = part[at+1:]
	}
	port := ""
	if inner, ok := strings.CutPrefix(host, "["); ok {
		address, tail, closed := strings.Cut(inner, "]")
		if !closed || net.ParseIP(address) == nil || tail != "" && tail[0] != ':' {
			return Broker{}, errors.New("not an IPv6 address in brackets")
		}
		host, port = address, strings.TrimPrefix(tail, ":")
	} else {
		host, port, _ = strings.Cut(host, ":")
	}
	if host == "" {
		return Broker{}, errors.New("no host name")
	}
	b.Host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			// The text is not shown: it is a piece of the password when that
			// has a / ? or # in it.
			return Broker{}, errors.New("the port is no number from 1 to 65535 (is a / ? # or @ in the password percent-encoded?)")
		}
		b.Port = int(n)
	}
	return b, nil
}

// TLS says whether the URL decides about TLS (amqps, or ?ssl=), and how.
func (u TransportURL) TLS() (on, decided bool) {
	if v, ok := u.Query["ssl"]; ok {
		switch strings.ToLower(v) {
		case "1", "true", "yes", "on":
			return true, true
		}
		return false, true
	}
	return u.Scheme == "amqps", u.Scheme == "amqps"
}

// address is what to dial.
func (b Broker) address(tls bool) string {
	port := b.Port
	if port == 0 {
		port = 5672
		if tls {
			port = 5671
		}
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(port))
}

// String gives the URL without passwords and query.
func (u TransportURL) String() string {
	var hosts []string
	for _, b := range u.Brokers {
		h := b.Host
		if strings.Contains(h, ":") {
			h = "[" + h + "]"
		}
		if b.Port != 0 {
			h += ":" + strconv.Itoa(b.Port)
		}
		if b.User != "" {
			h = url.PathEscape(b.User) + ":***@" + h
		}
		hosts = append(hosts, h)
	}
	return u.Scheme + "://" + strings.Join(hosts, ",") + "/" + url.PathEscape(u.VHost)
}

// GoString keeps %#v from showing passwords.
func (u TransportURL) GoString() string { return u.String() }

// LogValue keeps passwords out of logs.
func (u TransportURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// String gives the broker without its password.
func (b Broker) String() string {
	return TransportURL{Scheme: "rabbit", Brokers: []Broker{b}}.String()
}

// GoString keeps %#v from showing the password.
func (b Broker) GoString() string { return b.String() }

// unquote decodes %XX. As in oslo.messaging, a % without two digits behind it
// stands for itself, for a password may hold one.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// printable shortens and cleans text for an error line.
func printable(s string) string {
	const longest = 20
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "?")
}
