package vendor

import (
	"strings"
	"time"
)

// Answers are strict: enumerations are objects with both keys, times are
// milliseconds since 1970, what is not set is absent and never null, and arrays
// are there even when they are empty. Views therefore mark every field that may
// be missing with omitempty (pointers) and fill their arrays with list.

// list makes sure that an array is written as one.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// refTo is nil for a guid that is not known.
func refTo(guid, name string) *ref {
	if guid == "" {
		return nil
	}
	if name == "" {
		name = guid
	}
	return &ref{guid, name}
}

// enumOf gives a value its description: people read it, and some clients
// compare it.
func enumOf(name string) enum {
	if d, ok := descriptions[name]; ok {
		return enum{name, d}
	}
	words := strings.ToLower(strings.ReplaceAll(name, "_", " "))
	if words == "" {
		return enum{}
	}
	return enum{name, strings.ToUpper(words[:1]) + words[1:]}
}

// maybeEnum is nil for no value.
func maybeEnum(name string) *enum {
	if name == "" {
		return nil
	}
	e := enumOf(name)
	return &e
}

// Those that are not simply the name in other letters.
var descriptions = map[string]string{
	"INPROGRESS":      "In progress",
	"SUCCESS_REMOVED": "Success (removed)",
	"OPENSTACK":       "OpenStack",
	"KVM":             "KVM",
	"SWIFT":           "Swift",
	"FILESYSTEM":      "File system",
	"VM":              "Virtual machine",
}

// millis is nil for a time that is not known.
func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

// fromMillis is the zero time for no number, and for 0.
func fromMillis(n number) time.Time {
	if n.n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(n.n).UTC()
}
