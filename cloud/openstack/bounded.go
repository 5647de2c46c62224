package openstack

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer bounds what is read of one answer. The longest good ones are lists
// of 1000 volumes, some 2 MB.
const maxAnswer = 8 << 20

var errTooLong = errors.New("the answer is longer than 8 MiB")

// bounded is a copy of the session's client that cuts long answers off and
// follows no redirects.
func bounded(c *http.Client) http.Client {
	b := *c
	next := b.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	b.Transport = boundedTransport{next}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64 // below zero: there was more than allowed
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells a full answer from a longer one
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}
