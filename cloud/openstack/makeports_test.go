package openstack_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// What Neutron gives of a port's wishes, by what it minds.
func TestPortsComeAsCloseAsNeutronAllows(t *testing.T) {
	has := func(p map[string]any, key string) bool { return p[key] != nil }
	type refuse = func(p map[string]any) (int, string, string)
	for name, c := range map[string]struct {
		refuse refuse
		port   string
		notes  int
	}{
		"one address is another's": {func(p map[string]any) (int, string, string) {
			if strings.Contains(asText(p["fixed_ips"]), `"10.0.0.5"`) {
				return 409, "IpAddressAlreadyAllocated", "IP address 10.0.0.5 already allocated in subnet x"
			}
			return 0, "", ""
		}, `fa:16:3e:00:00:01 [{"ip_address":"10.0.0.55"}] ["g1","g3"]`, 1},
		"the hardware address is another's": {func(p map[string]any) (int, string, string) {
			if has(p, "mac_address") {
				return 409, "MacAddressInUse", "The mac address fa:16:3e:00:00:01 is in use."
			}
			return 0, "", ""
		}, `fa:16:3e:ff:ff:ff [{"ip_address":"10.0.0.5"},{"ip_address":"10.0.0.55"}] ["g1","g3"]`, 1},
		"addresses are not for users": {func(p map[string]any) (int, string, string) {
			if has(p, "fixed_ips") {
				return 403, "PolicyNotAuthorized", "(rule:create_port) is disallowed by policy"
			}
			return 0, "", ""
		}, `fa:16:3e:00:00:01 [{"ip_address":"10.0.0.200"}] ["g1","g3"]`, 2},
		"hardware addresses are not": {func(p map[string]any) (int, string, string) {
			if has(p, "mac_address") {
				return 403, "PolicyNotAuthorized", "(rule:create_port) is disallowed by policy"
			}
			return 0, "", ""
		}, `fa:16:3e:ff:ff:ff [{"ip_address":"10.0.0.5"},{"ip_address":"10.0.0.55"}] ["g1","g3"]`, 1},
		"neither is": {func(p map[string]any) (int, string, string) {
			if has(p, "mac_address") || has(p, "fixed_ips") {
				return 403, "PolicyNotAuthorized", "(rule:create_port) is disallowed by policy"
			}
			return 0, "", ""
		}, `fa:16:3e:ff:ff:ff [{"ip_address":"10.0.0.200"}] ["g1","g3"]`, 3},
		"a security group is gone": {func(p map[string]any) (int, string, string) {
			if strings.Contains(asText(p["security_groups"]), "g3") {
				return 404, "SecurityGroupNotFound", "Security group g3 does not exist"
			}
			return 0, "", ""
		}, `fa:16:3e:00:00:01 [{"ip_address":"10.0.0.5"},{"ip_address":"10.0.0.55"}] ["g1"]`, 1},
		"all that may be": {func(p map[string]any) (int, string, string) {
			switch {
			case has(p, "mac_address"):
				return 409, "MacAddressInUse", "The mac address fa:16:3e:00:00:01 is in use."
			case strings.Contains(asText(p["security_groups"]), "g"):
				return 404, "SecurityGroupNotFound", "Security group does not exist"
			case has(p, "fixed_ips"):
				return 400, "InvalidIpForNetwork", "IP address 10.0.0.55 is not a valid IP for any of the subnets"
			}
			return 0, "", ""
		}, `fa:16:3e:ff:ff:ff [{"ip_address":"10.0.0.200"}] ["default"]`, 5},
	} {
		t.Run(name, func(t *testing.T) {
			site, _, s := newSite(t)
			site.refuse = c.refuse
			req := serverWish()
			req.Ports[0].SecurityGroups = []string{"g1", "g3"}
			_, notes, err := s.BuildServer(t.Context(), demo.ProjectID, req)
			if err != nil {
				t.Fatal(err)
			}
			p := site.ports[0]
			got := asText(p["mac_address"]) + " " + asText(p["fixed_ips"]) + " " + asText(p["security_groups"])
			if strings.ReplaceAll(got, `"fa:16:3e`, "fa:16:3e") != strings.Replace(c.port, " ", `" `, 1) || len(notes) != c.notes {
				t.Errorf("got %s, noted %q", got, notes)
			}
		})
	}
}

func TestPortOfARestoredServerThatIsGoneMakesWay(t *testing.T) {
	for _, c := range []struct {
		name, device, created string
		goes                  bool
	}{
		{"stowage-" + uuid.NewString(), "", "2026-11-19T00:00:00Z", true},
		{"stowage-" + uuid.NewString(), "", "2026-11-19T23:30:00Z", false}, // perhaps of one being built
		{"stowage-" + uuid.NewString(), "a server", "2026-11-19T00:00:00Z", false},
		{"stowage-mine", "", "2026-11-19T00:00:00Z", false},
		{"mine", "", "2026-11-19T00:00:00Z", false},
	} {
		site, _, s := newSite(t)
		old := uuid.NewString()
		site.ports = append(site.ports, map[string]any{
			"id": old, "name": c.name, "device_id": c.device, "created_at": c.created, "project_id": demo.ProjectID, "network_id": "n1",
			"mac_address": "fa:16:3e:00:00:01", "fixed_ips": []any{map[string]any{"ip_address": "10.0.0.5"}},
		})
		there := func() bool {
			return slices.ContainsFunc(site.ports, func(p map[string]any) bool { return p["id"] == old })
		}
		site.refuse = func(p map[string]any) (int, string, string) {
			if there() && p["mac_address"] != nil {
				return 409, "MacAddressInUse", "The mac address is in use."
			}
			return 0, "", ""
		}
		_, notes, err := s.BuildServer(t.Context(), demo.ProjectID, serverWish())
		if err != nil || there() == c.goes || (len(notes) == 0) != c.goes {
			t.Errorf("%+v: it is there %v, noted %q, %v", c, there(), notes, err)
		}
	}
}

func asText(v any) string {
	if v == nil {
		return ""
	}
	return strings.TrimSpace(mustJSON(v))
}

// A port that had no security group is not given the default one.
func TestPortWithoutSecurityGroups(t *testing.T) {
	site, _, s := newSite(t)
	req := serverWish()
	req.Ports = []stowage.ServerPort{{NetworkID: "n1", MAC: "fa:16:3e:00:00:02"}, {NetworkID: "n2"}}
	if _, _, err := s.BuildServer(t.Context(), demo.ProjectID, req); err != nil {
		t.Fatal(err)
	}
	if was, fresh := asText(site.ports[0]["security_groups"]), asText(site.ports[1]["security_groups"]); was != "[]" || fresh != `["default"]` {
		t.Errorf("groups %s and %s", was, fresh)
	}
}

func mustJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
