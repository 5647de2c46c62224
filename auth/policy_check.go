package auth

import (
	"errors"
	"fmt"
	"strings"
)

// check is one node of a parsed rule. An error stands for what oslo.policy
// answers with an exception: whatever was asked, the answer is no, even below
// a `not`.
type check interface {
	eval(q *question) (bool, error)
}

// question is what is asked of a rule: may these credentials do it to this
// target?
type question struct {
	creds  map[string]any
	target map[string]any
	rules  *ruleSet
	depth  int // of rule: references
}

// maxDepth of rule: references; only a cycle gets there.
const maxDepth = 64

var errCycle = errors.New("the rules refer to one another in a circle")

type (
	constCheck  bool
	brokenCheck struct{ err error }
	notCheck    struct{ inner check }
	andCheck    struct{ all []check }
	orCheck     struct{ any []check }
	ruleCheck   struct{ name string }
	roleCheck   struct{ match format }
	// A value of the credentials, found by its path, or a literal.
	pathCheck struct {
		path  []string
		match format
	}
	literalCheck struct {
		value string
		match format
	}
)

func (c constCheck) eval(*question) (bool, error)  { return bool(c), nil }
func (c brokenCheck) eval(*question) (bool, error) { return false, c.err }

func (c notCheck) eval(q *question) (bool, error) {
	ok, err := c.inner.eval(q)
	return !ok && err == nil, err
}

func (c *andCheck) eval(q *question) (bool, error) {
	for _, inner := range c.all {
		if ok, err := inner.eval(q); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *orCheck) eval(q *question) (bool, error) {
	for _, inner := range c.any {
		if ok, err := inner.eval(q); ok || err != nil {
			return ok && err == nil, err
		}
	}
	return false, nil
}

func (c ruleCheck) eval(q *question) (bool, error) {
	inner, ok := q.rules.find(c.name)
	if !ok {
		return false, nil
	}
	if q.depth >= maxDepth {
		return false, errCycle
	}
	q.depth++
	defer func() { q.depth-- }()
	return inner.eval(q)
}

func (c roleCheck) eval(q *question) (bool, error) {
	match, ok := c.match.fill(q.target)
	if !ok {
		return false, nil
	}
	switch roles := q.creds["roles"].(type) {
	case []string:
		return hasRole(roles, match), nil
	case []any:
		for _, r := range roles {
			if s, ok := r.(string); ok && strings.EqualFold(s, match) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (c literalCheck) eval(q *question) (bool, error) {
	match, ok := c.match.fill(q.target)
	return ok && match == c.value, nil
}

func (c pathCheck) eval(q *question) (bool, error) {
	match, ok := c.match.fill(q.target)
	if !ok {
		return false, nil
	}
	return findIn(q.creds, c.path, match)
}

// findIn follows the path into nested maps. Of a list it tries every element.
func findIn(value any, path []string, match string) (bool, error) {
	if len(path) == 0 {
		text, ok := pythonString(value)
		return ok && text == match, nil
	}
	values, ok := value.(map[string]any)
	if !ok {
		return false, fmt.Errorf("%q is looked for in something that is no map", path[0])
	}
	value, ok = values[path[0]]
	if !ok {
		return false, nil
	}
	switch list := value.(type) {
	case []any:
		for _, element := range list {
			if ok, err := findIn(element, path[1:], match); ok || err != nil {
				return ok && err == nil, err
			}
		}
		return false, nil
	case []string:
		for _, element := range list {
			if ok, err := findIn(element, path[1:], match); ok || err != nil {
				return ok && err == nil, err
			}
		}
		return false, nil
	}
	return findIn(value, path[1:], match)
}

// ruleSet is all rules there are, by name.
type ruleSet struct {
	checks map[string]check
	// fallback is the name of the rule for names that have none.
	fallback string
}

func (s *ruleSet) find(name string) (check, bool) {
	c, ok := s.checks[name]
	if !ok && s.fallback != "" {
		c, ok = s.checks[s.fallback]
	}
	return c, ok
}

// ask answers by the named rule. No such rule: no. Like oslo.policy it adds
// to the credentials the system scope's old name.
func (s *ruleSet) ask(name string, creds, target map[string]any) (bool, error) {
	c, ok := s.find(name)
	if !ok {
		return false, nil
	}
	if scope, _ := creds["system_scope"].(string); scope != "" {
		creds["system"] = scope
	}
	return c.eval(&question{creds: creds, target: target, rules: s})
}
