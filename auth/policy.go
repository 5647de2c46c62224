package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stowage/stowage"
)

// checkFilesEvery is how old the rules in use may be.
const checkFilesEvery = 3 * time.Second

// Enforcer says whether a caller may. It is safe for concurrent use.
type Enforcer struct {
	defaults []Rule
	fallback string
	now      func() time.Time
	log      *slog.Logger

	rules atomic.Pointer[ruleSet]

	loading sync.Mutex // guards the below; whoever finds it taken uses the rules there are
	path    string
	dirs    []string
	known   []stamp   // of the files when they were last read, good or bad
	bad     bool      // they could not be used then
	missing bool      // somebody was told that they cannot be looked at
	looked  time.Time // when they were last looked at
}

// Rule is a default: a rule in code, and what its reader must know of it.
type Rule struct {
	Name        string
	Check       string
	Description string
	Operations  []Operation
}

// Operation is a request that a rule guards.
type Operation struct{ Method, Path string }

// EnforcerOptions hand in what an Enforcer would otherwise take from the world.
type EnforcerOptions struct {
	// Defaults are the rules in code; nil: Defaults().
	Defaults []Rule
	// DefaultRule is the name of the rule that stands in for one that does not
	// exist, if it exists itself. policy_default_rule; empty: default.
	DefaultRule string
	Now         func() time.Time // time.Now otherwise
	Log         *slog.Logger     // slog.Default otherwise
}

// NewEnforcer makes an Enforcer that knows the defaults only. An error is a
// default that cannot be parsed.
func NewEnforcer(o EnforcerOptions) (*Enforcer, error) {
	e := &Enforcer{defaults: o.Defaults, fallback: o.DefaultRule, now: o.Now, log: o.Log}
	if e.defaults == nil {
		e.defaults = Defaults()
	}
	if e.fallback == "" {
		e.fallback = "default"
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	set := &ruleSet{checks: map[string]check{}, fallback: e.fallback}
	for _, d := range e.defaults {
		c, err := parseRule(d.Check)
		if err != nil {
			return nil, fmt.Errorf("default rule %s: %w", d.Name, err)
		}
		set.checks[d.Name] = c
	}
	e.rules.Store(set)
	return e, nil
}

// Load reads the overrides: a policy file, and all files of the directories on
// top of it. None of them need exist. A rule that cannot be parsed, or a check
// in it, is logged and counts as false, as in oslo.policy; anything worse (no
// YAML, no map, remote checks) is an error, and the rules in use stay. From now on the files are looked at again every
// few seconds, when somebody asks: changed files that are no good are logged,
// and the rules in use stay.
func (e *Enforcer) Load(path string, dirs []string) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	e.path, e.dirs = path, slices.Clone(dirs)
	return e.load()
}

// Reload reads the files again at once, changed or not. Unlike the look every
// few seconds it believes that a policy file which is gone shall be gone.
func (e *Enforcer) Reload() error {
	e.loading.Lock()
	defer e.loading.Unlock()
	return e.load()
}

// load needs the lock. The stamps are taken before the files are read: what
// changes in between is read again.
func (e *Enforcer) load() error {
	e.looked, e.bad = e.now(), true
	files, err := stamps(e.path, e.dirs)
	if err != nil {
		return fmt.Errorf("load policy: %w", err)
	}
	e.known = files
	set := &ruleSet{checks: map[string]check{}, fallback: e.fallback}
	var read []fileRule
	for _, f := range files {
		rules, err := readPolicy(f.path)
		if err != nil {
			return fmt.Errorf("load policy: %w", err)
		}
		read = append(read, rules...)
	}
	for _, r := range read {
		set.checks[r.name] = r.check
		if r.problem != nil {
			e.log.Error("policy rule not understood, what is not counts as false", "rule", r.name, "file", r.where, "error", r.problem)
		}
	}
	for _, d := range e.defaults {
		if _, overridden := set.checks[d.Name]; overridden {
			continue
		}
		set.checks[d.Name], _ = parseRule(d.Check) // NewEnforcer has seen it parse
	}
	e.rules.Store(set)
	e.bad = false
	e.review(set, read)
	return nil
}

// refresh looks at the files if it is time to, and reads them if they changed.
func (e *Enforcer) refresh() {
	if !e.loading.TryLock() {
		return
	}
	defer e.loading.Unlock()
	now := e.now()
	if (e.path == "" && len(e.dirs) == 0) || now.Sub(e.looked) < checkFilesEvery {
		return
	}
	e.looked = now
	files, err := stamps(e.path, e.dirs)
	if gone := e.vanished(files); err == nil && gone != "" {
		err = fmt.Errorf("%s is gone", gone)
	}
	if err != nil {
		if !e.missing {
			e.log.Error("policy not reloaded, the old rules stay", "error", err)
		}
		e.missing = true
		return
	}
	e.missing = false
	// What could not be read is tried again, since its rights may have been
	// mended, which changes no stamp; but it is not complained of again.
	changed := !slices.Equal(files, e.known)
	if !changed && !e.bad {
		return
	}
	if err := e.load(); err == nil {
		e.log.Info("policy reloaded", "files", len(files))
	} else if changed {
		e.log.Error("policy not reloaded, the old rules stay", "error", err)
	}
}

// vanished gives the policy file's name if it was there and is not any more:
// what it restricted must not be open while somebody replaces it. Files of the
// directories may go.
func (e *Enforcer) vanished(files []stamp) string {
	had := func(s stamp) bool { return s.path == e.path }
	if slices.ContainsFunc(e.known, had) && !slices.ContainsFunc(files, had) {
		return e.path
	}
	return ""
}

// Allows reports whether the rule lets the caller do it to the target: the
// attributes of what it is about, project_id above all. A map in the target is
// seen under dotted names. A rule nobody knows allows nobody.
func (e *Enforcer) Allows(rule string, caller Caller, target map[string]any) bool {
	e.refresh()
	ok, err := e.rules.Load().ask(rule, caller.policyValues(), flatten(target))
	if err != nil {
		e.log.Error("policy rule cannot be followed, it allows nobody", "rule", rule, "error", err)
	}
	return ok && err == nil
}

// Enforce gives a Forbidden error if the rule does not let the caller do it.
func (e *Enforcer) Enforce(rule string, caller Caller, target map[string]any) error {
	if e.Allows(rule, caller, target) {
		return nil
	}
	return stowage.Wrap(stowage.Forbidden, errDisallowed, "Policy doesn't allow %s to be performed.", rule)
}

var errDisallowed = errors.New("disallowed by policy")
