package cinderbackup

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/stowage/stowage"
)

const (
	// maxToken bounds the bytes of one text or number; the longest that belongs
	// here is the JSON of volume_meta.
	maxToken = 4 << 20
	// maxDepth bounds how deep what nobody here knows may be nested.
	maxDepth = 32
)

// reader reads JSON token by token, so that what it holds does not grow with
// what it reads.
type reader struct {
	*json.Decoder
	from *metered
}

// metered fails when more than a token's worth is asked for at once.
type metered struct {
	from io.Reader
	left int
	err  error // of from, when it is not the end
}

func (m *metered) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, corrupt("a text in it is longer than %d bytes", maxToken)
	}
	n, err := m.from.Read(p[:min(len(p), m.left)])
	m.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func newReader(r io.Reader) *reader {
	m := &metered{from: r}
	d := json.NewDecoder(m)
	d.UseNumber()
	return &reader{d, m}
}

// token gives the next token. Of the errors, those of the store stay what they
// are: they say nothing of the object.
func (j *reader) token() (json.Token, error) {
	j.from.left = maxToken
	t, err := j.Token()
	switch {
	case err == nil:
		return t, nil
	case j.from.err != nil:
		return nil, j.from.err
	case stowage.CodeOf(err) == stowage.Corrupt:
		return nil, err
	}
	return nil, stowage.Wrap(stowage.Corrupt, err, "it is no JSON of the form it should have")
}

// object calls fn with each key; fn reads the value.
func (j *reader) object(fn func(key string) error) error {
	if err := j.delim('{'); err != nil {
		return err
	}
	for j.more() {
		t, err := j.token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return corrupt("it has a key that is no text")
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return j.delim('}')
}

// array calls fn before each element; fn reads it.
func (j *reader) array(fn func() error) error {
	if err := j.delim('['); err != nil {
		return err
	}
	for j.more() {
		if err := fn(); err != nil {
			return err
		}
	}
	return j.delim(']')
}

func (j *reader) more() bool {
	j.from.left = maxToken
	return j.More()
}

func (j *reader) delim(want json.Delim) error {
	t, err := j.token()
	if err != nil {
		return err
	}
	if t != want {
		return corrupt("where it should have a %s, it has something else", want)
	}
	return nil
}

// text reads a text; null is an empty one.
func (j *reader) text() (string, error) {
	t, err := j.token()
	if err != nil || t == nil {
		return "", err
	}
	text, ok := t.(string)
	if !ok {
		return "", corrupt("where it should have a text, it has something else")
	}
	return text, nil
}

// textInto reads a text for people, as much of it as is kept.
func (j *reader) textInto(to *string) error {
	text, err := j.text()
	*to = clip(text, maxText)
	return err
}

// is reads a text that must be this one.
func (j *reader) is(key, want string) error {
	text, err := j.text()
	if err == nil && text != want {
		err = corrupt("its %s is %q, and not %q", key, clip(text, 64), want)
	}
	return err
}

// number reads a whole number within bounds.
func (j *reader) number(least, most int64) (int64, error) {
	t, err := j.token()
	if err != nil {
		return 0, err
	}
	text, ok := t.(json.Number)
	if !ok {
		return 0, corrupt("where it should have a number, it has something else")
	}
	n, err := strconv.ParseInt(text.String(), 10, 64)
	if err != nil || n < least || n > most {
		return 0, corrupt("%.32s is no number from %d to %d", text, least, most)
	}
	return n, nil
}

// skip reads a value that nobody here asks for.
func (j *reader) skip() error {
	for depth := 0; ; {
		t, err := j.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return corrupt("it is nested too deep")
		}
	}
}

// end wants nothing to follow.
func (j *reader) end() error {
	j.from.left = maxToken
	switch _, err := j.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case j.from.err != nil:
		return j.from.err
	}
	return corrupt("something follows the JSON")
}
