package logging

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// entry is one line before it has a form. Its attributes are flat and masked.
type entry struct {
	at      time.Time
	level   slog.Level
	message string
	request Request
	asked   bool // there is a request
	attrs   []slog.Attr
}

// sink gives entries their form and writes them.
type sink interface {
	write(e entry) error
}

// handler is the slog.Handler of both forms: it collects attributes, names
// those in groups "group.key", and masks secrets.
type handler struct {
	level slog.Leveler
	sink  sink
	group string // "a.b." in front of keys
	attrs []slog.Attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.attrs = slices.Clip(slices.Clone(h.attrs))
	for _, a := range attrs {
		more.attrs = flatten(more.attrs, h.group, a)
	}
	return &more
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.group = h.group + name + "."
	return &more
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	e := entry{at: r.Time, level: r.Level, message: mask(r.Message), attrs: slices.Clip(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs = flatten(e.attrs, h.group, a)
		return true
	})
	e.request, e.asked = RequestOf(ctx)
	return h.sink.write(e)
}

// flatten appends the attribute, those of a group one by one, masked.
func flatten(to []slog.Attr, group string, a slog.Attr) []slog.Attr {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range value.Group() {
			to = flatten(to, group, inner)
		}
		return to
	}
	if a.Key == "" && value.Any() == nil {
		return to // the empty attribute is to be ignored
	}
	key := group + a.Key
	return append(to, slog.Attr{Key: key, Value: masked(key, value)})
}

// text gives a value that is neither number, time nor string its words.
func text(v any) (s string) {
	defer func() {
		if r := recover(); r != nil {
			// A nil pointer with methods; what we log must not stop us.
			s = "<nil>"
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	case []byte:
		return strconv.Itoa(len(v)) + " bytes"
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.String {
		return r.String() // a named string, such as a status
	}
	if j, err := json.Marshal(v); err == nil {
		return string(j)
	}
	return fmt.Sprintf("%+v", v)
}

// levelName is oslo.log's, which is Python's.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// lines is oslo.log's form.
type lines struct {
	out     *Output
	program string
	pid     int
}

func (l *lines) write(e entry) error {
	var b strings.Builder
	b.WriteString(e.at.Format("2006-01-02 15:04:05.000"))
	fmt.Fprintf(&b, " %d %s %s ", l.pid, levelName(e.level), l.program)
	if e.asked {
		r := e.request
		fmt.Fprintf(&b, "[%s %s %s %s - -] ", dash(r.GlobalID), dash(r.ID), dash(r.UserID), dash(r.ProjectID))
	} else {
		b.WriteString("[-] ")
	}
	b.WriteString(oneLine(e.message))
	for _, a := range e.attrs {
		b.WriteString(" " + quoted(a.Key) + "=" + quoted(a.Value.String()))
	}
	b.WriteByte('\n')
	_, err := l.out.Write([]byte(b.String()))
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}

// oneLine keeps whoever chose the text from forging lines.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		q := strconv.Quote(s)
		return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	}
	return s
}

// quoted quotes what would not read back as one word.
func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r)
	}) {
		return strconv.Quote(s)
	}
	return s
}

// jsonLines is one object per line.
type jsonLines struct {
	json    slog.Handler
	program string
	pid     int
}

func newJSONLines(out *Output, program string, pid int) *jsonLines {
	rename := func(_ []string, a slog.Attr) slog.Attr {
		if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey {
			return slog.String("levelname", levelName(level))
		}
		if a.Key == slog.MessageKey {
			a.Key = "message"
		}
		return a
	}
	h := slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug - 100, ReplaceAttr: rename})
	return &jsonLines{json: h, program: program, pid: pid}
}

func (l *jsonLines) write(e entry) error {
	r := slog.NewRecord(e.at, e.level, e.message, 0)
	r.AddAttrs(slog.String("name", l.program), slog.Int("process", l.pid))
	for _, a := range []slog.Attr{
		slog.String("request_id", e.request.ID), slog.String("global_request_id", e.request.GlobalID),
		slog.String("user_id", e.request.UserID), slog.String("project_id", e.request.ProjectID),
	} {
		if a.Value.String() != "" {
			r.AddAttrs(a)
		}
	}
	r.AddAttrs(e.attrs...)
	return l.json.Handle(context.Background(), r)
}
