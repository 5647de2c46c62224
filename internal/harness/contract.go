package harness

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/stowage/stowage/api/hp"
	"github.com/stowage/stowage/api/openapi"
	"github.com/stowage/stowage/api/vendor"
	"github.com/stowage/stowage/internal/contract"
)

// Contract is what the protocols say of themselves, read once for all tests.
var Contract = sync.OnceValues(func() (contract.Contract, error) {
	return contract.New(map[string]*openapi.Document{"/": hp.Document(), "/v1.1": hp.Document(), "/api": vendor.Document()})
})

// held is the API, with every answer held against the contract: a test fails with
// one that is not as it is described.
type held struct {
	h *Harness
	http.Handler
}

func (a held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var sent bytes.Buffer
	if r.Body != nil {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &sent), r.Body}
	}
	got := httptest.NewRecorder()
	a.Handler.ServeHTTP(got, r)
	maps.Copy(w.Header(), got.Header())
	w.WriteHeader(got.Code)
	if got.Body.Len() > 0 {
		_, err := w.Write(got.Body.Bytes())
		a.h.ok(err)
	}
	c, err := Contract()
	a.h.ok(err)
	if err := c.Check(contract.Exchange{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: slices.Sorted(maps.Keys(r.URL.Query())), Sent: sent.Bytes(),
		Status: got.Code, Header: got.Header(), Answer: got.Body.Bytes(),
	}); err != nil {
		a.h.T.Errorf("%s %s: not as the document says: %v", r.Method, r.URL, err)
	}
}

// Unheld is the API as it is, for what is measured.
func (h *Harness) Unheld() http.Handler { return h.API.(held).Handler }
