package openstack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/cloud/cloudtest"
	"github.com/stowage/stowage/cloud/openstack"
)

const entry = serviceProject + ":" + serviceUser

func TestContainersSuite(t *testing.T) {
	for _, mode := range []openstack.AccessMode{openstack.AccessACL, openstack.AccessReseller} {
		t.Run(string(mode), func(t *testing.T) {
			s, g := newSwift(t)
			s.reseller = mode == openstack.AccessReseller
			cloudtest.Containers(t, cloudtest.ContainersFixture{
				Containers: openContainers(t, g, mode), Owner: demo, Stranger: alt, Reader: reader, Intruder: intruder,
				ServiceCan: func(t *testing.T, _, container string) {
					b := s.box(container)
					if b == nil {
						t.Fatalf("no container %q", container)
					}
					want := entry
					if s.reseller {
						want = ""
					}
					if b.read != want || b.write != want {
						t.Errorf("ACLs %+v", b)
					}
				},
				Remove: func(_ *testing.T, container string) {
					s.mu.Lock()
					defer s.mu.Unlock()
					delete(s.containers, "AUTH_"+demo.ProjectID+"/"+container)
				},
			})
		})
	}
}

func TestPrepareKeepsWhatTheTenantGranted(t *testing.T) {
	s, g := newSwift(t)
	s.set("c", box{read: ".r:*, .rlistings", write: "abc:def"})
	if err := openContainers(t, g, "").Prepare(t.Context(), demo, "c"); err != nil {
		t.Fatal(err)
	}
	if b := s.box("c"); b.read != ".r:*, .rlistings,"+entry || b.write != "abc:def,"+entry {
		t.Errorf("ACLs %+v", b)
	}
}

func TestPrepareUsesThePolicyForNewContainersOnly(t *testing.T) {
	s, g := newSwift(t)
	c := openContainers(t, g, "")
	for range 2 {
		if err := c.Prepare(t.Context(), demo, "c"); err != nil {
			t.Fatal(err)
		}
	}
	if b := s.box("c"); b.policy != "gold" {
		t.Errorf("policy %q", b.policy)
	}
	if n := g.count("PUT "); n != 1 {
		t.Errorf("%d PUTs", n)
	}
}

