// Package door is how an API asks the manager that serves a mounted backup for its
// files: two requests over HTTP, signed with a secret that both have.
//
//	POST /mounts/{id}/listing   {"fileSystem": 0, "path": "/"}
//	POST /mounts/{id}/download  {"fileSystem": 0, "paths": ["/etc/hosts"]}
//
// The API has decided already whether the user may; the manager believes whoever
// has the secret. A signature is over the method, the path, the body, the time and
// a number used once, so a request that somebody saw is of no use to him. Answers
// are streams, and are not signed: where others are on the network, set a
// certificate. A download that cannot be read to its end is cut off, which its
// reader notices.
package door

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/stowage/stowage"
)

const (
	timeHeader  = "X-Stowage-Time"
	nonceHeader = "X-Stowage-Nonce"
	signature   = "X-Stowage-Signature"
	nameHeader  = "X-Stowage-Name"
	zipHeader   = "X-Stowage-Zip"
)

const (
	// skew is how far clocks may be apart.
	skew = time.Minute
	// maxBody bounds a request: a thousand paths of four KiB.
	maxBody = 4 << 20
	// MinSecret is how long a secret must be at least, in bytes.
	MinSecret = 16
)

// listing and download are the bodies of requests.
type listing struct {
	FileSystem int    `json:"fileSystem"`
	Path       string `json:"path"`
}

type download struct {
	FileSystem int      `json:"fileSystem"`
	Paths      []string `json:"paths"`
}

// failure is the body of an answer that is none.
type failure struct {
	Code    stowage.Code `json:"code"`
	Message string       `json:"message"`
}

var errForbidden = stowage.Errorf(stowage.Forbidden, "The request is not signed by an API of this installation.")

// sign gives the signature of a request.
func sign(secret []byte, method, path, at, nonce string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "stowage-mounts-1\n%s\n%s\n%s\n%s\n%x", method, path, at, nonce, sha256.Sum256(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// nonces remembers the numbers that were used while they could be used again.
type nonces struct {
	mu   sync.Mutex
	used map[string]time.Time
}

// maxNonces bounds them. Only who has the secret adds to them.
const maxNonces = 100_000

// take reports whether a number was not used before.
func (n *nonces) take(nonce string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.used == nil {
		n.used = map[string]time.Time{}
	}
	if _, twice := n.used[nonce]; twice {
		return false
	}
	if len(n.used) >= maxNonces {
		for old, at := range n.used {
			if now.Sub(at) > 2*skew {
				delete(n.used, old)
			}
		}
		if len(n.used) >= maxNonces {
			return false
		}
	}
	n.used[nonce] = now
	return true
}

// signed checks the signature of a request with this body.
func (s *Server) signed(r *http.Request, body []byte) error {
	at, nonce := r.Header.Get(timeHeader), r.Header.Get(nonceHeader)
	want := sign(s.Secret, r.Method, r.URL.RequestURI(), at, nonce, body)
	if !hmac.Equal([]byte(want), []byte(r.Header.Get(signature))) {
		return errForbidden
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errForbidden
	}
	now := s.Now()
	if apart := now.Sub(time.Unix(seconds, 0)); apart > skew || apart < -skew {
		return stowage.Errorf(stowage.Forbidden, "The clocks of API and manager are %s apart.", apart.Round(time.Second))
	}
	if !s.nonces.take(nonce, now) {
		return errForbidden
	}
	return nil
}
