package report

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-pdf/fpdf"
)

// The font's licence is beside it.
//
//go:embed dejavu/DejaVuSansCondensed.ttf.gz
var packedFont []byte

// font is unpacked when the first PDF is asked for: 0.7 MB.
var font = sync.OnceValues(func() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packedFont))
	if err != nil {
		return nil, fmt.Errorf("unpack the font: %w", err)
	}
	return io.ReadAll(z)
})

const (
	face = "DejaVu"
	// mostPDFRows is how many rows of a section a PDF has at most: about 60 pages.
	mostPDFRows = 2000
	line        = 5.0 // mm
)

// PDF is the report on A4 pages.
func PDF(r Report) ([]byte, error) {
	letters, err := font()
	if err != nil {
		return nil, err
	}
	p := &paper{fpdf.New("L", "mm", "A4", "")}
	// The font is changed while it is cut down to what is used: each gets its own.
	p.AddUTF8FontFromBytes(face, "", bytes.Clone(letters))
	p.SetCreationDate(r.Made)
	p.SetModificationDate(r.Made)
	p.SetTitle(shown(r.Title), true)
	p.SetProducer("Stowage", true)
	p.SetAutoPageBreak(true, 15)
	p.AliasNbPages("")
	p.SetFooterFunc(func() {
		p.SetY(-12)
		p.size(8)
		p.CellFormat(0, line, fmt.Sprintf("Written %s (UTC), page %d of {nb}", Time(r.Made), p.PageNo()), "", 0, "R", false, 0, "")
	})
	p.AddPage()
	p.size(18)
	p.text(0, 10, r.Title, "L")
	p.Ln(10)
	p.size(10)
	p.text(0, line, Time(r.From)+" to "+Time(r.To)+" (UTC)", "L")
	p.Ln(2 * line)
	for _, s := range r.parts(mostPDFRows) {
		p.section(s)
	}
	for _, c := range r.Charts {
		p.chart(c)
	}
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("write a PDF: %w", err)
	}
	return out.Bytes(), nil
}

type paper struct{ *fpdf.Fpdf }

func (p *paper) size(points float64) { p.SetFont(face, "", points) }

func (p *paper) heading(text string) {
	p.size(14)
	p.text(0, 8, text, "L")
	p.Ln(9)
	p.size(9)
}

// text writes what fits on one line of a cell.
func (p *paper) text(w, h float64, s, align string) {
	left, _, right, _ := p.GetMargins()
	room := w - 2
	if w == 0 {
		width, _ := p.GetPageSize()
		room = width - left - right - 2
	}
	s = shown(s)
	if p.GetStringWidth(s) > room {
		runes := []rune(s)
		low, high := 0, len(runes) // how many fit: from low, less than high
		for low+1 < high {
			half := (low + high) / 2
			if p.GetStringWidth(string(runes[:half])+"…") <= room {
				low = half
			} else {
				high = half
			}
		}
		s = string(runes[:low]) + "…"
	}
	p.CellFormat(w, h, s, "", 0, align, false, 0, "")
}

// shown is a text as the library can take it: it has no place for characters beyond
// the first plane, and an index of its own goes wrong with them. Control characters
// are none to show.
func shown(s string) string {
	if runes := []rune(s); len(runes) > 1024 { // no line is that long
		s = string(runes[:1024])
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c < ' ' || c >= 0x7f && c < 0xa0:
			return ' '
		case c >= 0xFFFE:
			return '□'
		case unicode.Is(unicode.Cf, c): // would turn the neighbours round
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "□"))
}

// columns of the table, in mm: 277 in all.
var columns = []float64{58, 40, 36, 24, 24, 33, 62}

func (p *paper) section(s part) {
	p.heading(s.Heading)
	for _, l := range s.Summary {
		p.text(45, line, l.What, "L")
		p.text(30, line, l.Value, "R")
		p.Ln(line)
	}
	p.Ln(line)
	if len(s.Rows) > 0 {
		p.row(Failed+1, "Virtual environment", "Policy", s.When, "Size", "Type", "Status", "Status info")
	}
	for _, r := range s.Rows {
		p.row(r.Status, r.Entity, r.Policy, Time(r.At), Size(r.Bytes), r.Type, r.Status.String(), r.Info)
	}
	if s.Missing > 0 {
		p.text(0, line, fmt.Sprintf("And %d more before those.", s.Missing), "L")
		p.Ln(line)
	}
	p.Ln(line)
}

func (p *paper) row(status Status, cells ...string) {
	for i, c := range cells {
		if i == 5 {
			switch status {
			case Failed:
				p.SetTextColor(176, 0, 32)
			case Removed:
				p.SetTextColor(21, 88, 176)
			}
		}
		p.text(columns[i], line, c, "L")
		p.SetTextColor(0, 0, 0)
	}
	p.Ln(line)
}

func (p *paper) chart(c Chart) {
	p.heading(c.Title)
	if len(c.Bars) == 0 {
		p.text(0, line, "Nothing.", "L")
		p.Ln(line)
	}
	const longest = 120.0
	for i, b := range c.Bars {
		if i == mostPDFRows {
			p.text(0, line, fmt.Sprintf("And %d more.", len(c.Bars)-i), "L")
			p.Ln(line)
			break
		}
		p.text(90, line, b.Name, "L")
		p.text(30, line, Size(b.Bytes), "R")
		p.SetFillColor(21, 88, 176)
		if w := longest * float64(c.Percent(b)) / 100; w > 0 {
			p.Rect(p.GetX()+3, p.GetY()+1, w, line-2, "F")
		}
		p.Ln(line)
	}
	p.Ln(line)
}
