package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// vectors is what oslo.policy answered, see testdata/make_vectors.py.
type vectors struct {
	MadeWith    string                    `json:"made_with"`
	Creds       map[string]map[string]any `json:"creds"`
	Targets     map[string]map[string]any `json:"targets"`
	TargetOrder []string                  `json:"target_order"`
	Remote      []any                     `json:"remote"`
	Rows        []struct {
		Rules map[string]any    `json:"rules"`
		Want  map[string]string `json:"want"` // by creds: T, F or E for each target
	} `json:"rows"`
}

// stricter lists rules that oslo.policy follows and we refuse to: no operator
// writes them on purpose.
var stricter = map[any]bool{
	"role:%s":    true, // Python would compare the role with the whole target
	"role:%(a)q": true, // an exception as soon as the target has an a
	"[]:x":       true, // a list on the left side
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/policy_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func parseAny(rule any) (check, error) {
	switch r := rule.(type) {
	case string:
		return parseRule(r)
	case []any:
		return parseListRule(r)
	}
	return nil, errListRule
}

func TestWeAnswerAsOsloPolicyDoes(t *testing.T) {
	v := readVectors(t)
	answers := 0
	for _, row := range v.Rows {
		if rule, ok := row.Rules["ask"]; ok && rule == nil {
			continue // no rule at all is refused when the file is read
		}
		set := &ruleSet{checks: map[string]check{}, fallback: "default"}
		for name, rule := range row.Rules {
			set.checks[name], _ = parseAny(rule)
		}
		for who, want := range row.Want {
			for i, target := range v.TargetOrder {
				got := answerOf(set.ask("ask", v.Creds[who], flatten(v.Targets[target])))
				if got == 'E' && want[i] == 'F' && stricter[row.Rules["ask"]] {
					got = 'F'
				}
				if got != want[i] {
					t.Errorf("%q asked by %s about %s: %c, oslo.policy says %c", row.Rules, who, target, got, want[i])
				}
				answers++
			}
		}
	}
	t.Logf("%d answers of %s", answers, v.MadeWith)
	if len(v.Rows) < 40 {
		t.Errorf("only %d rule sets", len(v.Rows))
	}
}

func answerOf(ok bool, err error) byte {
	switch {
	case err != nil && !ok:
		return 'E'
	case err == nil && ok:
		return 'T'
	case err == nil:
		return 'F'
	}
	return '?' // yes and an error: must not be
}

func TestRemoteChecksAreRefused(t *testing.T) {
	for _, rule := range readVectors(t).Remote {
		c, err := parseAny(rule)
		if !errors.Is(err, errRemote) {
			t.Errorf("%v: error %v", rule, err)
		}
		set := &ruleSet{checks: map[string]check{"ask": c}}
		if ok, _ := set.ask("ask", map[string]any{}, map[string]any{}); ok {
			t.Errorf("%v: allowed", rule)
		}
	}
}

// What a parser makes of a rule it complains about must never say yes where
// the same rule without complaint is said no, and nothing may panic.
func FuzzRule(f *testing.F) {
	for _, s := range []string{"", "role:admin or not (a:%(b)s and @)", "((", "not 'x'", "x:%(", "1e5:x", "role:%"} {
		f.Add(s)
	}
	creds := map[string]any{"roles": []string{"member"}, "a": map[string]any{"b": []any{"x"}}}
	f.Fuzz(func(t *testing.T, rule string) {
		c, _ := parseRule(rule)
		set := &ruleSet{checks: map[string]check{"ask": c}, fallback: "default"}
		ok, err := set.ask("ask", creds, map[string]any{"b": "x"})
		if ok && err != nil {
			t.Errorf("%q: yes, with error %v", rule, err)
		}
	})
}
