package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// DatabaseURL is a SQLAlchemy URL taken apart. It prints without its password.
type DatabaseURL struct {
	Dialect string // mysql or sqlite

	Host     string // mysql: name or address, IPv6 without brackets; empty with Socket
	Port     int
	Socket   string // mysql: unix socket (?unix_socket=)
	User     string
	Password Secret
	Name     string // of the database

	Path string // sqlite: file, or :memory:

	CA, Cert, Key string // TLS files (?ssl_ca=, ?ssl_cert=, ?ssl_key=)

	// Params are all other parameters, but for those that mean something to
	// Python only. charset is left to the driver, which always uses utf8mb4.
	Params map[string]string
}

// pythonOnly are parameters that PyMySQL and oslo.db take and a Go driver does not need.
var pythonOnly = map[string]bool{
	"charset": true, "plugin": true, "use_unicode": true, "binary_prefix": true, "ssl_check_hostname": true,
}

const mysqlPort = 3306

// ParseDatabaseURL reads what oslo.db takes for [database] connection. Its
// errors never show the URL, for its password.
func ParseDatabaseURL(raw string) (DatabaseURL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return DatabaseURL{}, errors.New("must be a URL like mysql+pymysql://user:password@host/name")
	}
	dialect, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	switch dialect {
	case "mysql", "mariadb":
		return parseMySQL(rest)
	case "sqlite":
		return parseSQLite(rest)
	case "postgresql", "postgres", "oracle", "mssql":
		return DatabaseURL{}, fmt.Errorf("%s is not supported, use mysql+pymysql or sqlite", dialect)
	}
	return DatabaseURL{}, errors.New("the kind of database is not supported, use mysql+pymysql or sqlite")
}

func parseMySQL(rest string) (DatabaseURL, error) {
	d := DatabaseURL{Dialect: "mysql"}
	// As in SQLAlchemy the first @ ends the credentials, so that a password may
	// hold a / or a ?, and a user name may not hold a /.
	host := rest
	if credentials, behind, ok := strings.Cut(rest, "@"); ok {
		user, password, _ := strings.Cut(credentials, ":")
		if !strings.Contains(user, "/") {
			d.User, d.Password = unescape(user), Secret(unescape(password))
			host = behind
		}
	}
	host, query, _ := strings.Cut(host, "?")
	host, name, _ := strings.Cut(host, "/")
	if strings.Contains(host, "@") {
		return DatabaseURL{}, errors.New("has two @: one in the password is written %40")
	}
	d.Name = unescape(name)
	if strings.Contains(host, ",") {
		return DatabaseURL{}, errors.New("several hosts are not supported, use a virtual address or a proxy")
	}
	if d.Name == "" {
		return DatabaseURL{}, errors.New("names no database, mysql+pymysql://user:password@host/NAME expected")
	}
	if err := d.setHost(host); err != nil {
		return DatabaseURL{}, err
	}
	if err := d.setParams(query); err != nil {
		return DatabaseURL{}, err
	}
	if d.Host == "" && d.Socket == "" {
		d.Host = "localhost"
	}
	return d, nil
}

func (d *DatabaseURL) setHost(host string) error {
	d.Port = mysqlPort
	port := ""
	if inner, ok := strings.CutPrefix(host, "["); ok {
		address, tail, closed := strings.Cut(inner, "]")
		if !closed || tail != "" && tail[0] != ':' {
			return errors.New("not an IPv6 address in brackets")
		}
		host, port = address, strings.TrimPrefix(tail, ":")
	} else {
		host, port, _ = strings.Cut(host, ":")
	}
	d.Host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return errors.New("the port is no number from 1 to 65535 (is a @ : or ? in the password percent-encoded?)")
		}
		d.Port = int(n)
	}
	return nil
}

func (d *DatabaseURL) setParams(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the part behind ? is not percent-encoded well")
	}
	for key, v := range values {
		value := v[len(v)-1]
		switch {
		case key == "ssl_ca":
			d.CA = value
		case key == "ssl_cert":
			d.Cert = value
		case key == "ssl_key":
			d.Key = value
		case key == "unix_socket":
			d.Socket, d.Host, d.Port = value, "", 0
		case pythonOnly[key]:
		default:
			if d.Params == nil {
				d.Params = map[string]string{}
			}
			d.Params[key] = value
		}
	}
	return nil
}

// parseSQLite reads sqlite:///relative, sqlite:////absolute and sqlite:// for
// a database in memory.
func parseSQLite(rest string) (DatabaseURL, error) {
	rest, query, _ := strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	if host != "" {
		return DatabaseURL{}, errors.New("a sqlite URL has no host: sqlite:////absolute/path, four slashes")
	}
	d := DatabaseURL{Dialect: "sqlite", Path: path}
	if path == "" || path == ":memory:" {
		d.Path = ":memory:"
	} else {
		d.Path = filepath.Clean(path)
	}
	if err := d.setParams(query); err != nil {
		return DatabaseURL{}, err
	}
	return d, nil
}

// unescape decodes %XX; as in SQLAlchemy, a % without two digits behind it
// stands for itself.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// String gives the URL without password and parameters.
func (d DatabaseURL) String() string {
	if d.Dialect == "sqlite" {
		return "sqlite:///" + d.Path
	}
	host := d.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("mysql://%s:***@%s:%d/%s", url.PathEscape(d.User), host, d.Port, url.PathEscape(d.Name))
}

// LogValue keeps the password, and parameters, out of logs.
func (d DatabaseURL) LogValue() slog.Value { return slog.StringValue(d.String()) }
