//go:build stack

package vendor_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/stacktest"
)

// The stack's MariaDB, in a database that is gone afterwards.
func init() {
	listDatabases["MariaDB"] = func(t testing.TB) (db.Options, *sql.DB) {
		u, err := url.Parse(stacktest.Env(t, "TEST_DB_URL"))
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		o := db.Options{
			Dialect: db.MySQL, Host: u.Hostname(), Port: port, User: u.User.Username(), Password: password,
			Name: "stowage_test_" + strings.ReplaceAll(uuid.NewString(), "-", ""),
		}
		dsn := fmt.Sprintf("%s:%s@tcp(%s)/", o.User, o.Password, u.Host)
		server, err := sql.Open("mysql", dsn)
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
		raw, err := sql.Open("mysql", dsn+o.Name+"?interpolateParams=true")
		if err != nil {
			t.Fatal(err)
		}
		return o, raw
	}
}
