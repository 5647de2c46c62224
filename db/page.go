package db

import "strings"

// Page is which part of a list is wanted, and in what order. Filter is text that
// must be in one of the texts of a row, Name in its name; letters count alike
// whether great or small.
type Page struct {
	Offset, Limit int
	Order         string // a key of the list's own; empty or unknown: the list's order
	Descending    bool
	Filter, Name  string
}

// near gives the order, the limit and the offset by which a page of so many rows is
// reached from the end that is nearer to it: an index is walked backwards as fast as
// forwards, and what lies before a page costs as much as the page.
func (p Page) near(order string, total int) (string, int, int) {
	if p.Offset <= total/2 || p.Offset >= total {
		return order, p.Limit, p.Offset
	}
	limit := min(p.Limit, total-p.Offset)
	return strings.NewReplacer(" ASC", " DESC", " DESC", " ASC").Replace(order), limit, total - p.Offset - limit
}
