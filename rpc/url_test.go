package rpc

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestTransportURLsAsOsloReadsThem(t *testing.T) {
	text, err := os.ReadFile("testdata/transport_urls.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		URL     string
		Brokers []Broker
		VHost   string
		Query   map[string]string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		u, err := ParseTransportURL(v.URL)
		if err != nil {
			t.Errorf("%s: %v", v.URL, err)
			continue
		}
		// A map each, because the types hide passwords when printed.
		type plain Broker
		var got, want []plain
		for _, b := range u.Brokers {
			got = append(got, plain(b))
		}
		for _, b := range v.Brokers {
			want = append(want, plain(b))
		}
		if !reflect.DeepEqual(got, want) || u.VHost != v.VHost || !reflect.DeepEqual(u.Query, v.Query) {
			t.Errorf("%s:\ngot  %+v %q %v\nwant %+v %q %v", v.URL, got, u.VHost, u.Query, want, v.VHost, v.Query)
		}
	}
}

func TestTransportURLErrorsAreOneLineWithoutPassword(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                  "no scheme",
		"h1:5672":                           "no scheme",
		"://h1":                             "no scheme",
		"kafka://u:sekret@h1/":              `scheme "kafka" is not supported`,
		"kombu+memory://u:sekret@h1/":       "is not supported",
		"rabbit:///vhost":                   "no host",
		"rabbit://u:sekret@/vhost":          "host 1: no host name",
		"rabbit://u:p@h1,u:sekret@:1/":      "host 2: no host name",
		"rabbit://u:sekret@h1:x/":           "host 1: the port",
		"rabbit://u:sekret@h1:65536/":       "host 1: the port",
		"rabbit://u:sekret@h1:0/":           "host 1: the port",
		"rabbit://u:sek/ret@h1/":            "host 1: the port",
		"rabbit://u:sek?ret@h1/":            "host 1: the port",
		"rabbit://u:sekret@[fd00::1/":       "IPv6",
		"rabbit://u:sekret@[fd00::1]5672/":  "IPv6",
		"rabbit://u:sekret@[sekret]:5672/":  "IPv6",
		"rabbit://u:sekret@h1/?ssl=%zz":     "behind ?",
		"u:sekret\n://h1":                   "is not supported",
		"rabbit://u:sekret@fd00::1:5672/vh": "host 1: the port",
	} {
		_, err := ParseTransportURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ...%s...", raw, err, want)
			continue
		}
		if strings.Contains(err.Error(), "sek") && !strings.HasPrefix(raw, "u:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: bad error line %q", raw, err)
		}
	}
}

func TestTransportURLPrintsWithoutPassword(t *testing.T) {
	u, err := ParseTransportURL("rabbit://u:sekret@h1:5672,u:sekret@[fd00::1]/vh?x=sekret")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	slog.New(slog.NewTextHandler(&lines, nil)).Info("x", "url", u, "broker", u.Brokers[0])
	all := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", u, u, u, u, u.Brokers, u.Brokers, u.Brokers[0], &lines)
	if strings.Contains(all, "sekret") {
		t.Error(all)
	}
	if want := "rabbit://u:***@h1:5672,u:***@[fd00::1]/vh"; u.String() != want {
		t.Errorf("got %s, want %s", u, want)
	}
}

func TestTransportURLDecidesAboutTLS(t *testing.T) {
	for raw, want := range map[string][2]bool{
		"rabbit://h1/":        {false, false},
		"rabbit://h1/?ssl=1":  {true, true},
		"rabbit://h1/?ssl=No": {false, true},
		"amqps://h1/":         {true, true},
	} {
		u, err := ParseTransportURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if on, decided := u.TLS(); on != want[0] || decided != want[1] {
			t.Errorf("%s: %v %v", raw, on, decided)
		}
	}
	if got := (Broker{Host: "::1"}).address(true); got != "[::1]:5671" {
		t.Error(got)
	}
	if got := (Broker{Host: "h1"}).address(false); got != "h1:5672" {
		t.Error(got)
	}
}

func FuzzParseTransportURL(f *testing.F) {
	f.Add("rabbit://user:pass@h1:5672,u:p@[::1]:5672/vhost?ssl=1")
	f.Add("amqps://%41:%@h//")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseTransportURL(raw)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: error of several lines: %q", raw, err)
			}
			return
		}
		if len(u.Brokers) == 0 || u.VHost == "" || u.Scheme == "" {
			t.Errorf("%q: %#v", raw, u)
		}
		for _, b := range u.Brokers {
			if b.Host == "" || b.Port < 0 || b.Port > 65535 {
				t.Errorf("%q: %#v", raw, b)
			}
		}
	})
}
