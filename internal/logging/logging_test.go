package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// logger gives a logger to a buffer; change sets options.
func logger(t *testing.T, change ...func(*Options)) (*slog.Logger, *bytes.Buffer, *Output) {
	t.Helper()
	var buf bytes.Buffer
	o := Options{Program: "stowage-manager", PID: 4711, Stderr: &buf}
	for _, f := range change {
		f(&o)
	}
	log, out, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return log, &buf, out
}

func asJSON(o *Options) { o.JSON = true }

var alice = Request{ID: "req-1", GlobalID: "req-0", UserID: "alice", ProjectID: "p1"}

// withoutDate takes the date off, after a look at its form.
func withoutDate(t *testing.T, line string) string {
	t.Helper()
	date := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} `)
	if !date.MatchString(line) {
		t.Fatalf("no date: %q", line)
	}
	return date.ReplaceAllString(line, "")
}

func TestLinesHaveOslosForm(t *testing.T) {
	ctx := WithRequest(t.Context(), alice)
	for want, act := range map[string]func(*slog.Logger){
		`4711 INFO stowage-manager [-] started`:                                         func(l *slog.Logger) { l.Info("started") },
		`4711 INFO stowage-manager [req-0 req-1 alice p1 - -] done backup=7 name="a b"`: func(l *slog.Logger) { l.InfoContext(ctx, "done", "backup", 7, "name", "a b") },
		`4711 WARNING stowage-manager [- req-2 - - - -] slow took=1.5`:                  func(l *slog.Logger) { l.WarnContext(WithRequest(ctx, Request{ID: "req-2"}), "slow", "took", 1.5) },
		`4711 ERROR stowage-manager [-] failed error="upload pack 7f3a: broken"`: func(l *slog.Logger) {
			l.Error("failed", "error", fmt.Errorf("upload pack 7f3a: %w", errors.New("broken")))
		},
		`4711 INFO stowage-manager [-] groups a=1 g.b=2 g.h.c=3`:    func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("groups", "c", 3) },
		`4711 INFO stowage-manager [-] two\nlines x="a\nb" "k y"=1`: func(l *slog.Logger) { l.Info("two\nlines", "x", "a\nb", "k y", 1) },
		`4711 INFO stowage-manager [-] odd e="" n=<nil> p=<nil> s="[\"a\",\"b\"]" b="3 bytes"`: func(l *slog.Logger) {
			l.Info("odd", "e", "", "n", nil, "p", (*failing)(nil), "s", []string{"a", "b"}, "b", []byte("abc"))
		},
	} {
		log, buf, _ := logger(t)
		act(log)
		if got := withoutDate(t, buf.String()); got != want+"\n" {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}

type failing struct{ text string }

func (f *failing) Error() string { return f.text }

func TestDebugLinesOnDemand(t *testing.T) {
	log, buf, out := logger(t)
	log.Debug("no")
	out.SetDebug(true)
	log.Debug("yes")
	out.SetDebug(false)
	log.Debug("no")
	if got := withoutDate(t, buf.String()); got != "4711 DEBUG stowage-manager [-] yes\n" {
		t.Error(got)
	}
}

func TestJSONLinesTellTheSame(t *testing.T) {
	log, buf, _ := logger(t, asJSON)
	ctx := WithRequest(t.Context(), alice)
	log.WithGroup("g").With("a", 1).WarnContext(ctx, "slow", "error", errors.New("broken"), "password", "sekret")
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := `map[g.a:1 g.error:broken g.password:*** global_request_id:req-0 levelname:WARNING message:slow ` +
		`name:stowage-manager process:4711 project_id:p1 request_id:req-1 user_id:alice]`
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

// hiding is a value that knows how to show itself.
type hiding struct{}

func (hiding) LogValue() slog.Value { return slog.StringValue("shown") }

func TestSecretsAreMasked(t *testing.T) {
	token := "gAAAAABl" + strings.Repeat("sekret", 10)
	attrs := []any{
		"password", "sekret", "admin_password", "sekret", "Token", "sekret", "X-Auth-Token", "sekret",
		"transport_url", "sekret", "connection", "sekret", "db_connection", []string{"sekret"}, "client_secret", "sekret",
		"memcache_secret_key", "sekret", "authorization", "Bearer sekret",
		"error", errors.New("dial rabbit://u:sekret@h1:5672,u:sekret@h2/v: refused"),
		"url", "mysql+pymysql://root:p@sekret@db/x",
		"header", map[string][]string{"X-Auth-Token": {"sekret"}, "X-Subject-Token": {"sekret"}},
		"struct", struct{ User, Password string }{"u", "sekret"},
		"pointer", &struct{ AdminPassword string }{"sekret"},
		"query", "a=b&password=sekret&c=d",
		"body", `{"auth":{"password": "sekret"}}`,
		"quoted", fmt.Sprintf("%q", `{"auth":{"password": "sekret"}}`),
		"t", token,
		slog.Group("auth", "password", "sekret", "user", "visible"),
	}
	for _, change := range []func(*Options){func(*Options) {}, asJSON} {
		log, buf, _ := logger(t, change)
		log.Info("token "+token+" url http://u:sekret@h", attrs...)
		log.With(attrs...).WithGroup("secret").Info("x", "y", "sekret")
		if got := buf.String(); strings.Contains(got, "sekret") || !strings.Contains(got, "visible") {
			t.Errorf("shown: %s", regexp.MustCompile(`\S*.{60}sekret`).FindAllString(got, -1))
		}
	}
}

func TestWhatIsNoSecretIsShown(t *testing.T) {
	log, buf, _ := logger(t)
	log.Info("x", "fencing_token", 7, "connections", 5, "error", errors.New("validate token: connection refused"),
		"url", "http://h1:8080/v1/AUTH_x?limit=1", "v", hiding{}, "mail", "a@b.c")
	want := `4711 INFO stowage-manager [-] x fencing_token=7 connections=5 error="validate token: connection refused" ` +
		`url="http://h1:8080/v1/AUTH_x?limit=1" v=shown mail=a@b.c` + "\n"
	if got := withoutDate(t, buf.String()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestLogFileIsReopened(t *testing.T) {
	dir := t.TempDir()
	log, buf, out := logger(t, func(o *Options) { o.Dir = dir })
	path := filepath.Join(dir, "stowage-manager.log")
	log.Info("first")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v %v", info, err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	log.Info("second")
	if err := out.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("third")
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	log.Info("nowhere")
	for file, want := range map[string]string{path: "third", path + ".1": "first second"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(text)) {
			got = append(got, line[strings.LastIndexByte(line, ' ')+1:len(line)-1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", file, got, want)
		}
	}
	if buf.Len() > 0 {
		t.Errorf("on standard error: %s", buf)
	}
}

func TestLogFileThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := New(Options{File: filepath.Join(dir, "none", "x.log")}); err == nil {
		t.Error("no error")
	}
	log, _, out := logger(t, func(o *Options) { o.Dir = filepath.Join(dir); o.File = "x.log" })
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := out.Reopen(); err == nil {
		t.Error("reopened")
	}
	log.Info("still here")
	if text, err := os.ReadFile(filepath.Join(dir+".away", "x.log")); err != nil || !strings.Contains(string(text), "still here") {
		t.Errorf("%s %v", text, err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
}

func TestFileAndStandardErrorAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	log, buf, _ := logger(t, func(o *Options) { o.File = path; o.Dir = "/none"; o.AlsoStderr = true })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { log.Info("x", "text", strings.Repeat("y", 5000)) })
	}
	all.Wait()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != buf.String() || strings.Count(buf.String(), "\n") != 20 {
		t.Errorf("%d and %d bytes, %v", len(text), buf.Len(), err)
	}
}

func TestNoContextIsNoRequest(t *testing.T) {
	if _, ok := RequestOf(context.Background()); ok {
		t.Error("a request out of nothing")
	}
	if r, ok := RequestOf(WithRequest(t.Context(), alice)); !ok || r != alice {
		t.Error(r)
	}
}
