package db

import (
	"context"
	"strings"
)

// How many entities may have a text in their names and still be told to the database one
// by one, so that it finds their tasks by an index. Beyond that it makes a table of them,
// and walks along all tasks; as it does where a state or a kind has the text, too: then a
// longer list costs more than it spares.
const (
	namedAlone  = 5000
	namedBeside = 100
)

// withText wants tasks to be of a state or a kind that the filter names for the text, or to
// have it in the name of what they are about, or as the id of that or their own. What other tables know is looked up
// first: what is asked of the jobs then stands in one index, and mostly in few
// entries of it.
func (d *DB) withText(ctx context.Context, w *where, f TaskFilter, text string) error {
	if text == "" {
		return nil
	}
	has := where{}
	oneOf(&has, "state", f.TextStates)
	oneOf(&has, "kind", f.TextKinds)
	most := namedAlone
	if len(has.conditions) > 0 {
		most = namedBeside
	}
	about, err := query(ctx, d, "look for entities by name", scanText, `SELECT id FROM entities WHERE name LIKE ? ESCAPE '!' LIMIT ?`, like(text), most+1)
	if err != nil {
		return err
	}
	if len(about) > most {
		about = nil
		has.and("(entity_id IN (SELECT id FROM entities WHERE name LIKE ? ESCAPE '!')) IS TRUE", like(text)) // a table of them, as in scheduled
	}
	if ascii(text) {
		own, err := query(ctx, d, "look for a task", scanSeq, `SELECT seq FROM jobs WHERE id = ?`, text)
		if err != nil {
			return err
		}
		oneOf(&has, "seq", own)
		of, err := query(ctx, d, "look for tasks of an entity", scanText, `SELECT entity_id FROM jobs WHERE entity_id = ? LIMIT 1`, text)
		if err != nil {
			return err
		}
		about = append(about, of...)
	}
	oneOf(&has, "entity_id", about)
	if len(has.conditions) == 0 {
		has.and("1 = 0")
	}
	w.and("("+strings.Join(has.conditions, " OR ")+")", has.args...)
	return nil
}
