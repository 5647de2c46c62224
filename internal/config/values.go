package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// values is what was set, wherever, before options are known.
type values struct {
	settings []setting
	env      func(string) (string, bool)
	checks   map[string]func(string) error
	files    []string

	sections []section // the schema: for defaults, and for what may be referred to
	used     map[[2]string]bool
	warnings []string
}

// found is the text of an option and where it comes from.
type found struct {
	texts []string // all assignments, in order
	where string   // "stowage.conf", "environment"; "" for a default
}

func (f found) last() string { return f.texts[len(f.texts)-1] }

// lookup gives what was set, before expansion.
func (v *values) lookup(section, name string) (found, bool) {
	variable := "OS_" + strings.ToUpper(section) + "__" + strings.ToUpper(name)
	if text, ok := v.env(variable); ok {
		return found{[]string{text}, "environment " + variable}, true
	}
	var f found
	for _, s := range v.settings {
		if s.section == section && s.name == name {
			f.texts = append(f.texts, s.value)
			f.where = s.file
		}
	}
	return f, len(f.texts) > 0
}

// hasSection reports whether a file has something in the section.
func (v *values) hasSection(name string) bool {
	for _, s := range v.settings {
		if s.section == sectionName(name) {
			return true
		}
	}
	return false
}

// reference is string.Template with oslo.config's idea of a name.
var reference = regexp.MustCompile(`(?i)\$(?:(\$)|([_a-z][._a-z0-9]*)|\{([_a-z][._a-z0-9]*)\})`)

// errNoSuchOption is a reference to nothing.
var errNoSuchOption = errors.New("refers with $ to an option that does not exist (a $ itself is written $$)")

// errCircle is a reference that comes back, or as good as.
var errCircle = errors.New("refers with $ to itself, or to too many others")

// maxReferences bounds how many references are followed for one value.
const maxReferences = 1000

// expand replaces $name, ${name} and ${section.name} by the options' texts; $$
// and \$ are a $. A name without section is looked for in the option's own
// section, then in [DEFAULT]. A $ before anything else stays.
func (v *values) expand(section, text string) (string, error) {
	left := maxReferences
	return v.follow(section, text, &left)
}

func (v *values) follow(section, text string, left *int) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	text = strings.ReplaceAll(text, `\$`, "$$")
	var failed error
	result := reference.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$$" {
			return "$"
		}
		if *left--; *left < 0 {
			failed = errCircle
		}
		if failed != nil {
			return ""
		}
		var value string
		value, failed = v.refer(section, strings.Trim(match, "${}"), left)
		return value
	})
	return result, failed
}

// refer gives the text of an option that another one refers to.
func (v *values) refer(section, name string, left *int) (string, error) {
	places := [][2]string{{section, name}, {"DEFAULT", name}}
	if s, n, ok := strings.Cut(name, "."); ok {
		places = [][2]string{{sectionName(s), n}, {"DEFAULT", name}}
	}
	for _, p := range places {
		if f, ok := v.lookup(p[0], p[1]); ok {
			// It is used, even if it is no option of ours: my_ip often is.
			v.use(p[0], p[1])
			return v.follow(p[0], f.last(), left)
		}
		if o, ok := v.option(p[0], p[1]); ok {
			return v.follow(p[0], o.fallback, left)
		}
	}
	return "", errNoSuchOption
}

func (v *values) option(section, name string) (option, bool) {
	for _, s := range v.sections {
		if s.name != section {
			continue
		}
		for _, o := range s.options {
			if o.name == name {
				return o, true
			}
		}
	}
	return option{}, false
}

func (v *values) use(section, name string) {
	if v.used == nil {
		v.used = map[[2]string]bool{}
	}
	v.used[[2]string{section, name}] = true
}

// unknown warns, once each, of options in the sections that nobody read.
func (v *values) unknown(ours map[string]bool) {
	told := map[[2]string]bool{}
	for _, s := range v.settings {
		key := [2]string{s.section, s.name}
		if ours[s.section] && !v.used[key] && !told[key] {
			told[key] = true
			v.warn("%s: [%s] %s: no such option, ignored", s.file, s.section, s.name)
		}
	}
}

func (v *values) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}
