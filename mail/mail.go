// Package mail hands messages to an SMTP server. Each recipient gets a message of
// his own, so none is told of the others, and one that the server refuses does not
// cost the others theirs.
//
// What the server or the network may yet do (a 4xx answer, a connection that cannot
// be made) is tried again until the time for it is over; then Send says so. A message
// that is tried again keeps its Message-ID: should the server have taken it and only
// the answer been lost, the two can be told to be one.
package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	smtp "github.com/wneessen/go-mail"

	"github.com/stowage/stowage"
)

// Security is how a connection is secured.
type Security string

// The kinds there are. No password is sent over a connection in clear.
const (
	STARTTLS Security = "starttls" // begins in clear; without TLS nothing is sent
	TLS      Security = "tls"      // from the first byte
	Clear    Security = "none"
)

// Options say where messages go.
type Options struct {
	Host     string
	Port     int
	Security Security
	TLS      *tls.Config // nil: the system's certificates
	User     string      // empty: no login
	Password string      // never log
	From     string      // as a mail's header has it
	Domains  []string    // where mail may go; empty: anywhere
	Hello    string      // the name we give; empty: this host's
	Now      func() time.Time
	NewID    func() string
	// Timeout bounds one Send, attempts and pauses together; 0: 20 s.
	Timeout time.Duration
	// Pause is before the second attempt, and grows; 0: 1 s.
	Pause time.Duration
}

// Sender sends. It may be used by many at the same time.
type Sender struct {
	Options
	from *mail.Address
}

// New checks the options; it calls nobody.
func New(o Options) (*Sender, error) {
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("the sender %q is no mail address: %w", o.From, err)
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	s := &Sender{o, from}
	_, err = s.client(s.call)
	return s, err
}

// Message is one message for each of the recipients.
type Message struct {
	ID          string   // the same for what is sent again; empty: another each time
	To          []string // addresses, as Addresses gives them
	Subject     string
	Text, HTML  string
	Attachments []Attachment
}

// Attachment is a file that goes along.
type Attachment struct {
	Name, Type string
	Content    []byte
}

// MaxRecipients is how many may get one message.
const MaxRecipients = 50

