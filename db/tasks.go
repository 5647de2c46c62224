package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// where collects the conditions of a query.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions, w.args = append(w.conditions, condition), append(w.args, args...)
}

// oneOf wants a column to have one of the values; none at all want nothing.
func oneOf[T any](w *where, column string, values []T) {
	if len(values) > 0 {
		marks, args := markers(values)
		w.and(column+" IN ("+marks+")", args...)
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return "1 = 1"
	}
	return strings.Join(w.conditions, " AND ")
}

// like is the pattern of all texts that the text is a part of.
func like(part string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(part) + "%"
}

// TaskFilter narrows a list of jobs as tasks. Empty fields do not.
type TaskFilter struct {
	ID       string // the job's
	Entities []string
	States   []stowage.JobState
	Kinds    []stowage.JobKind
	Backup   string // UUID
	Parent   string // the job they follow
	Flow     string // a job, and those that follow it
	Roots    bool   // those that follow none
	Host     string // of the manager that works on it, or did last
	Project  string // of the container, and
	Into     string // the container
	Since    time.Time
	Until    time.Time // when it was asked for
	Schedule string
	Policy   string
	Rule     string

	// What a page's free text finds besides names and ids: states and kinds are shown in
	// other words than the table has.
	TextStates []stowage.JobState
	TextKinds  []stowage.JobKind
}

// taskOrders are the orders that a list of tasks can have. By origin, those that users
// asked for are beside each other, and those of each schedule.
var taskOrders = map[string]string{
	"state": "state", "kind": "kind", "priority": "priority", "created": "seq", "started": "started_at",
	"finished": "finished_at", "progress": "percent", "origin": "schedule_id",
}

func (f TaskFilter) where(scope Scope) where {
	w := where{}
	w.and("hidden = 0")
	if scope.ProjectID != "" {
		w.and("project_id = ?", scope.ProjectID)
	}
	if f.ID != "" {
		w.and("id = ?", f.ID)
	}
	oneOf(&w, "entity_id", f.Entities)
	oneOf(&w, "state", f.States)
	oneOf(&w, "kind", f.Kinds)
	if f.Backup != "" {
		w.and("backup_id = (SELECT id FROM backups WHERE uuid = ?)", f.Backup)
	}
	if f.Flow != "" {
		w.and("(id = ? OR parent_id = ?)", f.Flow, f.Flow)
	}
	if f.Roots {
		w.and("NOT (parent_id > '')") // half of all: no index of parents is to be taken for it
	}
	if f.Parent != "" {
		w.and("parent_id = ?", f.Parent)
	}
	if f.Host != "" {
		w.and("host = ?", f.Host)
	}
	if f.Into != "" {
		w.and("backup_id IN (SELECT id FROM backups WHERE project_id = ? AND container = ?)", f.Project, f.Into)
	}
	if !f.Since.IsZero() {
		w.and("created_at >= ?", micros(f.Since))
	}
	if !f.Until.IsZero() {
		w.and("created_at <= ?", micros(f.Until))
	}
	by(&w, f.Schedule, f.Policy, f.Rule)
	return w
}

// by wants what a schedule, a policy or a rule made; empty ones want nothing.
func by(w *where, schedule, policy, rule string) {
	for _, of := range [][2]string{{"schedule_id = ?", schedule}, {"policy_id = ?", policy}, {"rule_id = ?", rule}} {
		if of[1] != "" {
			w.and(of[0], of[1])
		}
	}
}

// asciiOr gives what no column of ASCII holds in place of what none may be
// compared with.
func asciiOr(s string) string {
	if ascii(s) {
		return s
	}
	return ""
}

// possible reports whether there can be such jobs at all.
func (f TaskFilter) possible() bool {
	all := append([]string{f.ID, f.Backup, f.Parent, f.Flow, f.Schedule, f.Policy, f.Rule, f.Host}, f.Entities...)
	for _, s := range f.States {
		all = append(all, string(s))
	}
	for _, k := range f.Kinds {
		all = append(all, string(k))
	}
	return !slices.ContainsFunc(all, func(s string) bool { return !ascii(s) })
}

// Tasks lists jobs that are shown as tasks, the newest first, and tells how many
// there are in all. What is looked at for a page is entries of an index; rows
// are read for the page alone.
func (d *DB) Tasks(ctx context.Context, scope Scope, f TaskFilter, p Page) ([]stowage.Job, int, error) {
	if !f.possible() {
		return nil, 0, nil
	}
	w := f.where(scope)
	if err := d.withText(ctx, &w, f, p.Filter); err != nil {
		return nil, 0, err
	}
	total, err := d.count(ctx, "count tasks", `SELECT COUNT(*) FROM jobs WHERE `+w.String(), w.args)
	if err != nil || total == 0 {
		return nil, 0, err
	}
	q, args := tasksQuery(w, p, total)
	jobs, err := d.queryJobs(ctx, q, args...)
	return jobs, total, err
}

