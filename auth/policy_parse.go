package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// The language of rules, as oslo.policy reads it:
//
//	role:admin                    the caller has the role; case does not count
//	rule:admin_api                as another rule says
//	project_id:%(project_id)s     a value of the caller equals one of the target
//	'text':%(name)s  True:%(x)s   a literal equals a value of the target
//	@  !  ""                      always, never, always
//	not  and  or  ( )             in this order of binding, in any case
//
// A check that cannot be parsed counts as false, and so does a whole rule that
// makes no sense; the error says why. Below a `not` that is true, in
// oslo.policy as well.

var (
	errNoKind   = errors.New("a check is @, ! or kind:match")
	errSyntax   = errors.New("the checks and operators do not make a rule")
	errQuoted   = errors.New("quotes do not group anything in a rule")
	errRemote   = errors.New("remote checks (http: and https:) are not supported: write the rule out, or ask the remote policy to be exported")
	errListRule = errors.New("a rule is text or a list of lists of checks")
)

// parseRule reads a rule in the policy language. The check is usable even with
// an error.
func parseRule(rule string) (check, error) {
	if rule == "" {
		return constCheck(true), nil
	}
	var p parser
	var problems []error
	for _, w := range tokenize(rule) {
		value, err := w.check()
		if err != nil {
			problems = append(problems, err)
		}
		p.shift(w.kind, value)
	}
	switch {
	case len(p.kinds) != 1:
		return constCheck(false), errors.Join(append(problems, errSyntax)...)
	case p.values[0] == nil: // a lone operator; oslo.policy trips over it later
		return brokenCheck{errSyntax}, errors.Join(append(problems, errSyntax)...)
	}
	return p.values[0], errors.Join(problems...)
}

// parseListRule reads the old form: any of the outer list's, each all of an
// inner list's.
func parseListRule(rule []any) (check, error) {
	if len(rule) == 0 {
		return constCheck(true), nil
	}
	var problems []error
	anyOf := &orCheck{}
	for _, inner := range rule {
		var texts []any
		switch v := inner.(type) {
		case string:
			texts = []any{v}
			if v == "" {
				continue
			}
		case []any:
			texts = v
		default:
			return brokenCheck{errListRule}, errListRule
		}
		if len(texts) == 0 {
			continue
		}
		allOf := &andCheck{}
		for _, text := range texts {
			s, ok := text.(string)
			if !ok {
				return brokenCheck{errListRule}, errListRule
			}
			c, err := parseCheck(s)
			if err != nil {
				problems = append(problems, fmt.Errorf("%q: %w", s, err))
			}
			allOf.all = append(allOf.all, c)
		}
		anyOf.any = append(anyOf.any, allOf)
	}
	return anyOf, errors.Join(problems...)
}

// parseCheck reads one check.
func parseCheck(text string) (check, error) {
	switch text {
	case "!":
		return constCheck(false), nil
	case "@":
		return constCheck(true), nil
	}
	kind, match, ok := strings.Cut(text, ":")
	if !ok {
		return constCheck(false), errNoKind
	}
	switch kind {
	case "http", "https":
		return brokenCheck{errRemote}, errRemote
	case "rule":
		return ruleCheck{match}, nil
	}
	f, err := parseFormat(match)
	if err != nil {
		return brokenCheck{err}, err
	}
	if kind == "role" {
		return roleCheck{f}, nil
	}
	c, err := parseKind(kind, f)
	if err != nil {
		return brokenCheck{err}, err
	}
	return c, nil
}

// kind is what the parser sees of a word or of what it made of several.
type kind int

const (
	kindCheck kind = iota
	kindAndExpr
	kindOrExpr
	kindOpen
	kindClose
	kindAnd
	kindOr
	kindNot
	kindQuoted
)

type word struct {
	kind kind
	text string
}

func (w word) check() (check, error) {
	switch w.kind {
	case kindCheck:
		c, err := parseCheck(w.text)
		if err != nil {
			return c, fmt.Errorf("%q: %w", w.text, err)
		}
		return c, nil
	case kindQuoted:
		return nil, fmt.Errorf("%q: %w", w.text, errQuoted)
	}
	return nil, nil
}

// tokenize splits a rule at white space, and parentheses off both ends of what
// remains: those inside belong to %(name)s.
func tokenize(rule string) []word {
	var words []word
	for _, tok := range strings.FieldsFunc(rule, isSpace) {
		bare := strings.TrimLeft(tok, "(")
		for range len(tok) - len(bare) {
			words = append(words, word{kindOpen, "("})
		}
		if bare == "" {
			continue
		}
		tok = bare
		bare = strings.TrimRight(tok, ")")
		switch lower := strings.ToLower(bare); {
		case lower == "and":
			words = append(words, word{kindAnd, bare})
		case lower == "or":
			words = append(words, word{kindOr, bare})
		case lower == "not":
			words = append(words, word{kindNot, bare})
		case bare == "":
		case len(tok) >= 2 && (tok[0] == '"' || tok[0] == '\'') && tok[0] == tok[len(tok)-1]:
			words = append(words, word{kindQuoted, bare})
		default:
			words = append(words, word{kindCheck, bare})
		}
		for range len(tok) - len(bare) {
			words = append(words, word{kindClose, ")"})
		}
	}
	return words
}

// isSpace is \s of Python's re, which counts the separators 1C to 1F as well.
func isSpace(r rune) bool { return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) }
