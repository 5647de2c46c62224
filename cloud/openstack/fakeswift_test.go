package openstack_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud/openstack"
)

// swift is as much of Swift as we use: accounts, containers and their ACLs,
// checked as keystoneauth does, with the answers it gives.
type swift struct {
	mu         sync.Mutex
	containers map[string]*box // by account and name, as in the path
	reseller   bool            // the service may do everything
	stale      int             // how many requests of the service still see no ACL
	quota      http.Header     // of all accounts
}

type box struct{ read, write, policy, quota string }

func newSwift(t *testing.T) (*swift, *rig) {
	s := &swift{containers: map[string]*box{}}
	return s, newRig(t, "/v1/AUTH_"+serviceProject, http.HandlerFunc(s.serve))
}

func openContainers(t *testing.T, g *rig, mode openstack.AccessMode) *openstack.Containers {
	t.Helper()
	c, err := openstack.NewContainers(openstack.ContainersOptions{Options: g.options(), Mode: mode, CreateStoragePolicy: "gold"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *swift) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/v1/"), "/", 3) // unescaped, as Swift sees it
	key := strings.Join(parts[:min(2, len(parts))], "/")
	token := r.Header.Get("X-Auth-Token")
	service := strings.HasPrefix(token, "token-service-")
	owner := map[string]string{demo.Token: "AUTH_" + demo.ProjectID, alt.Token: "AUTH_" + alt.ProjectID}[token] == parts[0]
	if !service && token != demo.Token && token != alt.Token && token != reader.Token {
		w.WriteHeader(401)
		return
	}
	b := s.containers[key]
	if !s.may(r, b, owner, service, len(parts) == 3) {
		w.WriteHeader(403)
		_, _ = w.Write([]byte("<html><h1>Forbidden</h1></html>"))
		return
	}
	switch {
	case key == parts[0]+"/": // the account
		for name := range s.quota {
			w.Header().Set(name, s.quota.Get(name))
		}
		w.WriteHeader(204)
	case len(parts) == 3: // an object, which there is none of
		w.WriteHeader(404)
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	case b == nil:
		w.WriteHeader(404)
	case r.Method == http.MethodPost:
		b.read, b.write = r.Header.Get("X-Container-Read"), r.Header.Get("X-Container-Write")
		w.WriteHeader(204)
	default:
		w.Header().Set("X-Storage-Policy", b.policy)
		if b.quota != "" {
			w.Header().Set("X-Container-Meta-Quota-Bytes", b.quota)
		}
		if owner || service && s.reseller {
			w.Header().Set("X-Container-Read", b.read)
			w.Header().Set("X-Container-Write", b.write)
		}
		w.WriteHeader(204)
	}
}

func (s *swift) put(w http.ResponseWriter, r *http.Request, key string) {
	if s.containers[key] != nil {
		w.WriteHeader(202)
		return
	}
	s.containers[key] = &box{policy: r.Header.Get("X-Storage-Policy")}
	w.WriteHeader(201)
}

// may: an owner may everything in his account; ACLs let others read and list,
// or write and delete objects.
func (s *swift) may(r *http.Request, b *box, owner, service, object bool) bool {
	if owner || service && s.reseller {
		return true
	}
	if !service || b == nil {
		return false
	}
	if s.stale > 0 {
		s.stale--
		return false
	}
	acl := b.read
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		acl = b.write
		if !object {
			return false
		}
	}
	return slices.Contains(strings.Split(acl, ","), serviceProject+":"+serviceUser) || acl == "*:*"
}

func (s *swift) box(name string) *box {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers["AUTH_"+demo.ProjectID+"/"+name]
}

func (s *swift) set(name string, b box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers["AUTH_"+demo.ProjectID+"/"+name] = &b
}

func wantMessage(t *testing.T, err error, part string) {
	t.Helper()
	if !strings.Contains(stowage.MessageOf(err), part) {
		t.Errorf("message %q, want %q in it", stowage.MessageOf(err), part)
	}
}
