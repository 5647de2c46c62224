package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Secret is text that prints as ***. string(s) is the text.
type Secret string

// String hides the secret, and says whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText keeps encoders, slog's among them, from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Multi is an option that may be given several times.
type Multi []string

// option is what the tags of a struct field say:
//
//	name     the option's name
//	default  its default, as text
//	help     for the sample
//	sample   what the sample shows instead of the default
//	min, max bounds of a number or of a time in seconds
//	choices  separated by commas; compared as they are
//	form     "url": http or https; "file": must be readable
//	ignored  why the option is accepted and has no effect
type option struct {
	name, fallback, help, sample string
	min, max                     string
	choices                      []string
	form, ignored                string
	kind                         reflect.Type
	index                        []int // of the field
}

// section is the options of one struct.
type section struct {
	name, help string
	options    []option
}

var (
	secretType   = reflect.TypeFor[Secret]()
	multiType    = reflect.TypeFor[Multi]()
	durationType = reflect.TypeFor[time.Duration]()
	stringsType  = reflect.TypeFor[[]string]()
	maybeIntType = reflect.TypeFor[*int]()
)

// options reads the tags of a struct; embedded structs are part of it.
func options(t reflect.Type) []option {
	var all []option
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag
		if tag.Get("name") == "" {
			continue
		}
		o := option{
			name: tag.Get("name"), fallback: tag.Get("default"), help: tag.Get("help"), sample: tag.Get("sample"),
			min: tag.Get("min"), max: tag.Get("max"), form: tag.Get("form"), ignored: tag.Get("ignored"),
			kind: f.Type, index: f.Index,
		}
		if c := tag.Get("choices"); c != "" {
			o.choices = strings.Split(c, ",")
		}
		all = append(all, o)
	}
	return all
}

func (o option) secret() bool { return o.kind == secretType }

// set parses the texts into the field. Its error tells what is wrong with the
// value, and shows the value unless it is secret.
func (o option) set(field reflect.Value, texts []string) error {
	text := texts[len(texts)-1]
	var err error
	switch {
	case o.kind == multiType:
		field.Set(reflect.ValueOf(Multi(slices.Clone(texts))))
	case o.kind == stringsType:
		field.Set(reflect.ValueOf(splitList(text)))
		for _, item := range splitList(text) {
			err = errors.Join(err, o.check(item))
		}
	case o.kind.Kind() == reflect.Bool:
		var b bool
		b, err = parseBool(text)
		field.SetBool(b)
	case o.kind.Kind() == reflect.String:
		field.SetString(text)
		err = o.check(text)
	default:
		if strings.TrimSpace(text) == "" {
			text = o.fallback // as if it were not set
		}
		err = o.setNumber(field, strings.TrimSpace(text))
	}
	if err != nil && !o.secret() && text != "" {
		return fmt.Errorf("%w, not %q", err, text)
	}
	return err
}

func (o option) setNumber(field reflect.Value, text string) error {
	if text == "" {
		return nil
	}
	kind := "a whole number"
	number, err := strconv.ParseFloat(text, 64)
	whole, wholeErr := strconv.ParseInt(text, 10, 64)
	switch {
	case o.kind == durationType:
		kind = "a number of seconds"
		field.SetInt(int64(number * float64(time.Second)))
	case o.kind.Kind() == reflect.Float64:
		kind = "a number"
		field.SetFloat(number)
	case o.kind == maybeIntType:
		n := int(whole)
		field.Set(reflect.ValueOf(&n))
		err = wholeErr
	default:
		field.SetInt(whole)
		err = wholeErr
	}
	if err != nil || number != number || number > 1e15 || number < -1e15 {
		return errors.New("must be " + kind)
	}
	if low, err := strconv.ParseFloat(o.min, 64); err == nil && number < low {
		return fmt.Errorf("must be %s of at least %s", kind, o.min)
	}
	if high, err := strconv.ParseFloat(o.max, 64); err == nil && number > high {
		return fmt.Errorf("must be %s of at most %s", kind, o.max)
	}
	return nil
}

// check looks at a text that is set.
func (o option) check(text string) error {
	if text == "" {
		return nil
	}
	if len(o.choices) > 0 && !slices.Contains(o.choices, text) {
		return errors.New("must be one of " + strings.Join(o.choices, ", "))
	}
	switch o.form {
	case "url":
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("must be a URL with http:// or https://")
		}
	case "file":
		f, err := os.Open(text)
		if err != nil {
			return fmt.Errorf("must be a file that can be read: %w", err)
		}
		_ = f.Close() // it was only opened to see whether it can be
	}
	return nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

// splitList splits at commas and trims; commas at the end are nothing.
func splitList(text string) []string {
	text = strings.TrimRight(strings.TrimSpace(text), ",")
	if text == "" {
		return []string{}
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}
