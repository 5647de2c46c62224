package dir

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How a name becomes a path. A name is cut at its slashes; all parts but the
// last are directories, the last is a file.
//
//   - Letters, digits and _-.,=+@:~ stay; every other byte is %XX, and so is a
//     dot at the beginning, so that nothing is hidden, . or ..
//   - A file gets the ending .object, so that "a" and "a/b" have room side by
//     side; a directory that would end so has its last letter written as %74.
//   - An empty part (a//b, /a, a/) is %-.
//   - What is longer than a file name may be goes on in a directory: a piece
//     of pieceBytes or a little more, marked with a % at its end, then the
//     rest. A piece is cut as soon as it is long enough, even if the rest is
//     empty: so no other part in that directory begins with the piece, and
//     directories can be listed one after the other in the order of names.
//
// The encoding is one to one: an entry that this would not have made is none
// of ours and is not listed.
const (
	ending     = ".object"
	goesOn     = "%"
	emptyPart  = "%-"
	pieceBytes = 200
)

// plain are the bytes that stay as they are.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_-.,=+@:~", c) >= 0
}

// encode gives the path of an object in its container.
func encode(name string) []string {
	parts := strings.Split(name, "/")
	var entries []string
	for _, part := range parts[:len(parts)-1] {
		entries = append(entries, encodeDir(part)...)
	}
	pieces, rest := encodePart(parts[len(parts)-1])
	return append(append(entries, pieces...), rest+ending)
}

// encodeDir gives the directory, or the directories, of one part.
func encodeDir(part string) []string {
	pieces, rest := encodePart(part)
	if strings.HasSuffix(rest, ending) {
		rest = rest[:len(rest)-1] + "%74"
	}
	return append(pieces, rest)
}

func encodePart(part string) (pieces []string, rest string) {
	var b strings.Builder
	for i := range len(part) {
		c := part[i]
		if plain(c) && (c != '.' || b.Len() > 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		if b.Len() >= pieceBytes {
			pieces = append(pieces, b.String()+goesOn)
			b.Reset()
		}
	}
	if b.Len() == 0 {
		return pieces, emptyPart
	}
	return pieces, b.String()
}

// An entry of a directory, and the bytes of a name it stands for.
type entry struct {
	file bool
	disk string
	key  string // of a directory that ends a part, with the slash
}

// decode tells what an entry stands for, and false if it is none of ours.
func decode(disk string, file bool) (entry, bool) {
	e := entry{file: file, disk: disk}
	text, cut := strings.CutSuffix(disk, ending)
	if cut != file {
		return e, false
	}
	more := false
	if !file {
		text, more = strings.CutSuffix(text, goesOn)
	}
	var b strings.Builder
	if text == emptyPart && !more {
		text = ""
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) {
			return e, false
		}
		c, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
		if err != nil {
			return e, false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	e.key = b.String()
	return e.verified(more)
}

// verified encodes again: there is one way only to write a name.
func (e entry) verified(more bool) (entry, bool) {
	pieces, rest := encodePart(e.key)
	switch {
	case more:
		return e, len(pieces) == 1 && rest == emptyPart && pieces[0] == e.disk
	case len(pieces) != 0:
		return e, false
	case e.file:
		return e, rest+ending == e.disk
	}
	again := encodeDir(e.key)
	e.key += "/"
	return e, again[0] == e.disk
}

// validText tells a name every store can keep from one it cannot.
func validText(name string, most int) bool {
	return name != "" && len(name) <= most && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}
