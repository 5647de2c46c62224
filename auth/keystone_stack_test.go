//go:build stack

package auth

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// TestRealKeystone runs the suite against the development stack whose env file
// STOWAGE_STACK_ENV names.
func TestRealKeystone(t *testing.T) {
	path := os.Getenv("STOWAGE_STACK_ENV")
	if path == "" {
		t.Skip("STOWAGE_STACK_ENV names no env file of a stack")
	}
	env := readEnv(t, path)
	if env["KEYSTONE_URL"] == "" {
		t.Fatalf("%s has no KEYSTONE_URL", path)
	}
	runSuite(t, cloud{url: env["KEYSTONE_URL"], password: func(user string) string {
		return env[strings.ToUpper(user)+"_PASSWORD"]
	}})
}

// readEnv reads KEY=VALUE lines; a value may stand in quotes.
func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			env[key] = strings.Trim(value, `"'`)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return env
}
