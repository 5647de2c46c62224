package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Sample writes a configuration file that explains every option and sets none,
// in the style of oslo-config-generator.
func Sample(w io.Writer) error {
	b := bufio.NewWriter(w)
	comment(b, "Sample configuration of Stowage, made from the options in its source. "+
		"Every option shows its default, or an example of what it may be. "+
		"OS_<SECTION>__<OPTION> in the environment wins over this file.")
	for _, s := range schema(reflect.TypeFor[Config]()) {
		sampleSection(b, s)
	}
	sampleSection(b, section{
		name: "ceph-1",
		help: "An example of a backend: [DEFAULT] enabled_backends names such sections. " +
			"The options of each driver begin with its name in their help.",
		options: options(reflect.TypeFor[Backend]()),
	})
	return b.Flush() // keeps the first error of all writes
}

func sampleSection(w io.Writer, s section) {
	fmt.Fprintf(w, "\n[%s]\n", s.name)
	if s.help != "" {
		fmt.Fprintln(w)
		comment(w, s.help)
	}
	for _, o := range s.options {
		fmt.Fprintln(w)
		comment(w, o.help+" ("+o.typeName()+")")
		if o.min != "" {
			comment(w, "Minimum value: "+o.min)
		}
		if o.max != "" {
			comment(w, "Maximum value: "+o.max)
		}
		if len(o.choices) > 0 {
			comment(w, "Possible values: "+strings.Join(o.choices, ", "))
		}
		fmt.Fprintf(w, "#%s = %s\n", o.name, o.shown())
	}
}

// shown is the value in the sample.
func (o option) shown() string {
	switch {
	case o.sample != "":
		return o.sample
	case o.fallback != "":
		return o.fallback
	}
	return "<None>"
}

func (o option) typeName() string {
	switch {
	case o.secret():
		return "string value, secret"
	case o.kind == multiType:
		return "multi valued"
	case o.kind == stringsType:
		return "list value"
	case o.kind == durationType:
		return "number of seconds"
	case o.kind.Kind() == reflect.Bool:
		return "boolean value"
	case o.kind.Kind() == reflect.String:
		return "string value"
	case o.kind.Kind() == reflect.Float64:
		return "floating point value"
	}
	return "integer value"
}

// comment writes text as comment lines of at most 78 characters.
func comment(w io.Writer, text string) {
	const width = 78
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			fmt.Fprintln(w, line)
			line = "#"
		}
		line += " " + word
	}
	fmt.Fprintln(w, line)
}
