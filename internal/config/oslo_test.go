package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
)

// vectorConfig has the options of testdata/make_vectors.py.
type vectorConfig struct {
	Default struct {
		vectorOptions
		D string `name:"d" default:"default of d" json:"d"`
	} `section:"DEFAULT" json:"DEFAULT"`
	Group struct{ vectorOptions } `section:"grp" json:"grp"`
}

type vectorOptions struct {
	S string   `name:"s" json:"s"`
	T string   `name:"t" json:"t"`
	I int      `name:"i" default:"0" json:"i"`
	F float64  `name:"f" default:"0" json:"f"`
	B bool     `name:"b" json:"b"`
	L []string `name:"l" json:"l"`
	M Multi    `name:"m" json:"m"`
}

func TestReadsAsOsloConfigDoes(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name  string
		Files []string
		Env   map[string]string
		Want  vectorConfig
		Error string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			var got vectorConfig
			err := loadVector(t, v.Files, v.Env, &got)
			if v.Error != "" || err != nil {
				if v.Error == "" || err == nil {
					t.Fatalf("got error %v, oslo.config says %q", err, v.Error)
				}
				return
			}
			got.Default.M, got.Group.M = append(Multi{}, got.Default.M...), append(Multi{}, got.Group.M...)
			if !reflect.DeepEqual(got, v.Want) {
				t.Errorf("files %q\ngot  %+v\nwant %+v", v.Files, got, v.Want)
			}
		})
	}
}

func loadVector(t *testing.T, texts []string, env map[string]string, into any) error {
	t.Helper()
	s := Source{Env: mapEnv(env)}
	dir := t.TempDir()
	for i, text := range texts {
		s.Files = append(s.Files, write(t, filepath.Join(dir, strconv.Itoa(i)+".conf"), text))
	}
	v, err := s.read()
	if err != nil {
		return err
	}
	return v.decode(into)
}

func mapEnv(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
