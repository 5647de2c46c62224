package mount

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzNamesTravelAsTextAndComeBack(f *testing.F) {
	for _, s := range []string{"", "plain", "ümläut", "latin\xe9", "\xff\xfe", "\uef80", "a\uef80\xc3", "\xed\xa0\x80", "\uefff\uf000\uef7f", "\xf4\x90\x80\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		told := text(name)
		if !utf8.ValidString(told) {
			t.Fatalf("%q is told as %q", name, told)
		}
		data, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(data, &back); err != nil || raw(back) != name {
			t.Fatalf("%q comes back as %q, %v", name, raw(back), err)
		}
	})
}

func FuzzAWordStaysOneLine(f *testing.F) {
	for _, s := range []string{"", "a b", "\n", `"`, `\`, "\x00", "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, word string) {
		l, err := line("cmd", word)
		if err != nil {
			return
		}
		if strings.ContainsAny(l, "\n\r\x00") || len(l) > maxLine {
			t.Fatalf("%q becomes %q", word, l)
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(l, `cmd "`), `"`)
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\\' {
				i++
			} else if inner[i] == '"' {
				t.Fatalf("%q ends within %q", word, l)
			}
		}
		if strings.HasSuffix(inner, `\`) && !strings.HasSuffix(inner, `\\`) {
			t.Fatalf("%q does not end in %q", word, l)
		}
	})
}

func TestNoPathLeadsOut(t *testing.T) {
	for told, want := range map[string]string{
		"": "/", "/": "/", "..": "/", "/../../etc": "/etc", "a/../..": "/", "a//b/": "/a/b", "/dev/sda": "/dev/sda",
	} {
		if got, err := inside(told); err != nil || got != want {
			t.Errorf("%q becomes %q, %v", told, got, err)
		}
	}
	if got := remote("/dev/sda"); strings.HasPrefix(got, "/dev/") {
		t.Errorf("%q is taken for a device", got)
	}
	for _, name := range []string{"", ".", "..", "a/b", "/", "../x", "a\x00"} {
		if sound(name) {
			t.Errorf("%q is taken for a name", name)
		}
	}
}
