package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
)

// SessionOptions are the parts and knobs of Sessions.
type SessionOptions struct {
	DB        *db.DB
	Passwords auth.Passwords
	Validator auth.Validator // of the tokens that passwords gave
	Random    io.Reader
	Now       func() time.Time
	Log       *slog.Logger

	// Domain and Project are those of logins that name none; an empty project
	// is the user's default one.
	Domain, Project string
	// Qualified lets a login name them: user@domain:project.
	Qualified bool

	Idle time.Duration // a session unused for so long is over; 0: 15 minutes
	Life time.Duration // and any after this; 0: 12 hours
	// Remember is how long a login that worked is known again without asking
	// Keystone for another token; 0: 5 minutes, negative: not at all.
	Remember time.Duration
}

// Sessions are logins of clients that hold no token of Keystone's: what they get
// for login and password is a ticket, good for a while.
//
// Clients log in anew before every call. So that this costs neither Keystone a
// token nor us a round trip, a login that worked is remembered for minutes: the
// token it gave, under a HMAC of all that was typed, with a key that nobody but
// this process ever has. The token is validated each time all the same: a
// password that was changed revokes it, and then Keystone decides again.
type Sessions struct {
	SessionOptions
	key    [sha256.Size]byte
	known  *lru.Cache[[sha256.Size]byte, knownLogin]
	fails  *failures
	asking chan struct{} // bounds the questions to Keystone at once
}

type knownLogin struct {
	token       auth.Secret
	until, ends time.Time
}

// ErrTooManyLogins: there were too many failures lately to be asked again now.
var ErrTooManyLogins = stowage.Errorf(stowage.Unavailable, "There were too many failed logins. Try again later.")

// What is remembered of logins, and asked at once.
const (
	knownLogins   = 4096
	loginsAtOnce  = 16
	leastTokenUse = 2 * time.Minute // a token with less to live is not given out again
)

// NewSessions makes them. An error is a lack of randomness.
func NewSessions(o SessionOptions) (*Sessions, error) {
	for _, d := range []struct {
		have  *time.Duration
		other time.Duration
	}{{&o.Idle, 15 * time.Minute}, {&o.Life, 12 * time.Hour}, {&o.Remember, 5 * time.Minute}} {
		if *d.have == 0 {
			*d.have = d.other
		}
	}
	s := &Sessions{SessionOptions: o, fails: newFailures(), asking: make(chan struct{}, loginsAtOnce)}
	if _, err := io.ReadFull(o.Random, s.key[:]); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	known, err := lru.New[[sha256.Size]byte, knownLogin](knownLogins)
	if err != nil {
		return nil, fmt.Errorf("remember logins: %w", err)
	}
	s.known = known
	return s, nil
}

// Session is a login that is good.
type Session struct {
	Ticket auth.Ticket // zero for one that was not just begun
	Caller auth.Caller
	Since  time.Time
	Ends   time.Time // at the latest
}

// Login begins a session. Remote is where the client is, for the bounds on
// failures. auth.ErrCredentials, ErrTooManyLogins, or Unavailable.
func (s *Sessions) Login(ctx context.Context, login, password, remote string) (Session, error) {
	who := s.parse(login)
	who.Password = auth.NewSecret(password)
	now := s.Now()
	caller, ends, err := s.check(ctx, who, remote)
	if err != nil {
		return Session{}, err
	}
	ticket, err := auth.NewTicket(s.Random)
	if err != nil {
		return Session{}, err
	}
	sealed, err := ticket.Seal(caller.Token, s.Random)
	if err != nil {
		return Session{}, err
	}
	out := Session{Ticket: ticket, Caller: caller, Since: now, Ends: now.Add(s.Life)}
	if !ends.IsZero() && ends.Before(out.Ends) {
		out.Ends = ends
	}
	err = s.DB.AddLoginSession(ctx, db.LoginSession{
		Hash: ticket.Hash(), UserID: caller.UserID, ProjectID: caller.ProjectID, Sealed: sealed,
		CreatedAt: now, IdleUntil: now.Add(s.Idle), EndsAt: out.Ends,
	})
	return out, err
}

// parse reads user@domain:project as far as that is allowed. The last of each
// sign counts: users may be called by their mail address.
func (s *Sessions) parse(login string) auth.Login {
	l := auth.Login{User: login, Domain: s.Domain, Project: s.Project}
	if !s.Qualified {
		return l
	}
	if at := strings.LastIndexByte(l.User, ':'); at > 0 {
		l.User, l.Project = l.User[:at], l.User[at+1:]
	}
	if at := strings.LastIndexByte(l.User, '@'); at > 0 {
		l.User, l.Domain = l.User[:at], l.User[at+1:]
	}
	return l
}

