package mount

import (
	"strings"
	"unicode/utf8"
)

// Bytes 0x80 to 0xff that are not part of UTF-8 become the code points U+EF80 to
// U+EFFF of the private use area, as MirBSD's OPTU-8 has it, so that names can
// travel as JSON and come back as they were. Where a name holds one of those code
// points itself, its bytes are told in the same way.
const (
	escapeBase  = 0xef00
	escapeFirst = escapeBase + 0x80
	escapeLast  = escapeBase + 0xff
)

func escaped(r rune) bool { return r >= escapeFirst && r <= escapeLast }

// text tells a name's bytes as text.
func text(raw string) string {
	if utf8.ValidString(raw) && !strings.ContainsFunc(raw, escaped) {
		return raw
	}
	var b strings.Builder
	for len(raw) > 0 {
		r, n := utf8.DecodeRuneInString(raw)
		if r == utf8.RuneError && n == 1 || escaped(r) {
			for i := range n {
				b.WriteRune(escapeBase + rune(raw[i]))
			}
		} else {
			b.WriteString(raw[:n])
		}
		raw = raw[n:]
	}
	return b.String()
}

// raw gives the bytes that text told.
func raw(text string) string {
	if !strings.ContainsFunc(text, escaped) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if escaped(r) {
			b.WriteByte(byte(r - escapeBase))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
