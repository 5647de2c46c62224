package vendor

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
)

// given reports whether a parameter says anything: clients send empty ones,
// and the words of their language for nothing.
func given(v string) bool {
	switch strings.TrimSpace(v) {
	case "", "null", "undefined", "None":
		return false
	}
	return true
}

// values gives what all spellings of a parameter say, repeated or not, without
// what says nothing.
func values(q url.Values, names ...string) []string {
	var all []string
	for _, name := range names {
		for _, v := range q[name] {
			if v = strings.TrimSpace(v); given(v) {
				all = append(all, v)
			}
		}
	}
	return all
}

// value gives the first thing that any spelling of a parameter says.
func value(q url.Values, names ...string) string {
	if all := values(q, names...); len(all) > 0 {
		return all[0]
	}
	return ""
}

// enums gives the names of an enumeration's values: bare, or as the object that
// answers have.
func enums(q url.Values, names ...string) []string {
	all := values(q, names...)
	for i, v := range all {
		var e enum
		if v[0] != '{' || json.Unmarshal([]byte(v), &e) != nil {
			e.Name = strings.ToUpper(v)
		}
		all[i] = e.Name
	}
	return all
}

// most is the longest page, and what a client gets that asks for none: the
// number of all is in the header.
const most = 10000

// page reads page, size, orderBy, direction and filter. Pages count from 0.
// The names that orderBy may have are those of the columns; any other is none.
func page(q url.Values, columns map[string]string) (db.Page, error) {
	p := db.Page{Limit: most, Filter: value(q, "filter"), Name: value(q, "nameLike")}
	number, err := count(q, "page")
	if err != nil {
		return p, err
	}
	size, err := count(q, "size")
	if err != nil {
		return p, err
	}
	if size > 0 {
		p.Limit = min(size, most)
		p.Offset = min(number, math.MaxInt32/p.Limit) * p.Limit
	} else if number > 0 {
		p.Offset = min(number, math.MaxInt32/most) * most
	}
	p.Order = columns[value(q, "orderBy")]
	p.Descending = strings.EqualFold(value(q, "direction"), "desc")
	return p, nil
}

// count reads a number, 0 or greater.
func count(q url.Values, name string) (int, error) {
	v := value(q, name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, stowage.Errorf(stowage.Invalid, "%s must be a number, 0 or greater.", name)
	}
	return n, nil
}

// respond answers with a bare array, and the number of all there are.
func respond[T any](w http.ResponseWriter, items []T, total int) {
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	api.WriteJSON(w, http.StatusOK, list(items))
}
