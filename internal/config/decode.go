package config

import (
	"fmt"
	"reflect"
)

// schema reads the sections of a struct whose fields are section structs.
func schema(config reflect.Type) []section {
	var all []section
	for f := range config.Fields() {
		if name := f.Tag.Get("section"); name != "" {
			all = append(all, section{name: name, help: f.Tag.Get("help"), options: options(f.Type)})
		}
	}
	return all
}

// decode fills a struct whose fields are section structs.
func (v *values) decode(config any) error {
	target := reflect.ValueOf(config).Elem()
	v.sections = schema(target.Type())
	for f := range target.Type().Fields() {
		name := f.Tag.Get("section")
		if name == "" {
			continue
		}
		if err := v.decodeSection(name, target.FieldByIndex(f.Index)); err != nil {
			return err
		}
	}
	return nil
}

// decodeSection fills one section struct from the section of that name.
func (v *values) decodeSection(name string, target reflect.Value) error {
	for _, o := range options(target.Type()) {
		if err := v.decodeOption(name, o, target.FieldByIndex(o.index)); err != nil {
			return err
		}
	}
	return nil
}

func (v *values) decodeOption(section string, o option, field reflect.Value) error {
	v.use(section, o.name)
	f, set := v.lookup(section, o.name)
	if !set {
		f = found{texts: []string{o.fallback}, where: "default"}
		if o.kind == multiType && o.fallback == "" || o.kind.Kind() == reflect.Bool && o.fallback == "" {
			return nil
		}
	}
	if set && o.ignored != "" {
		v.warn("%s: [%s] %s: has no effect: %s", f.where, section, o.name, o.ignored)
	}
	fail := func(err error) error {
		return fmt.Errorf("%s: [%s] %s: %w", f.where, section, o.name, err)
	}
	texts := make([]string, len(f.texts))
	for i, text := range f.texts {
		var err error
		if texts[i], err = v.expand(section, text); err != nil {
			return fail(err)
		}
	}
	if err := o.set(field, texts); err != nil {
		return fail(err)
	}
	if check := v.checks[section+"."+o.name]; check != nil && texts[len(texts)-1] != "" {
		if err := check(texts[len(texts)-1]); err != nil {
			return fail(err)
		}
	}
	return nil
}

// blame gives an error the form of all others, for checks over several options.
func (v *values) blame(section, name, format string, args ...any) error {
	where := "configuration"
	if f, ok := v.lookup(section, name); ok {
		where = f.where
	} else if len(v.files) > 0 {
		where = project + ".conf"
	}
	return fmt.Errorf("%s: [%s] %s: %s", where, section, name, fmt.Sprintf(format, args...))
}
