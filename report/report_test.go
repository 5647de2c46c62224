package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// hostile are names that a tenant may well choose.
var hostile = []string{
	"", "plain", `<script>alert("1")</script>`, `"><img src=x onerror=alert(1)>`, "{{.Made}}", "(\\) Tj ET", "Ünïcödé Ελληνικά Кириллица",
	"名前 데이터 ชื่อ", "שלום مرحبا", "🗄 \U00010000 \U0010FFFF", "a\x00b\r\nc\tend", "\xff\xfe broken \xc3", "\uFFFE\uFFFF\u200B\u202Erevers", strings.Repeat("W", 100_000),
	strings.Repeat("long words ", 500), "{nb}",
}

func sample() Report {
	r := Report{Title: "Backup report", From: noon.Add(-24 * time.Hour), To: noon, Made: noon, Backups: Section{Successful: 3, Queued: 1, Failed: 2, Bytes: 5 << 30}}
	for i, name := range hostile {
		r.Backups.Rows = append(r.Backups.Rows, Row{
			EntityID: "9", Entity: name, Policy: name, At: noon, Bytes: int64(i) << 20, Type: "Full", Status: Status(i % 5), Info: name,
		})
	}
	r.Charts = []Chart{{Title: "Backup size", Bars: []Bar{{"a", 100}, {hostile[2], 50}, {hostile[9], 0}}}, {Title: "Transfer size"}, {Title: "Nothing", Bars: []Bar{{"a", 0}}}}
	return r
}

func TestHTMLShowsNamesAndRunsNone(t *testing.T) {
	page, err := HTML(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "2026-11-20 12:00:00 +0000"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("%q is in it", bad)
		}
	}
	for _, good := range []string{"&lt;script&gt;", "名前", "{{.Made}}", `class="failed">Failed`, `class="removed">Success (removed)`, "5.0 GiB", "width: 50%", "<h1>Backup report"} {
		if !bytes.Contains(page, []byte(good)) {
			t.Errorf("%q is not in it", good)
		}
	}
}

func TestAPDFIsMadeOfWhateverNames(t *testing.T) {
	file, err := PDF(sample())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(file, []byte("%PDF-1.")) || !bytes.HasSuffix(bytes.TrimSpace(file), []byte("%%EOF")) || len(file) > 400_000 {
		t.Errorf("%d bytes: %.20q", len(file), file)
	}
	again, err := PDF(sample())
	if err != nil || len(again) != len(file) {
		t.Errorf("the second one has %d bytes, the first %d: %v", len(again), len(file), err)
	}
}

func TestEveryCharacterCanBeWritten(t *testing.T) {
	r := Report{Title: "t"}
	for c := rune(0); c < 0x11000; c += 61 {
		var name strings.Builder
		for n := c; n < c+61; n++ {
			name.WriteRune(n)
		}
		r.Backups.Rows = append(r.Backups.Rows, Row{Entity: name.String(), Info: name.String()})
	}
	if _, err := PDF(r); err != nil {
		t.Fatal(err)
	}
}

func TestALongReportIsCutAndSaysSo(t *testing.T) {
	r := Report{Title: "t", Backups: Section{Successful: 100_000}}
	for i := range mostRows + 5 {
		r.Backups.Rows = append(r.Backups.Rows, Row{Entity: fmt.Sprint("volume ", i), Status: Success})
	}
	page, err := HTML(r)
	if err != nil || !bytes.Contains(page, []byte("And 90000 more before those.")) || bytes.Contains(page, []byte("volume 10000<")) {
		t.Errorf("%d bytes: %v", len(page), err)
	}
	file, err := PDF(r)
	if err != nil || len(file) > 2_000_000 {
		t.Errorf("%d bytes: %v", len(file), err)
	}
}

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", 3 << 40: "3.0 TiB", 1<<63 - 1: "8.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d is %s, not %s", n, got, want)
		}
	}
}

func TestTheTextHasTheCounts(t *testing.T) {
	text := Text(sample())
	for _, want := range []string{"Backup report", "Successful             3", "Total                  6", "Total data protected   5.0 GiB", "Total data restored    0 B"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