// check finds out whether a login is good: from memory, or from Keystone.
func (s *Sessions) check(ctx context.Context, l auth.Login, remote string) (auth.Caller, time.Time, error) {
	mac := s.mac(l)
	if c, ends, ok := s.remembered(ctx, mac); ok {
		return c, ends, nil
	}
	// Behind a proxy all come from one place, so both count: who guesses many
	// passwords of one user, and who guesses at many users.
	// Keystone's database mostly takes names that differ in case or blanks for one.
	whose := strings.ToLower("user "+strings.TrimSpace(l.User)+"@"+strings.TrimSpace(l.Domain)) + " from " + remote
	if now := s.Now(); s.fails.tooMany(whose, now) || s.fails.tooMany("from "+remote, now) {
		return auth.Caller{}, time.Time{}, ErrTooManyLogins
	}
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return auth.Caller{}, time.Time{}, ctx.Err()
	}
	c, ends, err := s.Passwords.Login(ctx, l)
	if errors.Is(err, auth.ErrCredentials) {
		s.fails.note(whose, s.Now(), failuresOfUser)
		s.fails.note("from "+remote, s.Now(), failuresOfPlace)
		s.Log.WarnContext(ctx, "login failed", "login", l.User, "domain", l.Domain, "remote", remote)
	}
	if err != nil {
		return c, ends, err
	}
	if s.Remember > 0 {
		s.known.Add(mac, knownLogin{c.Token, s.Now().Add(s.Remember), ends})
	}
	return c, ends, nil
}

// mac is what a login is remembered by. Each part goes in with its length.
func (s *Sessions) mac(l auth.Login) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.key[:])
	for _, part := range []string{l.Domain, l.User, l.Project, l.Password.Reveal()} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	h.Sum(sum[:0])
	return sum
}

// remembered gives the caller of a login that worked lately and whose token is
// still good.
func (s *Sessions) remembered(ctx context.Context, mac [sha256.Size]byte) (auth.Caller, time.Time, bool) {
	k, ok := s.known.Get(mac)
	if !ok {
		return auth.Caller{}, time.Time{}, false
	}
	now := s.Now()
	if !now.Before(k.until) || !k.ends.IsZero() && now.Add(leastTokenUse).After(k.ends) {
		s.known.Remove(mac)
		return auth.Caller{}, time.Time{}, false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return auth.Caller{}, time.Time{}, false
	}
	r.Header.Set("X-Auth-Token", k.token.Reveal())
	c, err := s.Validator.Validate(ctx, r)
	if err != nil {
		// Revoked: the password may be another one now. Away: Keystone will say so.
		s.known.Remove(mac)
		return auth.Caller{}, time.Time{}, false
	}
	return c, k.ends, true
}

// Resume gives the session of a ticket, for a request that holds it, and lets
// it be idle anew. Unauthorized: it is over, or was never there, or its token is
// no good any more.
func (s *Sessions) Resume(ctx context.Context, r *http.Request, ticket string) (Session, error) {
	over := func(cause error) error {
		return stowage.Wrap(stowage.Unauthorized, cause, "There is no valid session: log in first.")
	}
	t, err := auth.ParseTicket(ticket)
	if err != nil {
		return Session{}, over(err)
	}
	now := s.Now()
	row, err := s.DB.LoginSession(ctx, t.Hash(), now)
	if stowage.CodeOf(err) == stowage.NotFound {
		return Session{}, over(err)
	}
	if err != nil {
		return Session{}, err
	}
	token, err := t.Open(row.Sealed)
	if err != nil {
		return Session{}, over(err)
	}
	q := r.Clone(ctx)
	for _, h := range []string{"X-Storage-Token", "X-Service-Token"} {
		q.Header.Del(h)
	}
	q.Header.Set("X-Auth-Token", token.Reveal())
	c, err := s.Validator.Validate(ctx, q)
	if stowage.CodeOf(err) == stowage.Unauthorized {
		return Session{}, over(err)
	}
	if err != nil {
		return Session{}, err
	}
	// A write a minute is enough to know that somebody is there.
	if until := now.Add(s.Idle); until.Sub(row.IdleUntil) > min(s.Idle/10, time.Minute) {
		if err := s.DB.UseLoginSession(ctx, row.Hash, until); err != nil {
			return Session{}, err
		}
	}
	return Session{Caller: c, Since: row.CreatedAt, Ends: row.EndsAt}, nil
}

// Logout ends the session of a ticket. What is no ticket is none.
func (s *Sessions) Logout(ctx context.Context, ticket string) error {
	t, err := auth.ParseTicket(ticket)
	if err != nil {
		return nil
	}
	return s.DB.EndLoginSession(ctx, t.Hash())
}
