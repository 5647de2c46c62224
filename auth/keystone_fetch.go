package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
)

// fetch gives what Keystone says about a token, now or lately. The caller
// checks the expiry: what is cached may have expired since.
func (k *Keystone) fetch(ctx context.Context, id string, allowExpired bool) (token, error) {
	if !plausible(id) {
		return token{}, fmt.Errorf("%w: it does not look like one", errInvalidToken)
	}
	key := tokenKey(sha256.Sum256([]byte(id)))
	if t, ok := k.cached(key); ok {
		return t, nil
	}
	// Many requests with one new token are one question to Keystone. None of
	// them may cut it short for the others.
	name := string(key[:])
	if allowExpired {
		name += "expired"
	}
	flight := k.flight.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.o.Session.login.timeout)
		defer cancel()
		t, err := k.ask(ctx, id, allowExpired)
		if err == nil {
			k.remember(key, t)
		}
		return t, err
	})
	select {
	case <-ctx.Done():
		return token{}, ctx.Err()
	case r := <-flight:
		return r.Val.(token), r.Err
	}
}

// cached gives what the cache knows. Only good answers are cached: a token
// that Keystone does not know yet may be known in a second.
func (k *Keystone) cached(key tokenKey) (token, bool) {
	if k.cache == nil {
		return token{}, false
	}
	c, ok := k.cache.Get(key)
	if ok && k.o.Now().Before(c.until) {
		return c.token, true
	}
	return token{}, false
}

func (k *Keystone) remember(key tokenKey, t token) {
	until := k.o.Now().Add(k.o.TokenCacheTime)
	if t.ExpiresAt.Before(until) {
		until = t.ExpiresAt
	}
	if k.cache != nil && k.o.Now().Before(until) {
		k.cache.Add(key, cachedToken{token: t, until: until})
	}
}

// plausible keeps out what cannot be sent as a header anyway.
func plausible(id string) bool {
	if id == "" || len(id) > maxToken {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// ask asks Keystone about a token. The catalog costs a kilobyte or a hundred
// and is only wanted for access rules, so it is asked for in a second step.
func (k *Keystone) ask(ctx context.Context, id string, allowExpired bool) (token, error) {
	t, err := k.askOnce(ctx, id, allowExpired, false)
	if err != nil || !t.hasAccessRules() {
		return t, err
	}
	return k.askOnce(ctx, id, allowExpired, true)
}

// askOnce asks with our token, and a second time with a new one if ours was
// refused.
func (k *Keystone) askOnce(ctx context.Context, id string, allowExpired, catalog bool) (token, error) {
	for retry := false; ; retry = true {
		own, err := k.o.Session.Token(ctx)
		if err != nil {
			return token{}, err
		}
		status, body, err := k.get(ctx, own, id, allowExpired, catalog)
		if err != nil {
			return token{}, fmt.Errorf("ask Keystone about a token: %w", err)
		}
		switch status {
		case http.StatusOK, http.StatusNonAuthoritativeInfo:
			return parseToken(body)
		case http.StatusNotFound:
			return token{}, fmt.Errorf("%w: Keystone does not know it", errInvalidToken)
		case http.StatusForbidden:
			// Seen with trusts whose trustor lost the role; but also what
			// Keystone says if our user may not validate tokens.
			k.o.Log.Warn("keystone refused to validate a token", "status", status, "answer", excerpt(body))
			return token{}, fmt.Errorf("%w: Keystone answered 403", errInvalidToken)
		case http.StatusUnauthorized:
			k.o.Session.Refused(own)
			if !retry {
				continue
			}
		}
		k.o.Log.Error("keystone cannot validate a token", "status", status, "answer", excerpt(body))
		return token{}, fmt.Errorf("ask Keystone about a token: it answered %d", status)
	}
}

// get sends the question and reads the answer.
func (k *Keystone) get(ctx context.Context, own, id string, allowExpired, catalog bool) (status int, body []byte, err error) {
	s := k.o.Session
	url := s.AuthURL() + "/v3/auth/tokens"
	switch {
	case !catalog && allowExpired:
		url += "?nocatalog&allow_expired=1"
	case !catalog:
		url += "?nocatalog"
	case allowExpired:
		url += "?allow_expired=1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "stowage")
	req.Header.Set("X-Auth-Token", own)
	req.Header.Set("X-Subject-Token", id)
	// Without this Keystone hides tokens that carry access rules.
	req.Header.Set("OpenStack-Identity-Access-Rules", "1")

	client := s.login.keystone()
	var resp *http.Response
	err = retryConnect(ctx, s.login.credentials.MaxRetries, s.login.pause, func() (err error) {
		resp, err = client.Do(req) //nolint:bodyclose // closed below
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end or given up
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// excerpt is as much of an answer as belongs in a log.
func excerpt(body []byte) string {
	return string(body[:min(len(body), 300)])
}
