package mount

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

func TestComplaintsAreToldApart(t *testing.T) {
	for stream, code := range map[string]stowage.Code{
		"*stdin*:3: libguestfs: error: lstatns: /x: No such file or directory\n":                 stowage.NotFound,
		"*stdin*:3: libguestfs: error: ls0: /x: Not a directory\n":                               stowage.Invalid,
		"*stdin*:3: libguestfs: error: download_offset: /x: Input/output error\n":                stowage.Unavailable,
		"libguestfs: warning: slow\n*stdin*:3: libguestfs: error: stat: /a\nb: Is a directory\n": stowage.Invalid,
		"Runaway quote in string\n": stowage.Internal,
	} {
		if err := complaint(stream); err == nil || stowage.CodeOf(err) != code {
			t.Errorf("%q: %v", stream, err)
		}
	}
	for _, stream := range []string{"", "\n", "libguestfs: warning: current user is not a member of the KVM group\n"} {
		if err := complaint(stream); err != nil {
			t.Errorf("%q: %v", stream, err)
		}
	}
}

func TestWhatIsSaidEndsAtTheMark(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	p := until(bufio.NewReaderSize(strings.NewReader("a\n\n"+long+"\nmark-1\nb\n"), 64<<10), "mark-1")
	if string(p.text) != "a\n\n"+long+"\n" || p.over || p.err != nil {
		t.Errorf("%d bytes, %v %v", len(p.text), p.over, p.err)
	}
	if p := until(bufio.NewReader(strings.NewReader("a\n")), "mark-1"); p.err == nil {
		t.Error("it ended without the mark, and nobody noticed")
	}
	p = until(bufio.NewReader(strings.NewReader(strings.Repeat(long+"\n", 100)+"mark-1\n")), "mark-1")
	if !p.over || len(p.text) > maxOutput || p.err != nil {
		t.Errorf("%d bytes are kept, %v %v", len(p.text), p.over, p.err)
	}
}

func TestARecordIsReadAsNumbers(t *testing.T) {
	record := "  st_dev: 1\n  st_ino: 12\n  st_mode: 33188\n  st_uid: 7\n  st_gid: 8\n  st_size: 9\n  st_mtime_sec: 10\n}\n"
	f, ok := entry("a", record)
	if !ok || f.Kind != stowage.FileRegular || f.Mode != 0o644 || f.Owner != 7 || f.Group != 8 || f.Size != 9 || f.Modified.Unix() != 10 {
		t.Errorf("%+v %v", f, ok)
	}
	for _, bad := range []string{"", strings.Replace(record, "st_ino: 12", "st_ino: -1", 1), strings.Replace(record, "33188", "8592", 1)} {
		if f, ok := entry("a", bad); ok {
			t.Errorf("%q is %+v", bad, f)
		}
	}
}
