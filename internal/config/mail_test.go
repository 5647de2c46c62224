package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMailIsRefusedWhereItMakesNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"smtp_host = h\nfrom = a@x": "",
		"smtp_host = h":             "from",
		"smtp_host = h\nfrom = a@x\nuser = u\nsecurity = none": "user",
		"smtp_host = h\nsecurity = ssl":                        "security",
		"daily_report_hour = 24":                               "daily_report_hour",
	} {
		file := filepath.Join(t.TempDir(), "stowage.conf")
		if err := os.WriteFile(file, []byte("[mail]\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Source{Files: []string{file}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
