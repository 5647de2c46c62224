package db

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// holding gives the words that a text is a part of.
func holding[T ~string](words []T, part string) (found []T) {
	for _, w := range words {
		if strings.Contains(string(w), strings.ToLower(part)) {
			found = append(found, w)
		}
	}
	return found
}

// slowly gives the tasks that have a text, newest first, the way that asks every row.
func slowly(t *testing.T, d *DB, text, also string) []string {
	t.Helper()
	list := must(query(t.Context(), d, "look", func(row rower) (is [5]string, err error) {
		err = row.Scan(&is[0], &is[1], &is[2], &is[3], &is[4])
		return is, err
	}, `SELECT j.id, j.state, j.kind, j.entity_id, CASE WHEN e.name LIKE ? ESCAPE '!' THEN 'named' ELSE '' END FROM jobs j LEFT JOIN entities e ON e.id = j.entity_id
		WHERE j.hidden = 0 AND `+also+` ORDER BY j.seq DESC`, like(text)))(t)
	var ids []string
	for _, is := range list {
		low := strings.ToLower(text)
		if is[0] == text || is[3] == text || is[4] == "named" || strings.Contains(is[1], low) || strings.Contains(is[2], low) {
			ids = append(ids, is[0])
		}
	}
	return ids
}

// Few entities have a text in their names, or thousands; a state or a kind has it, too, or
// none has: the tasks found are the same as if each had been asked.
func TestFreeTextFindsTheTasksThatHaveIt(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		const n = namedAlone + 1000
		// The names of all have "all-" in them, those of a tenth "some", those of some 300
		// "store", as a kind of tasks, and those of few one of their numbers.
		bulk(t, d, n, `INSERT INTO entities (id, kind, project_id, name, words, host, present, listed, attributes, seen, updated_at) VALUES `, func(i int) []any {
			name := fmt.Sprintf("All-%d", i)
			switch {
			case i%10 == 0:
				name += " Some"
			case i%19 == 0:
				name += " restored 100%"
			}
			return []any{fmt.Sprint("v", i), stowage.EntityServer, "p", name, "", "", 1, i % 2, `{}`, 1, 1}
		})
		states := []stowage.JobState{stowage.JobFinished, stowage.JobFailed, stowage.JobQueued}
		kinds := []stowage.JobKind{stowage.JobBackup, stowage.JobRestore, stowage.JobStore, stowage.JobExport, stowage.JobDelete}
		own := uuid.NewString()
		bulk(t, d, 700, `INSERT INTO jobs (id, kind, state, project_id, user_id, priority, ready_at, params, created_at, updated_at, started_at, entity_id, hidden, parent_id) VALUES `,
			func(i int) []any {
				id, parent := uuid.NewString(), ""
				if i == 77 {
					id = own
				}
				if i%2 == 1 {
					parent = "x"
				}
				return []any{id, kinds[i%5], states[i%3], fmt.Sprint("p", i%3), "u", 50, 0, "{}", i, i, i, fmt.Sprint("v", i*31%(n+500)), i % 11 / 10, parent}
			})
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE jobs, entities"))(t)
		}
		said := func(f TaskFilter, text string) TaskFilter { // as if the words that are shown were the table's
			f.TextStates, f.TextKinds = holding(states, text), holding(kinds, text)
			return f
		}
		for _, text := range []string{"all-", "ALL-1", "some", "store", "STORED", "restored", "finish", "e", "100%", "%", "_", "all-31", "v31", "v", own, own[:8], "名", "nothing", "!", "'"} {
			for also, c := range map[string]struct {
				scope Scope
				f     TaskFilter
			}{
				"1 = 1":             {},
				"project_id = 'p1'": {scope: Scope{"p1"}},
				"parent_id = ''":    {f: TaskFilter{Roots: true}},
				"state = 'failed'":  {f: TaskFilter{States: []stowage.JobState{stowage.JobFailed}}},
			} {
				want := slowly(t, d, text, strings.Replace(strings.Replace(also, "project", "j.project", 1), "state", "j.state", 1))
				var got []string
				for at := 0; at <= len(want); at += 200 {
					page, total, err := d.Tasks(t.Context(), c.scope, said(c.f, text), Page{Filter: text, Offset: at, Limit: 200})
					if err != nil || total != len(want) {
						t.Fatalf("%q, %s: %d, want %d: %v", text, also, total, len(want), err)
					}
					got = append(got, ids(page)...)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q, %s: other tasks, or another order: %d for %d", text, also, len(got), len(want))
				}
			}
		}
	})
}

// Tasks that have a text in the names of few entities are found by an index of
// entities that holds all that lists ask besides.
func TestFreeTextReadsFewEntries(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		fillJobs(t, d, 3000)
		bulk(t, d, 100, `INSERT INTO entities (id, kind, project_id, name, words, host, present, listed, attributes, seen, updated_at) VALUES `, func(i int) []any {
			return []any{fmt.Sprint("v", i), stowage.EntityServer, "p", fmt.Sprintf("web-%d-", i), "", "", 1, 1, `{}`, 1, 1}
		})
		if d.dialect == MySQL {
			must(d.sql.ExecContext(t.Context(), "ANALYZE TABLE jobs, entities"))(t)
		}
		for what, f := range map[string]TaskFilter{"tasks": {}, "executions": {Roots: true}} {
			w := f.where(Scope{})
			must0(t, d.withText(t.Context(), &w, f, "web-7-"))
			plan := planOf(t, d, `SELECT COUNT(*) FROM jobs WHERE `+w.String(), w.args...)
			low := strings.ToLower(plan)
			if !strings.Contains(low, "covering index jobs_shown_entity (entity_id=") && !(strings.Contains(plan, `"key": "jobs_shown_entity"`) && strings.Contains(low, `"using_index": true`)) {
				t.Errorf("%s: the plan is %s", what, plan)
			}
		}
	})
}
