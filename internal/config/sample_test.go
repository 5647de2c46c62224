package config

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the sample configuration")

const sampleFile = "../../etc/stowage/stowage.conf.sample"

func TestTheSampleIsUpToDateAndLoads(t *testing.T) {
	var text bytes.Buffer
	if err := Sample(&text); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(sampleFile, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, text.Bytes()) {
		t.Fatalf("%s is out of date: go test ./internal/config -update", sampleFile)
	}
	c, err := Load(Source{Files: []string{sampleFile}})
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("%v %v", err, c)
	}
}

func TestTheSampleLoadsWithEveryOptionSet(t *testing.T) {
	var text bytes.Buffer
	if err := Sample(&text); err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`(?m)^#(\S+ = )`).ReplaceAllString(text.String(), "$1")
	set = regexp.MustCompile(`(?m)^.*<None>$`).ReplaceAllString(set, "")
	c := mustLoad(t, set)
	if c.Cinder.Username != "stowage" || c.Default.BindPort != 8785 {
		t.Errorf("%+v", c)
	}
}
