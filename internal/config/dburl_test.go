package config

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestDatabaseURLsAsSQLAlchemyReadsThem(t *testing.T) {
	text, err := os.ReadFile("testdata/database_urls.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		URL, Host, User, Password, Name string
		Port                            int
		Query                           map[string]string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		got, err := ParseDatabaseURL(v.URL)
		if err != nil {
			t.Errorf("%s: %v", v.URL, err)
			continue
		}
		if got.Dialect == "sqlite" {
			if v.Name == "" {
				v.Name = ":memory:"
			}
			if got.Path != v.Name {
				t.Errorf("%s: path %s, want %s", v.URL, got.Path, v.Name)
			}
			continue
		}
		if v.Port == 0 {
			v.Port = 3306
		}
		if got.Host != v.Host || got.Port != v.Port || got.User != v.User ||
			string(got.Password) != v.Password || got.Name != v.Name {
			t.Errorf("%s:\ngot  %+v, password %s\nwant %+v", v.URL, got, string(got.Password), v)
		}
		if got.CA != v.Query["ssl_ca"] || got.Cert != v.Query["ssl_cert"] || got.Key != v.Query["ssl_key"] {
			t.Errorf("%s: %+v", v.URL, got)
		}
		maps.DeleteFunc(v.Query, func(k, _ string) bool { return pythonOnly[k] || strings.HasPrefix(k, "ssl_") })
		if len(v.Query) > 0 && !reflect.DeepEqual(got.Params, v.Query) {
			t.Errorf("%s: parameters %v", v.URL, got.Params)
		}
	}
}

func TestDatabaseURLWithASocket(t *testing.T) {
	d, err := ParseDatabaseURL("mysql+pymysql://root:p@localhost/stowage?unix_socket=/run/mysqld.sock")
	if err != nil || d.Socket != "/run/mysqld.sock" || d.Host != "" {
		t.Errorf("%+v %v", d, err)
	}
}

func TestDatabaseURLErrorsDoNotShowThePassword(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                 "must be a URL",
		"sekret":                           "must be a URL",
		"postgresql://u:sekret@h/n":        "postgresql is not supported",
		"sekret://u:sekret@h/n":            "not supported",
		"mysql://u:sekret@h1,h2/n":         "several hosts",
		"mysql://u:sekret@h1:3306,h2:1/n":  "several hosts",
		"mysql://u:sekret@h":               "names no database",
		"mysql://u:sekret@h/":              "names no database",
		"mysql://u:sekret@h:x/n":           "port",
		"mysql://u:p@sekret@h/n":           "two @",
		"mysql://u:sekret@[::1/n":          "brackets",
		"mysql://u:sekret@h/n?x=%zz":       "behind ?",
		"sqlite://u:sekret@h/path":         "no host",
		"mysql+pymysql://u:sekret@h:0/n":   "port",
		"mysql+pymysql://u:sekret@a:b:c/n": "port",
	} {
		_, err := ParseDatabaseURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sekret") {
			t.Errorf("%q: %v, want %s", raw, err, want)
		}
	}
}

func FuzzParseDatabaseURL(f *testing.F) {
	f.Add("mysql+pymysql://u:p@h:3306/n?ssl_ca=/x")
	f.Add("sqlite:////x")
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := ParseDatabaseURL(raw)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: error of several lines", raw)
			}
			return
		}
		if d.Dialect == "mysql" && (d.Host == "" && d.Socket == "" || d.Name == "") || d.Dialect == "sqlite" && d.Path == "" {
			t.Errorf("%q: %#v", raw, d)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("[DEFAULT]\na = b\n c\n# d\n[x]\ny: 'z'\n")
	f.Add("[DEFAULT]\ns = $t ${x.y} $$ \\$\nt = $s\n")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parse("f", text)
		if err != nil {
			return
		}
		v := &values{settings: settings, env: mapEnv(nil)}
		for _, s := range settings {
			if s.name == "" || s.section == "" {
				t.Errorf("%q: %+v", text, s)
			}
			// It must end.
			_, _ = v.expand(s.section, s.value)
		}
	})
}