func TestPrepareAsksForNothingThatIsThere(t *testing.T) {
	s, g := newSwift(t)
	s.set("c", box{read: entry, write: "*:" + serviceUser + "," + entry})
	if err := openContainers(t, g, "").Prepare(t.Context(), demo, "c"); err != nil {
		t.Fatal(err)
	}
	if n := g.count("POST "); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

// Somebody else than the owner opened it, in a way that is not ours.
func TestPrepareIsContentIfTheServiceMayAlready(t *testing.T) {
	s, g := newSwift(t)
	s.set("c", box{read: "*:*", write: "*:*"})
	if err := openContainers(t, g, "").Prepare(t.Context(), demo, "c"); err != nil {
		t.Fatal(err)
	}
	if n := g.count("POST "); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

func TestPrepareWaitsForProxiesThatRememberOldACLs(t *testing.T) {
	s, g := newSwift(t)
	s.stale = 3
	if err := openContainers(t, g, "").Prepare(t.Context(), demo, "c"); err != nil {
		t.Fatal(err)
	}
	s.set("d", box{})
	s.stale = 1000
	err := openContainers(t, g, "").Prepare(t.Context(), demo, "d")
	wantCode(t, err, stowage.Forbidden)
	wantMessage(t, err, "Try again in a minute")
}

func TestPrepareTellsWhatToGrant(t *testing.T) {
	s, g := newSwift(t)
	s.set("c", box{})
	g.answer("POST ", 403, "")
	err := openContainers(t, g, "").Prepare(t.Context(), demo, "c")
	wantCode(t, err, stowage.Forbidden)
	wantMessage(t, err, "Have "+entry+" added to its X-Container-Read and X-Container-Write")
}

func TestPrepareLeavesFullACLsAlone(t *testing.T) {
	s, g := newSwift(t)
	full := strings.Repeat("a:b,", 2000)
	s.set("c", box{read: full})
	err := openContainers(t, g, "").Prepare(t.Context(), demo, "c")
	wantCode(t, err, stowage.Forbidden)
	if b := s.box("c"); b.read != full || b.write != "" {
		t.Error("the ACLs were changed")
	}
}

func TestResellerModeTouchesNoACL(t *testing.T) {
	s, g := newSwift(t)
	c := openContainers(t, g, openstack.AccessReseller)
	err := c.Prepare(t.Context(), demo, "c")
	wantCode(t, err, stowage.Forbidden) // the service has no such role here
	if b := s.box("c"); b == nil || b.read != "" || b.write != "" {
		t.Errorf("ACLs %+v", b)
	}
	if n := g.count("POST "); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

func TestNamesThatWouldBeSomethingElse(t *testing.T) {
	_, g := newSwift(t)
	c := openContainers(t, g, "")
	for _, name := range []string{"", ".", "..", "a/b", "/"} {
		wantCode(t, c.Prepare(t.Context(), demo, name), stowage.Invalid)
		wantCode(t, c.MayRead(t.Context(), demo, name), stowage.Invalid)
		wantCode(t, c.MayDelete(t.Context(), demo, name), stowage.Invalid)
	}
	if n := g.count(""); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestVersionedContainerAnswersAProbeWithSuccess(t *testing.T) {
	_, g := newSwift(t)
	g.answer("DELETE ", 204, "")
	if err := openContainers(t, g, "").MayDelete(t.Context(), demo, "c"); err != nil {
		t.Error(err)
	}
}

func TestObjectStoreAway(t *testing.T) {
	_, g := newSwift(t)
	c := openContainers(t, g, "")
	g.answer("", http.StatusServiceUnavailable, "down")
	for what, err := range map[string]error{
		"prepare": c.Prepare(t.Context(), demo, "c"),
		"read":    c.MayRead(t.Context(), demo, "c"),
		"delete":  c.MayDelete(t.Context(), demo, "c"),
	} {
		if stowage.CodeOf(err) != stowage.Unavailable || stowage.MessageOf(err) != "The object store is temporarily unavailable." {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Nothing there that could be asked twice is asked a fourth time.
	if n := g.count("HEAD "); n != 3 {
		t.Errorf("%d HEADs", n)
	}
}

func TestBadNameIsTheCallersFault(t *testing.T) {
	_, g := newSwift(t)
	g.answer("PUT ", 400, "<html>Container name length of 300 longer than 256</html>")
	wantCode(t, openContainers(t, g, "").Prepare(t.Context(), demo, strings.Repeat("c", 300)), stowage.Invalid)
}

func TestNewContainersChecksItsOptions(t *testing.T) {
	if _, err := openstack.NewContainers(openstack.ContainersOptions{}); err == nil {
		t.Error("no session: no error")
	}
	_, g := newSwift(t)
	if _, err := openstack.NewContainers(openstack.ContainersOptions{Options: g.options(), Mode: "root"}); err == nil {
		t.Error("mode root: no error")
	}
}

func TestTheNarrowestQuotaCounts(t *testing.T) {
	for what, c := range map[string]struct {
		box   string
		quota http.Header
		want  int64
	}{
		"none":                     {"", nil, 0},
		"the account's":            {"", http.Header{"X-Account-Meta-Quota-Bytes": {"1000"}}, 1000},
		"the container's":          {"10", http.Header{"X-Account-Meta-Quota-Bytes": {"1000"}}, 10},
		"the policy's":             {"", http.Header{"X-Account-Meta-Quota-Bytes": {"1000"}, "X-Account-Quota-Bytes-Policy-Gold": {"100"}}, 100},
		"another policy's":         {"", http.Header{"X-Account-Quota-Bytes-Policy-Silver": {"100"}}, 0},
		"what makes no sense":      {"many", http.Header{"X-Account-Meta-Quota-Bytes": {"-1"}}, 0},
		"one that bounds nothing":  {"0", nil, 0},
		"the container's as large": {"5000", http.Header{"X-Account-Meta-Quota-Bytes": {"1000"}}, 1000},
	} {
		s, g := newSwift(t)
		s.set("c", box{policy: "gold", quota: c.box})
		s.quota = c.quota
		got, err := openContainers(t, g, openstack.AccessACL).Capacity(t.Context(), demo, "c")
		if err != nil || got.Bytes != c.want || got.Policy != "gold" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestTheServiceIsToldOfAnAccountItMayUse(t *testing.T) {
	s, g := newSwift(t)
	s.set("c", box{policy: "gold", read: entry})
	s.quota = http.Header{"X-Account-Meta-Quota-Bytes": {"1000"}}
	c := openContainers(t, g, openstack.AccessACL)
	nobody := cloud.User{ProjectID: demo.ProjectID}
	if got, err := c.Capacity(t.Context(), nobody, "c"); err != nil || got != (cloud.Capacity{Policy: "gold"}) {
		t.Errorf("by an ACL: %+v, %v", got, err)
	}
	s.reseller = true
	if got, err := c.Capacity(t.Context(), nobody, "c"); err != nil || got.Bytes != 1000 {
		t.Errorf("as a reseller: %+v, %v", got, err)
	}
	if _, err := c.Capacity(t.Context(), nobody, "none"); stowage.CodeOf(err) != stowage.NotFound {
		t.Errorf("of none: %v", err)
	}
}
