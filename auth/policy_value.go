package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// format is the right side of a check: text with %(name)s in it, for a value
// of the target. Of Python's formatting, %(name)s and %% are understood.
type format struct {
	text  []string // one more than names
	names []string
}

var errFormat = errors.New("only %(name)s and %% are understood on the right side of a check")

func parseFormat(s string) (format, error) {
	var f format
	var text strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		text.WriteString(before)
		if !found {
			f.text = append(f.text, text.String())
			return f, nil
		}
		if s, found = strings.CutPrefix(after, "%"); found {
			text.WriteByte('%')
			continue
		}
		name, rest, closed := strings.Cut(after, ")s")
		if !closed || !strings.HasPrefix(name, "(") || strings.ContainsAny(name[1:], "()") {
			return format{}, errFormat
		}
		f.text, f.names = append(f.text, text.String()), append(f.names, name[1:])
		text.Reset()
		s = rest
	}
}

// fill puts the target's values in. A value that is missing, or is a list or a
// map, matches nothing.
func (f format) fill(target map[string]any) (string, bool) {
	var b strings.Builder
	b.WriteString(f.text[0])
	for i, name := range f.names {
		value, ok := target[name]
		if !ok {
			return "", false
		}
		text, ok := pythonString(value)
		if !ok {
			return "", false
		}
		b.WriteString(text)
		b.WriteString(f.text[i+1])
	}
	return b.String(), true
}

// pythonString is str(value) as Python has it: None, True, False, 1.
func pythonString(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "None", true
	case string:
		return v, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case json.Number:
		return v.String(), true
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), true
	}
	return "", false
}

// flatten gives the target with what lies in nested maps under dotted names as
// well, as Keystone does before it asks oslo.policy: {"a": {"b": 1}} has a.b.
func flatten(target map[string]any) map[string]any {
	nested := false
	for _, v := range target {
		if _, ok := v.(map[string]any); ok {
			nested = true
		}
	}
	if !nested {
		return target
	}
	flat := make(map[string]any, len(target))
	flattenInto(flat, "", target)
	return flat
}

func flattenInto(flat map[string]any, prefix string, values map[string]any) {
	for k, v := range values {
		if inner, ok := v.(map[string]any); ok {
			flattenInto(flat, prefix+k+".", inner)
			continue
		}
		if _, taken := flat[prefix+k]; !taken || prefix == "" {
			flat[prefix+k] = v
		}
	}
}

var (
	pathKind  = regexp.MustCompile(`^[\pL_][\pL\pN_]*([.\-/][\pL_][\pL\pN_]*)*$`)
	wholeKind = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

	// pythonKeywords cannot be read as names, nor then as paths.
	pythonKeywords = strings.Fields(`and as assert async await break class continue def del elif else except
		finally for from global if import in is lambda nonlocal not or pass raise return try while with yield`)

	errKind = errors.New("the left side of a check is neither a name nor a literal")
)

// parseKind makes the check for a left side that is neither rule nor role. It
// is a literal ('text', True, 12) or a path into the credentials. What Python
// cannot read as either is an exception in oslo.policy and an error here.
func parseKind(kind string, match format) (check, error) {
	switch {
	case kind == "True", kind == "False", kind == "None", wholeKind.MatchString(kind):
		return literalCheck{value: kind, match: match}, nil
	case len(kind) >= 2 && (kind[0] == '\'' || kind[0] == '"') && kind[0] == kind[len(kind)-1]:
		if inner := kind[1 : len(kind)-1]; !strings.ContainsAny(inner, kind[:1]+`\`) {
			return literalCheck{value: inner, match: match}, nil
		}
	case isDecimal(kind):
		return literalCheck{value: kind, match: match}, nil
	case pathKind.MatchString(kind):
		names := strings.FieldsFunc(kind, func(r rune) bool { return strings.ContainsRune(".-/", r) })
		for _, name := range names {
			if slices.Contains(pythonKeywords, name) {
				return nil, errKind
			}
		}
		return pathCheck{path: strings.Split(kind, "."), match: match}, nil
	}
	return nil, errKind
}

// isDecimal accepts a fraction written the way Python would print it.
func isDecimal(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && strings.Contains(s, ".") && strconv.FormatFloat(f, 'f', -1, 64) == s
}
