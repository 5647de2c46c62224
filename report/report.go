// Package report writes what was backed up and restored as HTML and as PDF, for
// people. It is pure: what it is told goes in, bytes come out.
//
// Names in a report were written by tenants, so HTML is escaped by its context, and
// a PDF shows what its font has: DejaVu Sans Condensed, for Latin, Greek, Cyrillic,
// Georgian, Armenian and some more, letter by letter from left to right. What it
// lacks (Chinese, Japanese and Korean among that) stands there as boxes; HTML has it.
package report

import (
	"fmt"
	"time"
)

// Report is what was done in a span of time.
type Report struct {
	Title    string
	From, To time.Time
	Made     time.Time // when it was written
	Backups  Section
	Restores Section
	Charts   []Chart
}

// Section is about all backups, or all restores.
type Section struct {
	Successful, InProgress, Queued, Failed int
	Bytes                                  int64 // of the volumes of the successful ones
	Rows                                   []Row // the latest; there may be more than are listed
}

// Total is how many there are in all.
func (s Section) Total() int { return s.Successful + s.InProgress + s.Queued + s.Failed }

// Row is one backup or restore.
type Row struct {
	EntityID, Entity string
	Policy           string // empty: none
	At               time.Time
	Bytes            int64
	Type             string
	Status           Status
	Info             string
}

// Status is what became of it.
type Status int

// The statuses there are. A backup that was removed had been a success.
const (
	Queued Status = iota
	InProgress
	Success
	Removed
	Failed
)

var statusTexts = map[Status]string{Queued: "Queued", InProgress: "In progress", Success: "Success", Removed: "Success (removed)", Failed: "Failed"}

// String is what people read.
func (s Status) String() string { return statusTexts[s] }

// Chart is how much was stored, or moved, by name.
type Chart struct {
	Title string
	Bars  []Bar
}

// Bar is one name's part.
type Bar struct {
	Name  string
	Bytes int64
}

// Size is a number of bytes for people.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.95 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// Time is a time for people.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// pair is a line of a summary.
type pair struct{ What, Value string }

// summary are the counts of a section in words.
func (s Section) summary(what string) []pair {
	return []pair{
		{"Successful", fmt.Sprint(s.Successful)}, {"In progress", fmt.Sprint(s.InProgress)}, {"Queued", fmt.Sprint(s.Queued)},
		{"Failed", fmt.Sprint(s.Failed)}, {"Total", fmt.Sprint(s.Total())}, {what, Size(s.Bytes)},
	}
}

// part is a section with its headings.
type part struct {
	Heading, When string
	Section
	Summary []pair
	Missing int // rows that are not listed
}

func (r Report) parts(most int) []part {
	make := func(heading, when, what string, s Section) part {
		p := part{Heading: heading, When: when, Section: s, Summary: s.summary(what)}
		if len(p.Rows) > most {
			p.Rows = p.Rows[:most]
		}
		p.Missing = s.Total() - len(p.Rows)
		return p
	}
	return []part{
		make("Backups", "Snapshot time", "Total data protected", r.Backups),
		make("Restores", "Restore time", "Total data restored", r.Restores),
	}
}

// Text is the report in a few lines, for those who see neither HTML nor PDF.
func Text(r Report) string {
	out := fmt.Sprintf("%s\n%s to %s (UTC)\n", r.Title, Time(r.From), Time(r.To))
	for _, p := range r.parts(0) {
		out += "\n" + p.Heading + "\n"
		for _, line := range p.Summary {
			out += fmt.Sprintf("  %-22s %s\n", line.What, line.Value)
		}
	}
	return out
}

// FileName is a name for the report's file, without its end.
func FileName(r Report) string {
	return "backup-report-" + r.To.UTC().Format("2006-01-02")
}