func tasksQuery(w where, p Page, total int) (string, []any) {
	order := ordered(taskOrders, p, "seq", true)
	way, limit, offset := p.near(order, total)
	return `SELECT ` + jobColumns + ` FROM (SELECT seq AS at FROM jobs WHERE ` + w.String() + ` ORDER BY ` + way + ` LIMIT ? OFFSET ?) page
		JOIN jobs ON jobs.seq = page.at ORDER BY ` + order, append(slices.Clone(w.args), limit, offset)
}

// ordered gives the order of a page: what was asked for if the list has it, and
// the key to tell equals apart. Without it, the list's own order.
func ordered(orders map[string]string, p Page, key string, newest bool) string {
	way := map[bool]string{true: " DESC", false: " ASC"}
	column, known := orders[p.Order]
	switch {
	case !known:
		return key + way[newest]
	case column == key:
		return key + way[p.Descending]
	}
	return column + way[p.Descending] + ", " + key + way[p.Descending]
}

func (d *DB) count(ctx context.Context, what, q string, args []any) (n int, err error) {
	if err := d.sql.QueryRowContext(ctx, q, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("%s: %w", what, unavailable(err))
	}
	return n, nil
}

// Task gives a job that is shown as a task: NotFound outside the scope, too.
func (d *DB) Task(ctx context.Context, scope Scope, id string) (stowage.Job, error) {
	jobs, _, err := d.Tasks(ctx, scope, TaskFilter{ID: orNobodys(id)}, Page{Limit: 1})
	if err != nil {
		return stowage.Job{}, err
	}
	if len(jobs) == 0 {
		return stowage.Job{}, stowage.Errorf(stowage.NotFound, "Task %.64s could not be found.", id)
	}
	return jobs[0], nil
}

// orNobodys keeps an empty id from meaning all.
func orNobodys(id string) string {
	if id == "" {
		return "-"
	}
	return id
}

// hideAtOnce bounds one step of hiding many: no transaction is long.
const hideAtOnce = 1000

// HideTasks takes those of the scope's jobs that have ended off the list of tasks. The
// rows stay. It tells how many there were.
func (d *DB) HideTasks(ctx context.Context, scope Scope, f TaskFilter) (int, error) {
	f.States = []stowage.JobState{stowage.JobFinished, stowage.JobFailed, stowage.JobCancelled}
	w := f.where(scope)
	for hidden := 0; ; {
		seqs, err := query(ctx, d, "look for tasks that have ended", scanSeq, `SELECT seq FROM jobs WHERE `+w.String()+` ORDER BY seq LIMIT ?`, append(slices.Clone(w.args), hideAtOnce)...)
		if err != nil || len(seqs) == 0 {
			return hidden, err
		}
		marks, args := markers(seqs)
		err = d.inTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `UPDATE jobs SET hidden = 1 WHERE seq IN (`+marks+`)`, args...); err != nil {
				return fmt.Errorf("hide tasks: %w", err)
			}
			return nil
		})
		if err != nil {
			return hidden, err
		}
		hidden += len(seqs)
	}
}

func scanSeq(row rower) (seq int64, err error) {
	err = row.Scan(&seq)
	return seq, err
}

// WantCancel writes down why the work on a job is to stop; whoever holds it, or
// is the next to claim it, stops. Conflict: it has ended, or is another's now.
func (d *DB) WantCancel(ctx context.Context, j stowage.Job, reason string) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE jobs SET cancel_reason = ? WHERE id = ? AND state IN (?, ?)`,
			clip(reason, 1024), j.ID, stowage.JobQueued, stowage.JobRunning)
		if err != nil {
			return fmt.Errorf("cancel job %s: %w", j.ID, err)
		}
		return moved(res, "cancel job "+j.ID)
	})
}

// CancelWanted tells why the work on a job is to stop; empty: it is not.
func (d *DB) CancelWanted(ctx context.Context, id string) (string, error) {
	reason, err := wishOf(ctx, d.sql, id)
	return reason, unavailable(err)
}

func wishOf(ctx context.Context, in interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, id string) (reason string, err error) {
	err = in.QueryRowContext(ctx, `SELECT cancel_reason FROM jobs WHERE id = ?`, id).Scan(&reason)
	if errors.Is(err, sql.ErrNoRows) {
		return "", stowage.Errorf(stowage.NotFound, "Job %s could not be found.", id)
	}
	if err != nil {
		return "", fmt.Errorf("read job %s: %w", id, err)
	}
	return reason, nil
}
