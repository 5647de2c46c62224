// Package db keeps backups, what they reach, jobs and services in MySQL, MariaDB or SQLite, with
// one set of statements and one suite of tests for all of them.
//
// It holds no policy and lets no transaction out: each method is one story that
// happens whole or not at all. A state change names the state it leaves and
// checks that one row moved, so nothing relies on locks being seen on another
// Galera node: two nodes may both believe in a move until one of them fails
// certification, is tried again here, and then finds the row moved. No method
// does anything but SQL while a transaction is open.
//
// Times are stored as microseconds since 1970 UTC.
package db

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/stowage/stowage"
)

// Dialects.
const (
	MySQL  = "mysql"
	SQLite = "sqlite"
)

// Options says which database, and how to reach it.
type Options struct {
	Dialect string // MySQL or SQLite

	Path string // SQLite: the file

	Socket   string // MySQL: a Unix socket, instead of host and port
	Host     string
	Port     int
	User     string
	Password string // never log
	Name     string
	CAFile   string // TLS when any of these is set
	CertFile string
	KeyFile  string

	// WsrepSyncWait is MariaDB Galera's wsrep_sync_wait, nil to leave it alone:
	// 1 makes reads wait until this node has seen what the others committed.
	WsrepSyncWait *int

	MaxOpen     int           // connections at once; 0: 20
	MaxIdle     int           // 0: 5
	MaxLifetime time.Duration // 0: one hour
}

// DB is a database. All methods may be called at the same time.
type DB struct {
	sql     *sql.DB
	dialect string
}

// Open prepares the connections; nothing is reached before the first use.
func Open(o Options) (*DB, error) {
	var (
		pool *sql.DB
		err  error
	)
	switch o.Dialect {
	case MySQL:
		pool, err = openMySQL(o)
	case SQLite:
		pool, err = openSQLite(o)
	default:
		err = fmt.Errorf("database dialect %q is not supported: mysql or sqlite", o.Dialect)
	}
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(orInt(o.MaxOpen, 20))
	pool.SetMaxIdleConns(orInt(o.MaxIdle, 5))
	if o.MaxLifetime == 0 {
		o.MaxLifetime = time.Hour
	}
	pool.SetConnMaxLifetime(o.MaxLifetime)
	return &DB{sql: pool, dialect: o.Dialect}, nil
}

func openMySQL(o Options) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(o.Host, strconv.Itoa(orInt(o.Port, 3306)))
	if o.Socket != "" {
		cfg.Net, cfg.Addr = "unix", o.Socket
	}
	cfg.User, cfg.Passwd, cfg.DBName = o.User, o.Password, o.Name
	cfg.Collation = "utf8mb4_unicode_ci"
	// A guarded move that sets what is there already must still count as one row.
	cfg.ClientFoundRows = true
	// No prepared statements: a Galera node that gives a transaction up while
	// one is being closed tells nobody, since that has no answer, and takes the
	// rest of the transaction for statements of their own.
	cfg.InterpolateParams = true
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 10*time.Second, 60*time.Second, 60*time.Second
	cfg.Params = map[string]string{
		"sql_mode":  "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"time_zone": "'+00:00'",
	}
	if o.WsrepSyncWait != nil {
		cfg.Params["wsrep_sync_wait"] = strconv.Itoa(*o.WsrepSyncWait)
	}
	if o.CAFile != "" || o.CertFile != "" {
		t, err := tlsConfig(o)
		if err != nil {
			return nil, err
		}
		cfg.TLS = t
	}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("database options: %w", err)
	}
	return sql.OpenDB(c), nil
}

func tlsConfig(o Options) (*tls.Config, error) {
	t := &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the database's CA file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the database's CA file %s holds no certificate", o.CAFile)
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the database's client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func openSQLite(o Options) (*sql.DB, error) {
	// The file holds tenants' data: nobody else may read it.
	f, err := os.OpenFile(o.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the database file: %w", err)
	}
	return sql.Open("sqlite", "file:"+o.Path+"?_txlock=immediate"+
		"&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
}

// Close gives up the connections.
func (d *DB) Close() error { return d.sql.Close() }

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.sql.PingContext(ctx) }

// inTx runs fn in one transaction, and again when the database gave it up for
// a conflict with another one; fn must do nothing but SQL. An error of fn's own
// rolls back and is returned as it is.
func (d *DB) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := d.oneTx(ctx, fn)
		if err == nil || !conflicted(err) || try == tries {
			return unavailable(err)
		}
		pause := time.Duration(rand.IntN(1<<min(try, 7))) * 2 * time.Millisecond
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// inTxBeside is inTx for rows that several may write at once while there are none:
// whoever meets another's row at a unique key begins anew, and finds it there.
func (d *DB) inTxBeside(ctx context.Context, fn func(*sql.Tx) error) error {
	err := d.inTx(ctx, fn)
	for try := 0; duplicate(err) && try < 10; try++ {
		err = d.inTx(ctx, fn)
	}
	return err
}

func (d *DB) oneTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(tx); err != nil {
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rb))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// conflicted reports whether the database gave the transaction up whole, so
// that it may run again: deadlock (1213, also a failed Galera certification),
// lock wait timeout (1205), node not ready (1047), a row that changed since it
// was read (1020, MariaDB's innodb_snapshot_isolation), SQLite busy or locked.
func conflicted(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains([]uint16{1020, 1047, 1205, 1213}, my.Number)
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		code := lite.Code() & 0xff
		return code == sqlitelib.SQLITE_BUSY || code == sqlitelib.SQLITE_LOCKED
	}
	return false
}

// duplicate reports whether a unique key stood in the way.
func duplicate(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return my.Number == 1062
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// unavailable gives an error of the connection, not of the statement, its code.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	var (
		coded *stowage.Error
		my    *mysql.MySQLError
	)
	if errors.As(err, &coded) || errors.As(err, &my) && !conflicted(err) && !away(my) {
		return err
	}
	var neterr net.Error
	if away(my) || conflicted(err) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) || errors.As(err, &neterr) {
		return stowage.Wrap(stowage.Unavailable, err, "The database is temporarily unavailable.")
	}
	return err
}

// away reports whether the server says that it cannot serve now: too many
// connections (1040, 1203), shutting down (1053), read-only (1290, 1836),
// connection killed (1927).
func away(err *mysql.MySQLError) bool {
	return err != nil && slices.Contains([]uint16{1040, 1053, 1203, 1290, 1836, 1927}, err.Number)
}

// rower is a *sql.Row or *sql.Rows.
type rower interface{ Scan(...any) error }

// query reads all rows of a query.
func query[T any](ctx context.Context, d *DB, what string, scan func(rower) (T, error), q string, args ...any) ([]T, error) {
	rows, err := d.sql.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, unavailable(err))
	}
	return collect(rows, what, scan)
}

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, what string, scan func(rower) (T, error)) ([]T, error) {
	defer rows.Close()
	var list []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, unavailable(err))
	}
	return list, nil
}

// moved checks that exactly one row moved.
func moved(res sql.Result, what string) error {
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n != 1 {
		return &stowage.Error{Code: stowage.Conflict, Message: what + ": it has moved on"}
	}
	return nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func orInt(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

// ascii reports whether s may be compared with a column of ASCII: MySQL calls
// anything else an error, where to find nothing is meant.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clip cuts s to at most n characters, so that a long reason never makes the
// row that tells it fail.
func clip(s string, n int) string {
	count := 0
	for i := range s {
		if count == n {
			return s[:i]
		}
		count++
	}
	return s
}
