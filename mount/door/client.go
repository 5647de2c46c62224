package door

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stowage/stowage"
)

// Client is the API's side. Which manager it asks, the mount tells.
type Client struct {
	Secret []byte
	HTTP   *http.Client // without a time limit of its own: downloads are long
	Now    func() time.Time
}

// NewClient makes a client that gives up on managers that do not answer.
func NewClient(secret []byte, transport *http.Transport, now func() time.Time) *Client {
	// A virtual machine may have to be started first.
	transport.ResponseHeaderTimeout = 6 * time.Minute
	return &Client{Secret: secret, HTTP: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, Now: now}
}

// maxListing bounds what a manager may answer to a listing.
const maxListing = 64 << 20

// List implements service.Files.
func (c *Client) List(ctx context.Context, m stowage.Mount, fileSystem int, path string) (stowage.Listing, error) {
	var l stowage.Listing
	res, err := c.ask(ctx, m, "listing", listing{fileSystem, path})
	if err != nil {
		return l, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxListing)).Decode(&l); err != nil {
		return l, away(m, err)
	}
	return l, nil
}

// Download implements service.Files.
func (c *Client) Download(ctx context.Context, m stowage.Mount, fileSystem int, paths []string) (*stowage.Download, error) {
	res, err := c.ask(ctx, m, "download", download{fileSystem, paths})
	if err != nil {
		return nil, err
	}
	name, err := url.PathUnescape(res.Header.Get(nameHeader))
	if err != nil {
		return nil, errors.Join(away(m, err), res.Body.Close())
	}
	return &stowage.Download{
		Name: name, Zip: res.Header.Get(zipHeader) == "true", Size: res.ContentLength,
		Copy: func(_ context.Context, w io.Writer) error { // the request's context is the one
			if _, err := io.Copy(w, res.Body); err != nil {
				return fmt.Errorf("pass on what mount %s sends: %w", m.ID, err)
			}
			return nil
		},
		Close: res.Body.Close,
	}, nil
}

func away(m stowage.Mount, err error) error {
	return stowage.Wrap(stowage.Unavailable, err, "The manager on %s that serves the mount does not answer.", m.Host)
}

// ask sends a signed request, and gives an answer that is one.
func (c *Client) ask(ctx context.Context, m stowage.Mount, what string, body any) (*http.Response, error) {
	if m.Endpoint == "" {
		return nil, stowage.Errorf(stowage.Unavailable, "The manager on %s that serves the mount listens nowhere.", m.Host)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Endpoint+"/mounts/"+url.PathEscape(m.ID)+"/"+what, bytes.NewReader(data))
	if err != nil {
		return nil, away(m, err)
	}
	at, nonce := strconv.FormatInt(c.Now().Unix(), 10), rand.Text()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(timeHeader, at)
	r.Header.Set(nonceHeader, nonce)
	r.Header.Set(signature, sign(c.Secret, r.Method, r.URL.RequestURI(), at, nonce, data))
	res, err := c.HTTP.Do(r)
	if err != nil {
		return nil, away(m, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&f); err != nil || f.Message == "" {
		return nil, away(m, fmt.Errorf("status %d: %w", res.StatusCode, err))
	}
	if f.Code == stowage.Forbidden { // it is not the user who is not let in
		return nil, stowage.Wrap(stowage.Unavailable, errors.New(f.Message), "The manager on %s does not let this API in.", m.Host)
	}
	return nil, stowage.Errorf(f.Code, "%s", f.Message)
}
