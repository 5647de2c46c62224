package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Schema says what JSON looks like.
type Schema struct {
	Ref         string     `json:"$ref,omitempty"`
	Type        string     `json:"type,omitempty"`
	Format      string     `json:"format,omitempty"`
	Description string     `json:"description,omitempty"`
	Nullable    bool       `json:"nullable,omitempty"`
	Enum        []string   `json:"enum,omitempty"`
	Pattern     string     `json:"pattern,omitempty"`
	MaxLength   int        `json:"maxLength,omitempty"`
	MaxItems    *int       `json:"maxItems,omitempty"`
	Items       *Schema    `json:"items,omitempty"`
	Properties  Properties `json:"properties,omitempty"`
	Required    []string   `json:"required,omitempty"`
	Additional  any        `json:"additionalProperties,omitempty"` // a *Schema, or false for none
	AnyOf       []*Schema  `json:"anyOf,omitempty"`
	AllOf       []*Schema  `json:"allOf,omitempty"`
}

// Property is a field of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// Properties are an object's fields, in the order in which they are written.
type Properties []Property

// MarshalJSON writes an object.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(one.Schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// In gives the schema of a field, nil if there is none.
func (p Properties) In(name string) *Schema {
	for _, one := range p {
		if one.Name == name {
			return one.Schema
		}
	}
	return nil
}

const schemaRef = "#/components/schemas/"

// Schemas reads schemas off Go types. Structs that have a name become components.
type Schemas struct {
	All map[string]*Schema // the components; shared by those that write into one document

	// Special gives the schema of a type that is not written as Go would write it;
	// nil: it is.
	Special func(*Schemas, reflect.Type) *Schema
	// Name gives a component's name; nil, or an empty one: the type's, with a great letter.
	Name func(reflect.Type) string
	// Note says what is to be known of a field of a component, or changes its schema.
	// An object without a name that is a field is called COMPONENT.FIELD.
	Note func(component, field string, s *Schema)
	// Must are the fields of a component that must be there, where all is Loose.
	Must map[string][]string
	// Nulls: a pointer without omitempty may be null. Otherwise it never is.
	Nulls bool
	// Loose: nothing must be there, and an object that is null is none.
	Loose bool
	// Closed: what is not described is refused.
	Closed bool

	known map[string]reflect.Type
}

// Of gives the schema of a value's type.
func (s *Schemas) Of(v any) *Schema { return s.Type(reflect.TypeOf(v)) }

// Type gives the schema of a type.
func (s *Schemas) Type(t reflect.Type) *Schema {
	if s.Special != nil {
		if special := s.Special(s, t); special != nil {
			return special
		}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.Type(t.Elem())
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int32:
		return &Schema{Type: "integer"}
	case reflect.Int64:
		return &Schema{Type: "integer", Format: "int64"}
	case reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Slice:
		return &Schema{Type: "array", Items: s.Type(t.Elem())}
	case reflect.Map:
		return &Schema{Type: "object", Additional: s.Type(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return s.object(t, "")
		}
		return &Schema{Ref: schemaRef + s.Component(t)}
	}
	panic(fmt.Sprintf("openapi: %s cannot be described", t)) // a type in the code, found by the first test
}

// Component makes a named struct a component, once, and gives its name.
func (s *Schemas) Component(t reflect.Type) string {
	name := ""
	if s.Name != nil {
		name = s.Name(t)
	}
	if name == "" {
		name = great(t.Name())
	}
	if s.known == nil {
		s.known = map[string]reflect.Type{}
	}
	if other, done := s.known[name]; done {
		if other != t {
			panic(fmt.Sprintf("openapi: %s and %s are both called %s", other, t, name))
		}
		return name
	}
	if s.All[name] != nil {
		panic(fmt.Sprintf("openapi: there is another %s than %s", name, t))
	}
	s.known[name] = t
	s.All[name] = &Schema{} // it may hold itself
	*s.All[name] = *s.object(t, name)
	return name
}

func (s *Schemas) object(t reflect.Type, component string) *Schema {
	o := &Schema{Type: "object"}
	if s.Closed {
		o.Additional = false
	}
	o.Nullable = s.Loose && !s.Closed
	o.Required = s.Must[component]
	s.fields(o, t, component)
	return o
}

func (s *Schemas) fields(o *Schema, t reflect.Type, component string) {
	for f := range t.Fields() {
		if f.Anonymous {
			s.fields(o, f.Type, component)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		field, optional := (*Schema)(nil), strings.Contains(options, "omitempty")
		if f.Type.Kind() == reflect.Struct && f.Type.Name() == "" {
			field = s.object(f.Type, component+"."+name)
		} else {
			field = s.Type(f.Type)
		}
		if s.Note != nil {
			field = noted(field, func(f *Schema) { s.Note(component, name, f) })
		}
		if s.Nulls && !optional && f.Type.Kind() == reflect.Pointer {
			field.Nullable = true
		}
		if !s.Loose && !optional {
			o.Required = append(o.Required, name)
		}
		o.Properties = append(o.Properties, Property{name, field})
	}
}

// noted lets a schema be changed; beside a reference nothing may stand, so what is
// said of one stands around it.
func noted(field *Schema, note func(*Schema)) *Schema {
	if field.Ref == "" {
		note(field)
		return field
	}
	around := &Schema{AllOf: []*Schema{field}}
	if note(around); around.Description == "" && len(around.AllOf) == 1 {
		return field
	}
	return around
}

func great(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}
