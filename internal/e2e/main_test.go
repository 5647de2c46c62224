//go:build stack

// Package e2e tells stories of the whole program against the real stack
// (devstack/stack/up): the stowage binary as operators start it, with its own
// database, and MariaDB, RabbitMQ, Keystone, Swift, Ceph and Cinder around it.
//
// Each test deploys an API and managers of its own, and takes away whatever it
// made. Nothing is believed that Stowage says of itself where it can be seen
// from outside: objects are listed with the tenant's token, volumes are read
// with the rbd command, locks are looked up in Cinder.
//
//	STOWAGE_STACK_ENV=.../env go test -tags stack,ceph,pacific -timeout 20m ./internal/e2e/
//
// STOWAGE_E2E_KEEP names a directory for the logs of what failed. A run that
// was killed is cleared up by the next one.
package e2e

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/stowage/stowage/internal/stacktest"
)

// Most of the stories' time is spent waiting for leases and locks to run out.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if err := run.end(); err != nil {
		fmt.Fprintln(os.Stderr, "not everything was taken away:", err)
		code = 1
	}
	os.Exit(code)
}

// theRun is what all tests of one run share.
type theRun struct {
	once  sync.Once
	ready bool

	id    string // in the names of all it makes
	dir   string
	bin   string
	vhost string
	db    *sql.DB // of no database in particular
	dbURL string  // without the database's name, and ending in a slash
	sites atomic.Int64

	ctl string // rabbitmqctl

	ports     sync.Mutex
	addresses map[string]bool // that were given
}

var run theRun

// begin builds the program and makes what is shared, once.
func (r *theRun) begin(t testing.TB) {
	t.Helper()
	r.once.Do(func() {
		id := make([]byte, 4)
		_, err := rand.Read(id)
		fatal(t, err)
		r.id = hex.EncodeToString(id)
		r.dir, err = os.MkdirTemp("", "stowage-e2e-"+r.id+"-")
		fatal(t, err)
		fatal(t, r.noteOwner())
		r.bin = filepath.Join(r.dir, "stowage")
		build := exec.Command("go", "build", "-tags", "ceph,pacific", "-o", r.bin, "github.com/stowage/stowage/cmd/stowage")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		r.ctl = stacktest.Env(t, "RABBITMQCTL")
		r.openDB(t)
		r.buryTheDead(t)
		r.vhost = "stowage-e2e-" + r.id
		r.addVhost(t, r.vhost)
		r.ready = true
	})
	if !r.ready {
		t.Fatal("the run could not begin, see the first test that failed")
	}
}

func (r *theRun) openDB(t testing.TB) {
	t.Helper()
	u, err := url.Parse(stacktest.Env(t, "TEST_DB_URL"))
	fatal(t, err)
	r.dbURL = strings.TrimSuffix(u.String(), strings.TrimPrefix(u.Path, "/"))
	r.db, err = sql.Open("mysql", dsn(u, ""))
	fatal(t, err)
}

func dsn(u *url.URL, name string) string {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = u.User.Username(), "tcp", u.Host, name
	c.Passwd, _ = u.User.Password()
	return c.FormatDSN()
}

func (r *theRun) rabbit(args ...string) (string, error) {
	out, err := exec.Command(r.ctl, append([]string{"--quiet"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rabbitmqctl %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

func (r *theRun) addVhost(t testing.TB, name string) {
	t.Helper()
	_, err := r.rabbit("add_vhost", name)
	fatal(t, err)
	_, err = r.rabbit("set_permissions", "-p", name, stacktest.Env(t, "RABBIT_USER"), ".*", ".*", ".*")
	fatal(t, err)
}

// address gives one to listen at that no other site of the run got: two that
// begin at once would find the same port free.
func (r *theRun) address(t testing.TB) string {
	t.Helper()
	r.ports.Lock()
	defer r.ports.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		fatal(t, err)
		address := l.Addr().String()
		fatal(t, l.Close())
		if r.addresses[address] {
			continue
		}
		if r.addresses == nil {
			r.addresses = map[string]bool{}
		}
		r.addresses[address] = true
		return address
	}
}

// end takes away what is shared.
func (r *theRun) end() error {
	var errs []error
	if r.vhost != "" && r.ctl != "" {
		_, err := r.rabbit("delete_vhost", r.vhost)
		errs = append(errs, err)
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
