package vendor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stowage/stowage"
)

// What clients send is sloppy: the types here take every form seen of a thing,
// and refuse only what nobody can make sense of. Unknown fields are ignored at
// every level, since clients send whole objects back.

// ref is another object: {"guid": ..., "name": ...} in answers; in requests
// also the bare guid.
type ref struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
}

// UnmarshalJSON takes an object, a bare guid, or null.
func (r *ref) UnmarshalJSON(data []byte) error {
	*r = ref{}
	if data[0] != '{' {
		var guid text
		err := guid.UnmarshalJSON(data)
		r.GUID = string(guid)
		return err
	}
	var object struct {
		GUID text `json:"guid"`
		Name text `json:"name"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	r.GUID, r.Name = string(object.GUID), string(object.Name)
	return nil
}

// enum is a value of an enumeration: {"name": ..., "description": ...} in
// answers; in requests also the name alone.
type enum struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// UnmarshalJSON takes an object, a bare name, or null.
func (e *enum) UnmarshalJSON(data []byte) error {
	*e = enum{}
	var name text
	if data[0] == '{' {
		var object struct {
			Name text `json:"name"`
		}
		if err := json.Unmarshal(data, &object); err != nil {
			return err
		}
		name = object.Name
	} else if err := name.UnmarshalJSON(data); err != nil {
		return err
	}
	e.Name = strings.ToUpper(strings.TrimSpace(string(name)))
	return nil
}

// text is a string, or a number or a boolean in its place.
type text string

// UnmarshalJSON takes null for nothing.
func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*t = ""
		return nil
	case data[0] == '"':
		var s string
		err := json.Unmarshal(data, &s)
		*t = text(s)
		return err
	case data[0] == '{' || data[0] == '[':
		return fmt.Errorf("%.20s is no text", data)
	}
	*t = text(data)
	return nil
}

// number is a whole number: as such, as a float, or as the text of one. Text
// that is empty, and null, are none.
type number struct {
	set bool
	n   int64
}

// UnmarshalJSON refuses what is no number, and numbers beyond 64 bits.
func (n *number) UnmarshalJSON(data []byte) error {
	var t text
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	var err error
	*n, err = readNumber(string(t))
	return err
}

// readNumber reads the text of a number.
func readNumber(s string) (number, error) {
	if s = strings.TrimSpace(s); s == "" {
		return number{}, nil
	}
	if whole, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{true, whole}, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return number{}, fmt.Errorf("%.40s is no number", s)
	}
	return number{true, int64(f)}, nil
}

// truth is true or false, or the text of one.
type truth bool

// UnmarshalJSON takes null and empty text for false.
func (f *truth) UnmarshalJSON(data []byte) error {
	var t text
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(string(t))) {
	case "true", "1", "yes", "on":
		*f = true
	case "", "false", "0", "no", "off":
		*f = false
	default:
		return fmt.Errorf("%.40s is neither true nor false", t)
	}
	return nil
}

// maybe is what may not be there at all, which is not the same as null.
type maybe[T any] struct {
	set   bool
	value T
}

// UnmarshalJSON is called for what is there.
func (m *maybe[T]) UnmarshalJSON(data []byte) error {
	m.set = true
	return json.Unmarshal(data, &m.value)
}

// several is an array, one element without the brackets, or null. Elements
// that are null are left out.
type several[T any] []T

// UnmarshalJSON reads each element as its type does.
func (s *several[T]) UnmarshalJSON(data []byte) error {
	*s = nil
	if string(data) == "null" {
		return nil
	}
	parts := []json.RawMessage{data}
	if data[0] == '[' {
		if err := json.Unmarshal(data, &parts); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if part = bytes.TrimSpace(part); string(part) == "null" {
			continue
		}
		var one T
		if err := json.Unmarshal(part, &one); err != nil {
			return err
		}
		*s = append(*s, one)
	}
	return nil
}

// decode reads a body into a struct of the types above. No body at all is an
// empty object: what must be there is for the caller to miss.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return stowage.Wrap(stowage.Invalid, err, "The request body is not what this path takes.")
	}
	return nil
}