// Addresses reads what somebody typed: addresses one by one, or several in one text
// with commas or semicolons between them. Each is given once, bare. Invalid: it is
// none, or there are none or too many.
func Addresses(typed ...string) ([]string, error) {
	var all []string
	known := map[string]bool{}
	for _, t := range typed {
		for _, one := range strings.FieldsFunc(t, func(c rune) bool { return c == ',' || c == ';' }) {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			a, err := mail.ParseAddress(one)
			if err != nil || len(a.Address) > 254 || strings.ContainsAny(a.Address, "\r\n\x00 <>\"") {
				return nil, stowage.Errorf(stowage.Invalid, "%.64q is no mail address.", one)
			}
			if key := strings.ToLower(a.Address); !known[key] {
				known[key] = true
				all = append(all, a.Address)
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, stowage.Errorf(stowage.Invalid, "There must be a mail address.")
	case len(all) > MaxRecipients:
		return nil, stowage.Errorf(stowage.Invalid, "There may be %d mail addresses at most.", MaxRecipients)
	}
	return all, nil
}

func (s *Sender) client(dial smtp.DialContextFunc) (*smtp.Client, error) {
	options := []smtp.Option{smtp.WithPort(s.Port), smtp.WithTimeout(s.Timeout), smtp.WithDialContextFunc(dial), smtp.WithTLSConfig(s.secure())}
	switch s.Security {
	case TLS:
		// dial has begun TLS, which the library finds out in this mode only.
		options = append(options, smtp.WithTLSPolicy(smtp.TLSOpportunistic))
	case Clear:
		options = append(options, smtp.WithTLSPolicy(smtp.NoTLS))
	default:
		options = append(options, smtp.WithTLSPolicy(smtp.TLSMandatory))
	}
	if s.User != "" {
		options = append(options, smtp.WithSMTPAuth(smtp.SMTPAuthAutoDiscover), smtp.WithUsername(s.User), smtp.WithPassword(s.Password))
	}
	if s.Hello != "" {
		options = append(options, smtp.WithHELO(s.Hello))
	}
	c, err := smtp.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", s.Host, err)
	}
	return c, nil
}

func (s *Sender) secure() *tls.Config {
	config := &tls.Config{}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	config.ServerName, config.MinVersion = s.Host, tls.VersionTLS12
	return config
}

// call connects. Whoever calls hangs up: the library leaves the connection open if it
// does not get as far as a message, and does not see that the time is over.
func (s *Sender) call(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Security == TLS {
		return (&tls.Dialer{Config: s.secure()}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Send hands a message to the server. Invalid: the server refuses a recipient or
// the message for good; the others have theirs. Unavailable: it could not be sent in
// time, to one of them at least.
func (s *Sender) Send(ctx context.Context, m Message) error {
	for _, to := range m.To {
		if domain := strings.ToLower(to[strings.LastIndexByte(to, '@')+1:]); len(s.Domains) > 0 && !slices.Contains(s.Domains, domain) {
			return stowage.Errorf(stowage.Invalid, "The operator lets no mail go to %.64s.", domain)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	waiting, err := s.write(m)
	if err != nil {
		return err
	}
	var refused []error
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = s.Pause
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		var again []*smtp.Msg
		var last error
		again, last = s.attempt(ctx, waiting, &refused)
		if waiting = again; len(waiting) > 0 {
			return struct{}{}, last
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(0))
	switch {
	case err != nil:
		return stowage.Wrap(stowage.Unavailable, errors.Join(append(refused, err)...), "The mail server does not take the message now. Try again later.")
	case len(refused) > 0:
		return stowage.Wrap(stowage.Invalid, errors.Join(refused...), "The mail server refused the message for %d of %d recipients.", len(refused), len(m.To))
	}
	return nil
}

// attempt tries to send the messages over one connection, and gives those to try
// again and why.
func (s *Sender) attempt(ctx context.Context, messages []*smtp.Msg, refused *[]error) (again []*smtp.Msg, last error) {
	attempt, hangUp := context.WithCancel(ctx)
	defer hangUp()
	c, err := s.client(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.call(ctx, network, address)
		if err == nil {
			context.AfterFunc(attempt, func() { _ = conn.Close() }) // it may be closed already
		}
		return conn, err
	})
	if err != nil {
		return messages, backoff.Permanent(err)
	}
	err = c.DialAndSendWithContext(ctx, messages...)
	for _, m := range messages {
		own := m.SendError()
		switch {
		case m.IsDelivered():
		case own != nil && final(own):
			*refused = append(*refused, own)
		default:
			again, last = append(again, m), errors.Join(own, err)
		}
	}
	if final(err) && len(again) == len(messages) {
		last = backoff.Permanent(last) // it does not let us in
	}
	return again, last
}

// final reports whether the server said that it will not be another answer later.
func final(err error) bool {
	if e, ok := errors.AsType[*smtp.SendError](err); ok {
		return e.ErrorCode() >= 500
	}
	answer, ok := errors.AsType[*textproto.Error](err)
	return ok && answer.Code >= 500
}

// write makes a message for each recipient.
func (s *Sender) write(m Message) ([]*smtp.Msg, error) {
	var all []*smtp.Msg
	for _, to := range m.To {
		msg := smtp.NewMsg(smtp.WithNoDefaultUserAgent())
		msg.FromMailAddress(s.from)
		if err := msg.To(to); err != nil {
			return nil, stowage.Wrap(stowage.Invalid, err, "%.64q is no mail address.", to)
		}
		_, domain, _ := strings.Cut(s.from.Address, "@")
		id := s.NewID()
		if m.ID != "" {
			id = fmt.Sprintf("%x", sha256.Sum256([]byte(m.ID+" "+to)))
		}
		msg.SetMessageIDWithValue(id + "@" + domain)
		msg.SetDateWithValue(s.Now())
		msg.SetGenHeader("Auto-Submitted", "auto-generated")
		msg.Subject(oneLine(m.Subject))
		msg.SetBodyString(smtp.TypeTextPlain, m.Text)
		if m.HTML != "" {
			msg.AddAlternativeString(smtp.TypeTextHTML, m.HTML)
		}
		for _, a := range m.Attachments {
			if err := msg.AttachReader(oneLine(a.Name), bytes.NewReader(a.Content), smtp.WithFileContentType(smtp.ContentType(a.Type))); err != nil {
				return nil, fmt.Errorf("attach %s: %w", a.Name, err)
			}
		}
		all = append(all, msg)
	}
	return all, nil
}

// oneLine keeps a text from being more than one header.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}
