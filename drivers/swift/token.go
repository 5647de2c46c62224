package swift

import (
	"context"
	"net/http"

	ncw "github.com/ncw/swift/v2"
)

// authenticator is ncw/swift's way to ask for a token: instead of a request to
// send, it takes one from the source.
type authenticator struct {
	source  TokenSource
	account string
	token   string // ncw/swift calls under a lock
}

var _ ncw.Authenticator = (*authenticator)(nil)

// Request gives no request, so the connection asks for the results at once.
func (a *authenticator) Request(ctx context.Context, _ *ncw.Connection) (*http.Request, error) {
	token, err := a.source.Token(ctx)
	if err != nil {
		return nil, &tokenError{err}
	}
	a.token = token
	return nil, nil
}

func (a *authenticator) Response(context.Context, *http.Response) error { return nil }

func (a *authenticator) StorageUrl(bool) string { return a.account } //nolint:revive // ncw/swift's name

func (a *authenticator) Token() string { return a.token }

func (a *authenticator) CdnUrl() string { return "" } //nolint:revive // ncw/swift's name

// tokenError is a failure to get a token, not one of Swift.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "get a token: " + e.cause.Error() }

func (e *tokenError) Unwrap() error { return e.cause }

// usedToken is where the transport notes which token a request carried.
type usedToken struct{ token string }

type usedTokenKey struct{}

// transport carries requests, and takes out of answers what would make Go's
// client do more than was asked for.
type transport struct {
	http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if used, ok := req.Context().Value(usedTokenKey{}).(*usedToken); ok {
		used.token = req.Header.Get("X-Auth-Token")
	}
	// Said aloud, so that neither side compresses and Go does not decompress
	// what a tenant labelled as compressed.
	req = req.Clone(req.Context())
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		resp.Header.Del("Location") // without it, there is nothing to follow
	}
	return resp, err
}
