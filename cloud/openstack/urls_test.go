package openstack

import "testing"

func TestVolumeBase(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://c:8776/v3/own":                "http://c:8776/v3/p/",
		"http://c:8776/v3/own/":               "http://c:8776/v3/p/",
		"https://c/volume/v3":                 "https://c/volume/v3/p/",
		"https://c/volume/":                   "https://c/volume/v3/p/",
		"http://c:8776":                       "http://c:8776/v3/p/",
		"http://c/v3/%(project_id)s":          "http://c/v3/p/",
		"http://c/v3/$(tenant_id)s/":          "http://c/v3/p/",
		"http://c/v2/own":                     "",
		"c:8776/v3":                           "",
		"http://c/v3?x=y":                     "",
		"":                                    "",
		"http://own.example:8776/own-path/v3": "http://own.example:8776/own-path/v3/p/",
	} {
		got, err := volumeBase(endpoint, "own", "p")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", endpoint, got, err, want)
		}
	}
}

func TestAccountBase(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://s:8080/v1/AUTH_own":             "http://s:8080/v1/AUTH_p/",
		"http://s:8080/v1/AUTH_own/":            "http://s:8080/v1/AUTH_p/",
		"http://s/v1/own":                       "http://s/v1/p/",
		"http://rgw/swift/v1":                   "http://rgw/swift/v1/AUTH_p/",
		"http://s/v1/AUTH_%(tenant_id)s":        "http://s/v1/AUTH_p/",
		"http://s/v1/SERVICE_$(project_id)s":    "http://s/v1/SERVICE_p/",
		"http://s/v1/AUTH_other":                "",
		"http://s":                              "",
		"ftp-like:/nothing":                     "",
		"https://own.example/swift/v1/AUTH_own": "https://own.example/swift/v1/AUTH_p/",
	} {
		got, err := accountBase(endpoint, "own", "p")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", endpoint, got, err, want)
		}
	}
}
