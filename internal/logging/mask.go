package logging

import (
	"log/slog"
	"regexp"
	"strings"
)

// hidden stands where a secret was.
const hidden = "***"

// secretWords make a key look secret wherever they are in it.
var secretWords = []string{"password", "passwd", "secret", "token", "transport_url", "authorization", "private_key"}

// secretKey reports whether the values under a key are secrets.
func secretKey(key string) bool {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	for _, w := range secretWords {
		if strings.Contains(key, w) {
			return true
		}
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	return last == "connection" || strings.HasSuffix(last, "_connection")
}

// masked gives the value in a form that can be written: secrets hidden, and
// anything but numbers, times and booleans as text. A number is no secret,
// even when it is called token.
func masked(key string, v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindTime:
		return v
	}
	var s string
	if v.Kind() == slog.KindString {
		s = v.String()
	} else if v.Any() == nil {
		return slog.StringValue("<nil>")
	} else {
		s = text(v.Any())
	}
	if s != "" && secretKey(key) {
		return slog.StringValue(hidden)
	}
	return slog.StringValue(mask(s))
}

// The looks of secrets inside of texts.
var (
	// user:password@ in a URL, up to the last @: a password may hold one, and
	// a transport_url has several hosts
	urlPassword = regexp.MustCompile(`(//[^\s:/@]*):[^\s"']+@`)
	// Keystone's Fernet tokens
	fernet = regexp.MustCompile(`gAAAA[A-Za-z0-9_=-]{20,}`)
	// Password:x, password=x, "password": "x", X-Auth-Token:[x]
	named = regexp.MustCompile(`(?i)([\w-]*(?:password|passwd|secret|token)[\w-]*(?:\\?["']\s*:\s*\[?\\?["']|[:=]\[?\\?["']?))([^\s"'\\,}\]&]+)`)
)

// mask hides what looks like a secret in a text.
func mask(s string) string {
	s = urlPassword.ReplaceAllString(s, "$1:"+hidden+"@")
	s = fernet.ReplaceAllString(s, hidden)
	return named.ReplaceAllString(s, "${1}"+hidden)
}
