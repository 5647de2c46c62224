package mount

import (
	"fmt"
	"path"
	"strings"

	"github.com/stowage/stowage"
)

// maxLine is how long a line guestfish takes: its buffer has 8192 bytes.
const maxLine = 8000

// quote makes one word of guestfish's language of any bytes.
func quote(word string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(word) {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// line makes a command line.
func line(command string, args ...string) (string, error) {
	var b strings.Builder
	b.WriteString(command)
	for _, a := range args {
		b.WriteByte(' ')
		b.WriteString(quote(a))
	}
	if b.Len() > maxLine {
		return "", stowage.Errorf(stowage.Invalid, "The path is too long.")
	}
	return b.String(), nil
}

// listable reports whether a name can be an element of one of guestfish's lists,
// which knows quotes and nothing to put them in.
func listable(name string) bool { return !strings.ContainsAny(name, `'\`) }

// listOf makes a word that is a list of names.
func listOf(names []string) string { return "'" + strings.Join(names, "' '") + "'" }

// inside turns a path as a client tells it into one within a file system, as
// bytes. Nothing of it leads out: the appliance's root is the file system.
func inside(told string) (string, error) {
	p := raw(told)
	if strings.ContainsRune(p, 0) {
		return "", stowage.Errorf(stowage.Invalid, "A path holds no zero bytes.")
	}
	return path.Clean("/" + p), nil
}

// remote is a path as libguestfs is told it. It takes what begins with /dev/ for
// one of its own devices.
func remote(p string) string { return "/." + p }

// sound reports whether a name is one that a directory can have: a file system
// may be made to hold others.
func sound(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}
