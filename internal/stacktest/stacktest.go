// Package stacktest tells tests where the real stack is (devstack/stack/up).
// Tests that use it are built with the tag stack and fail where there is none:
// a test that was left out must not look like one that passed.
package stacktest

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"testing"
)

// Variable names the file of KEY=VALUE lines that devstack/stack/up writes.
const Variable = "STOWAGE_STACK_ENV"

var load = sync.OnceValues(func() (map[string]string, error) {
	f, err := os.Open(os.Getenv(Variable))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), "=")
		if found && !strings.HasPrefix(key, "#") {
			env[key] = strings.Trim(value, `'"`)
		}
	}
	return env, lines.Err()
})

// Env gives a value of the stack's environment file.
func Env(t testing.TB, key string) string {
	t.Helper()
	env, err := load()
	if err != nil {
		t.Fatalf("%s does not name the stack's environment file (make stack): %v", Variable, err)
	}
	value, ok := env[key]
	if !ok {
		t.Fatalf("the stack's environment file has no %s", key)
	}
	return value
}
