package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
)

//go:embed report.html
var page string

// mostRows is how many rows of a section HTML has at most.
const mostRows = 10000

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"size": Size, "time": Time,
	"class": func(s Status) string { return map[Status]string{Failed: "failed", Removed: "removed"}[s] },
}).Parse(page))

// HTML is the report as one page that needs nothing else.
func HTML(r Report) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		Report
		Parts []part
	}{r, r.parts(mostRows)})
	if err != nil {
		return nil, fmt.Errorf("write a report: %w", err)
	}
	return b.Bytes(), nil
}

// Percent is how long the bar is beside the longest.
func (c Chart) Percent(b Bar) int64 {
	longest := slices.MaxFunc(c.Bars, func(a, b Bar) int { return int(max(-1, min(1, a.Bytes-b.Bytes))) }).Bytes
	if longest <= 0 {
		return 0
	}
	return int64(float64(b.Bytes) / float64(longest) * 100)
}
