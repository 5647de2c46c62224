package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// setting is one assignment in a file.
type setting struct {
	section string // as oslo.config compares them: lower case, but DEFAULT
	name    string
	value   string
	file    string
}

// parse reads oslo.config's dialect of ini:
//
//   - # and ; begin a comment in the first column only, and are part of a value
//     everywhere else;
//   - a line that begins with a blank goes on with the value above it, joined
//     with a newline; an empty line or a comment ends the value;
//   - = or :, whichever comes first, ends the name;
//   - one pair of quotes around a value is taken off;
//   - a name may come several times: most options take the last.
func parse(file, text string) ([]setting, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%s: is not UTF-8", file)
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	p := parser{file: file}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := p.line(strings.TrimRightFunc(line, unicode.IsSpace)); err != nil {
			// The line itself is not shown: it may hold a password.
			return nil, fmt.Errorf("%s: line %d: %w", file, number, err)
		}
	}
	return p.settings, nil
}

type parser struct {
	file     string
	section  string
	open     bool // the last setting may go on
	settings []setting
}

func (p *parser) line(line string) error {
	if line == "" {
		p.open = false
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		if !p.open {
			return errors.New("begins with a blank, but there is no value above to go on with")
		}
		last := &p.settings[len(p.settings)-1]
		last.value += "\n" + strings.TrimLeftFunc(line, unicode.IsSpace)
		return nil
	}
	p.open = false
	switch line[0] {
	case '[':
		return p.begin(line)
	case '#', ';':
		return nil
	}
	return p.assign(line)
}

func (p *parser) begin(line string) error {
	if !strings.HasSuffix(line, "]") {
		return errors.New("a section must end with ]")
	}
	if len(line) <= 2 {
		return errors.New("a section needs a name")
	}
	p.section = sectionName(line[1 : len(line)-1])
	return nil
}

func (p *parser) assign(line string) error {
	end := strings.IndexAny(line, "=:")
	if end < 0 {
		return errors.New("neither a section nor name = value")
	}
	name := strings.TrimSpace(line[:end])
	if name == "" {
		return errors.New("no name before =")
	}
	if p.section == "" {
		return errors.New("a [section] must come before the first option")
	}
	value := unquote(strings.TrimSpace(line[end+1:]))
	p.settings = append(p.settings, setting{section: p.section, name: name, value: value, file: p.file})
	p.open = true
	return nil
}

// unquote takes one pair of quotes off. A quote alone is a pair of one, as in
// oslo.config.
func unquote(v string) string {
	if v == "" || v[0] != '"' && v[0] != '\'' || v[len(v)-1] != v[0] {
		return v
	}
	if len(v) == 1 {
		return ""
	}
	return v[1 : len(v)-1]
}

// sectionName makes names of sections comparable.
func sectionName(name string) string {
	if name == "DEFAULT" {
		return name
	}
	return strings.ToLower(name)
}
