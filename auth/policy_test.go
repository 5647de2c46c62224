package auth

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// office is an Enforcer with its files, its clock and what it logged.
type office struct {
	*Enforcer
	dir string
	now time.Time
	log syncBuffer
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{dir: t.TempDir(), now: time.Unix(1_800_000_000, 0)}
	e, err := NewEnforcer(EnforcerOptions{
		Now: func() time.Time { return o.now },
		Log: slog.New(slog.NewTextHandler(&o.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Enforcer = e
	return o
}

func (o *office) file(name string) string { return filepath.Join(o.dir, name) }

// write writes a policy file whose time is the office's.
func (o *office) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(o.file(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.file(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(o.file(name), o.now, o.now); err != nil {
		t.Fatal(err)
	}
}

func (o *office) load(t *testing.T) {
	t.Helper()
	if err := o.Load(o.file("policy.yaml"), []string{o.file("policy.d")}); err != nil {
		t.Fatal(err)
	}
}

var (
	anAdmin  = Caller{UserID: "u1", ProjectID: "p9", Roles: []string{"admin", "member", "reader"}, IsAdminProject: true}
	aMember  = Caller{UserID: "u2", ProjectID: "p1", Roles: []string{"member", "reader"}, IsAdminProject: true}
	aReader  = Caller{UserID: "u3", ProjectID: "p1", Roles: []string{"reader"}, IsAdminProject: true}
	aService = Caller{UserID: "u4", ProjectID: "p1", Roles: []string{"service"}, IsAdminProject: true}

	inP1 = map[string]any{"project_id": "p1"}
	inP2 = map[string]any{"project_id": "p2"}
)

func TestDefaultRulesAreSecureRBAC(t *testing.T) {
	o := newOffice(t)
	reading := []string{RuleGet, RuleGetAll}
	writing := []string{RuleCreate, RuleDelete, RuleRestore}
	ruling := []string{RuleAllProjects}
	elsewhere := anAdmin
	elsewhere.IsAdminProject = false
	for _, c := range []struct {
		who    string
		caller Caller
		target map[string]any
		may    [][]string
	}{
		{"admin anywhere", anAdmin, inP2, [][]string{reading, writing, ruling}},
		{"admin of a project that is not the admin project", elsewhere, inP2, nil},
		{"member at home", aMember, inP1, [][]string{reading, writing}},
		{"member abroad", aMember, inP2, nil},
		{"reader at home", aReader, inP1, [][]string{reading}},
		{"reader abroad", aReader, inP2, nil},
		{"service role alone", aService, inP1, nil},
		{"nobody", Caller{}, inP1, nil},
		{"nobody about nothing", Caller{}, nil, nil},
		{"member about nothing", aMember, nil, nil},
	} {
		may := strings.Join(flattenNames(c.may), " ") + " "
		for _, rule := range flattenNames([][]string{reading, writing, ruling}) {
			want := strings.Contains(may, rule+" ")
			if got := o.Allows(rule, c.caller, c.target); got != want {
				t.Errorf("%s, %s: %v, want %v", c.who, rule, got, want)
			}
		}
	}
}

func flattenNames(groups [][]string) (all []string) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func TestForbiddenNamesTheRule(t *testing.T) {
	o := newOffice(t)
	if err := o.Enforce(RuleCreate, aMember, inP1); err != nil {
		t.Fatal(err)
	}
	err := o.Enforce(RuleCreate, aReader, inP1)
	if !stowage.Is(err, stowage.Forbidden) ||
		stowage.MessageOf(err) != "Policy doesn't allow volume_backup:create to be performed." {
		t.Errorf("%v", err)
	}
	if o.Allows("volume_backup:no_such_rule", anAdmin, inP1) {
		t.Error("a rule nobody knows allows an admin")
	}
}

func TestOverridesComeFromFileThenDirectories(t *testing.T) {
	o := newOffice(t)
	o.write(t, "policy.yaml", `
# a comment
"volume_backup:create": "role:backup_admin"
"volume_backup:delete": "!"
volume_backup:restore: [["role:reader"], ["role:member", "user_id:%(owner.id)s"]]
"ours": "role:reader"
"volume_backup:get": "rule:ours"
"volume_backup:gett": "@"
`)
	o.write(t, "policy.d/10-json.yaml", `{"volume_backup:delete": "role:MEMBER"}`)
	o.write(t, "policy.d/.20-hidden.yaml", `"volume_backup:delete": "!"`)
	o.write(t, "policy.d/30.yaml/not-read.yaml", `"volume_backup:delete": "!"`)
	o.load(t)
	backupAdmin := aReader
	backupAdmin.Roles = []string{"Backup_Admin"}
	for _, c := range []struct {
		rule   string
		caller Caller
		want   bool
	}{
		{RuleCreate, aMember, false}, {RuleCreate, backupAdmin, true}, {RuleCreate, anAdmin, false},
		{RuleDelete, aMember, true}, {RuleRestore, aReader, true},
		{RuleGet, aReader, true}, {RuleGetAll, aReader, true}, {"volume_backup:gett", aReader, true},
	} {
		if got := o.Allows(c.rule, c.caller, inP1); got != c.want {
			t.Errorf("%s by %s: %v", c.rule, c.caller.UserID, got)
		}
	}
	if log := o.log.String(); strings.Count(log, "guards nothing") != 1 || !strings.Contains(log, "volume_backup:gett") {
		t.Errorf("a rule that guards nothing is not logged, or another one is: %s", log)
	}
}

func TestNestedTargetsHaveDottedNames(t *testing.T) {
	o := newOffice(t)
	o.write(t, "policy.yaml", `"volume_backup:get": "user_id:%(backup.owner.id)s"`)
	o.load(t)
	target := map[string]any{"backup": map[string]any{"owner": map[string]any{"id": "u3"}}}
	if !o.Allows(RuleGet, aReader, target) || o.Allows(RuleGet, aMember, target) {
		t.Error("backup.owner.id is not looked up")
	}
	if _, changed := target["backup.owner.id"]; changed {
		t.Error("the caller's target was changed")
	}
}

func TestBrokenRuleAllowsNobodyAndIsLogged(t *testing.T) {
	o := newOffice(t)
	o.write(t, "policy.yaml", "\n\"volume_backup:get\": \"role:reader role:member\"\n\"volume_backup:create\": \"rule:a\"\n\"a\": \"not rule:a\"\n")
	o.load(t)
	if o.Allows(RuleGet, anAdmin, inP1) || o.Allows(RuleCreate, anAdmin, inP1) {
		t.Error("a broken rule allows somebody")
	}
	if !o.Allows(RuleGetAll, aReader, inP1) {
		t.Error("the other rules suffer")
	}
	for _, want := range []string{"policy.yaml:2", "volume_backup:get", "in a circle"} {
		if !strings.Contains(o.log.String(), want) {
			t.Errorf("log lacks %q: %s", want, o.log.String())
		}
	}
}

func TestFilesThatMeanNothingAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"- a\n- b":                            "maps names to rules",
		"just text":                           "maps names to rules",
		"a: [":                                "yaml",
		"\ta: b":                              "yaml",
		`"a": "@"` + "\n" + `"a": "!"`:        "twice",
		"a:":                                  `write "" to allow everybody`,
		"a: true":                             "a rule is text",
		"a: 1":                                "a rule is text",
		"a: {b: c}":                           "a rule is text",
		"a: !":                                `"!" to allow nobody`,
		"a: [[1]]":                            "",
		"a: 'http://127.0.0.1/x'":             "remote checks",
		"a: 'role:x or (https://example.org'": "remote checks",
		"<<: {a: b}":                          "is text",
	} {
		o := newOffice(t)
		o.write(t, "policy.yaml", text)
		err := o.Load(o.file("policy.yaml"), nil)
		if want == "" { // a rule that is never true
			if err != nil || o.Allows("a", anAdmin, inP1) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "policy.yaml") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if !o.Allows(RuleGet, aReader, inP1) {
			t.Errorf("%q: the defaults are gone", text)
		}
	}
}

func TestNothingToLoadMeansDefaults(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "{}", "---\n"} {
		o := newOffice(t)
		o.write(t, "policy.yaml", text)
		o.load(t)
		if !o.Allows(RuleGet, aReader, inP1) {
			t.Errorf("%q: no defaults", text)
		}
	}
	o := newOffice(t)
	o.load(t) // neither file nor directory is there
	if !o.Allows(RuleGet, aReader, inP1) {
		t.Error("no defaults without files")
	}
}

// may asks something that the tests below open and close.
func (o *office) may() bool { return o.Allows(RuleGet, aReader, inP1) }

// change writes a file a second later.
func (o *office) change(t *testing.T, name, text string) {
	t.Helper()
	o.now = o.now.Add(time.Second)
	o.write(t, name, text)
}

func TestChangedFilesAreReadWithinSeconds(t *testing.T) {
	o := newOffice(t)
	o.load(t)
	may, step := o.may, func(name, text string) { o.change(t, name, text) }

	step("policy.yaml", `"volume_backup:get": "!"`)
	if !may() {
		t.Error("looked at the files too soon")
	}
	o.now = o.now.Add(checkFilesEvery)
	if may() {
		t.Error("a new file is not read")
	}

	step("policy.yaml", "a: [broken")
	o.now = o.now.Add(checkFilesEvery)
	for range 2 {
		if may() {
			t.Error("a broken file opened what was closed")
		}
	}
	o.now = o.now.Add(checkFilesEvery)
	may()
	if n := strings.Count(o.log.String(), "not reloaded"); n != 1 {
		t.Errorf("logged %d times", n)
	}

	step("policy.yaml", "{}")
	o.now = o.now.Add(checkFilesEvery)
	if !may() {
		t.Error("a mended file is not read")
	}

}

func TestFilesThatVanish(t *testing.T) {
	o := newOffice(t)
	o.write(t, "policy.yaml", `"volume_backup:get": "!"`)
	o.load(t)
	may, step := o.may, func(name, text string) { o.change(t, name, text) }

	if err := os.Remove(o.file("policy.yaml")); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(checkFilesEvery)
	if may() {
		t.Error("a file that is gone opened what was closed")
	}
	o.now = o.now.Add(checkFilesEvery)
	may()
	if n := strings.Count(o.log.String(), "is gone"); n != 1 {
		t.Errorf("logged %d times", n)
	}

	step("policy.yaml", "{}")
	o.now = o.now.Add(checkFilesEvery)
	if !may() {
		t.Error("a file that is back is not read")
	}

	step("policy.d/a.yaml", `"volume_backup:get": "!"`)
	o.now = o.now.Add(checkFilesEvery)
	if may() {
		t.Error("a new file in the directory is not read")
	}
	if err := os.Remove(o.file("policy.d/a.yaml")); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(checkFilesEvery)
	if !may() {
		t.Error("a file gone from the directory still counts")
	}

	step("policy.yaml", `"volume_backup:get": "!"`)
	if err := o.Reload(); err != nil || may() {
		t.Errorf("Reload waits for the clock: %v", err)
	}
}

func TestEnforceWhileReloading(t *testing.T) {
	o := newOffice(t)
	o.write(t, "policy.yaml", `"volume_backup:get": "role:reader"`)
	o.load(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if !o.Allows(RuleGet, aReader, inP1) {
					t.Error("no rules for a moment")
				}
			}
		})
	}
	for range 50 {
		if err := o.Reload(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestSampleIsComplete(t *testing.T) {
	var b bytes.Buffer
	if err := Sample(&b); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("../etc/stowage/policy.yaml.sample")
	if err != nil || !bytes.Equal(golden, b.Bytes()) {
		t.Errorf("../etc/stowage/policy.yaml.sample differs (%v); the sample is\n%s", err, b.String())
	}
	// As it stands it changes nothing; with its comments taken off it says
	// what the defaults say.
	if rules, err := parsePolicy(b.Bytes(), "sample"); err != nil || len(rules) != 0 {
		t.Errorf("%d rules, %v", len(rules), err)
	}
	rules, err := parsePolicy([]byte(strings.ReplaceAll(b.String(), "\n#\"", "\n\"")), "sample")
	if err != nil || len(rules) != len(Defaults()) {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}
