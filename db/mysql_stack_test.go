//go:build stack

package db

import (
	"database/sql"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage/internal/stacktest"
)

// The stack's MariaDB: every test gets a database of its own.
func init() {
	dialects[MySQL] = func(t *testing.T) Options {
		u, err := url.Parse(stacktest.Env(t, "TEST_DB_URL"))
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		o := Options{
			Dialect: MySQL, Host: u.Hostname(), Port: port, User: u.User.Username(), Password: password,
			Name: "stowage_test_" + strings.ReplaceAll(uuid.NewString(), "-", ""),
		}
		server, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/", o.User, o.Password, u.Host))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Exec("CREATE DATABASE " + o.Name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := server.Exec("DROP DATABASE " + o.Name); err != nil {
				t.Error(err)
			}
			server.Close()
		})
		return o
	}
}
