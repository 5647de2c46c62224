package swift

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	ncw "github.com/ncw/swift/v2"

	"github.com/stowage/stowage"
)

// failure is one attempt that did not work.
type failure struct {
	status int           // of the answer, 0 if there was none worth the name
	after  time.Duration // how long Swift asks us to wait
	cause  error
}

func (f *failure) Error() string { return f.cause.Error() }

func (f *failure) Unwrap() error { return f.cause }

// broken is an answer that came and is not what was asked for: tried again.
func broken(format string, args ...any) error {
	return &failure{cause: fmt.Errorf(format, args...)}
}

// request makes one attempt. The answer's body is the caller's to close.
func (s *store) request(ctx context.Context, opts ncw.RequestOpts) (*http.Response, ncw.Headers, error) {
	used := &usedToken{}
	opts.Container = s.container
	resp, headers, err := s.conn.Call(context.WithValue(ctx, usedTokenKey{}, used), s.account, opts)
	if err == nil {
		return resp, headers, nil
	}
	f := &failure{cause: err}
	var answer *ncw.Error
	if errors.As(err, &answer) {
		f.status = answer.StatusCode
		f.after = retryAfter(headers["Retry-After"])
	}
	if f.status == http.StatusUnauthorized && used.token != "" {
		s.opts.TokenSource.Refused(used.token)
		s.conn.UnAuthenticate()
	}
	return nil, headers, f
}

// retryAfter reads seconds; a date would make us depend on two clocks.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, maxRetryAfter)
}

// try makes attempts until one works or another is no use.
func (s *store) try(ctx context.Context, doing string, attempt func(ctx context.Context) error) error {
	pauses := s.opts.pauses()
	refused := 0
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return stopped(ctx, doing)
		}
		err := s.once(ctx, attempt)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return stopped(ctx, doing)
		}
		pause := pauses.NextBackOff()
		var f *failure
		if errors.As(err, &f) {
			pause = max(pause, f.after)
			if f.status == http.StatusUnauthorized {
				if refused++; refused == 1 {
					pause = 0 // the token was too old, the next one is not
				}
			}
		}
		if n >= s.opts.RetryAttempts || refused > 2 || !transient(err) {
			return s.final(err, doing)
		}
		s.opts.Logger.WarnContext(ctx, "swift request failed, trying again", "doing", doing, "attempt", n, "pause", pause, "error", err)
		if err := s.opts.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}

// stopped is the error of a call whose context ended.
func stopped(ctx context.Context, doing string) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%s: %w: %w", doing, ctx.Err(), cause)
	}
	return fmt.Errorf("%s: %w", doing, ctx.Err())
}

// once bounds one attempt in time.
func (s *store) once(ctx context.Context, attempt func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.Timeout, errSlow)
	defer cancel()
	err := attempt(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return err
}

var errSlow = errors.New("no answer in time")

// transient tells what may be gone at the next attempt. Whatever failed without
// an answer did so on the way.
func transient(err error) bool {
	var token *tokenError
	if errors.As(err, &token) {
		code := stowage.CodeOf(token.cause)
		return code == stowage.Unavailable || code == stowage.Internal
	}
	var f *failure
	if !errors.As(err, &f) {
		return false
	}
	switch f.status {
	case 0, http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusConflict, http.StatusUnprocessableEntity,
		http.StatusTooEarly, http.StatusTooManyRequests, 498, 499:
		return true
	}
	return f.status >= 500
}

// final is the error for the caller once we have given up.
func (s *store) final(err error, doing string) error {
	var token *tokenError
	if errors.As(err, &token) {
		if code := stowage.CodeOf(token.cause); code != stowage.Internal {
			return stowage.Wrap(code, err, "%s", doing)
		}
		return stowage.Wrap(stowage.Unavailable, err, "%s: no token to be had", doing)
	}
	var f *failure
	if !errors.As(err, &f) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch f.status {
	case http.StatusBadRequest, http.StatusPreconditionFailed, http.StatusRequestURITooLong:
		return stowage.Wrap(stowage.Invalid, err, "%s: refused by the object store", doing)
	case http.StatusUnauthorized, http.StatusForbidden:
		return stowage.Wrap(stowage.Forbidden, err, "%s: the service may not access container %s", doing, s.container)
	case http.StatusNotFound, http.StatusGone:
		return stowage.Wrap(stowage.NotFound, err, "%s: not there", doing)
	case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		return stowage.Wrap(stowage.OverLimit, err, "%s: no room, or a quota is used up", doing)
	case http.StatusUnprocessableEntity:
		return stowage.Wrap(stowage.Corrupt, err, "%s: the bytes arrive damaged", doing)
	}
	if transient(err) {
		return stowage.Wrap(stowage.Unavailable, err, "%s: the object store does not answer as it should", doing)
	}
	return stowage.Wrap(stowage.Internal, err, "%s: unexpected answer of the object store", doing)
}
