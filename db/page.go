package db

// Page is which part of a list is wanted, and in what order. Filter is text that
// must be in one of the texts of a row, Name in its name; letters count alike
// whether great or small.
type Page struct {
	Offset, Limit int
	Order         string // a key of the list's own; empty or unknown: the list's order
	Descending    bool
	Filter, Name  string
}
