package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stowage/stowage"
)

// What was done and how much, by counting. Work that has ended is of the time at
// which it ended; what has not is of the time at which it was asked for. So a
// backup that runs over midnight is in the report of one day as under way, and in
// the next one's as what became of it.

// Span is a time from one moment to another, both in it. Zero: no bound.
type Span struct{ From, To time.Time }

// backing are the kinds of jobs that back up: of a server the one that stores, and the
// one that takes the snapshots where that is all there was.
var backing = []stowage.JobKind{stowage.JobBackup, stowage.JobStore, stowage.JobExport}

// moving are the kinds of jobs that reports are about.
var moving = append(slices.Clone(backing), stowage.JobRestore)

// asBackup is the kind of a job as reports tell it: a backup, or a restore.
const asBackup = `CASE WHEN j.kind = '` + string(stowage.JobRestore) + `' THEN j.kind ELSE '` + string(stowage.JobBackup) + `' END`

// reported wants jobs of the scope and the span. Its columns are those of a jobs
// table called j. A server counts once, not each of its volumes: their jobs are parts,
// which have a volume and a parent.
func reported(scope Scope, span Span, kinds []stowage.JobKind) where {
	w := where{}
	oneOf(&w, "j.kind", kinds)
	w.and("(j.parent_id = '' OR j.volume_id = '')")
	if slices.Contains(kinds, stowage.JobExport) {
		w.and("(j.kind <> ? OR j.state <> ?)", stowage.JobExport, stowage.JobFinished)
	}
	if scope.ProjectID != "" {
		w.and("j.project_id = ?", scope.ProjectID)
	}
	from, to := micros(span.From), int64(1)<<62
	if !span.To.IsZero() {
		to = micros(span.To)
	}
	w.and("(j.finished_at BETWEEN ? AND ? OR j.finished_at = 0 AND j.created_at BETWEEN ? AND ?)", max(from, 1), to, from, to)
	return w
}

// StateCount is how many jobs of a kind are in a state, and how large the volumes
// were that those moved that are finished.
type StateCount struct {
	Kind  stowage.JobKind
	State stowage.JobState
	N     int
	Bytes int64
}

// CountMoved counts the backups and restores of a span.
func (d *DB) CountMoved(ctx context.Context, scope Scope, span Span, policy string) ([]StateCount, error) {
	w := reported(scope, span, moving)
	if policy != "" {
		w.and("j.policy_id = ?", policy)
	}
	return query(ctx, d, "count backups and restores", func(row rower) (c StateCount, err error) {
		return c, row.Scan(&c.Kind, &c.State, &c.N, &c.Bytes)
	}, `SELECT `+asBackup+` AS what, j.state, COUNT(*), SUM(j.volume_bytes) FROM jobs j WHERE `+w.String()+` GROUP BY what, j.state`, w.args...)
}

// DayBytes is how much was moved on a day.
type DayBytes struct {
	Kind  stowage.JobKind
	Day   time.Time // its midnight, UTC
	Bytes int64
}

// MovedByDay adds up what backups and restores moved, day by day.
func (d *DB) MovedByDay(ctx context.Context, scope Scope, span Span) ([]DayBytes, error) {
	w := reported(scope, span, moving)
	w.and("j.state = ?", stowage.JobFinished)
	return query(ctx, d, "add up days", func(row rower) (b DayBytes, err error) {
		var day int64
		err = row.Scan(&b.Kind, &day, &b.Bytes)
		b.Day = fromMicros(day)
		return b, err
	}, `SELECT `+asBackup+` AS what, j.finished_at - j.finished_at % 86400000000 AS day, SUM(j.volume_bytes) FROM jobs j WHERE `+w.String()+` GROUP BY what, day`, w.args...)
}

// MovedRow is a backup or a restore as a report lists it. Backup is empty if the
// backup is gone.
type MovedRow struct {
	Job        stowage.Job // ID, Kind, State, EntityID, Error and times only
	Bytes      int64
	Entity     string // its name; empty: nobody knows
	Policy     string // its name, likewise
	Backup     stowage.BackupStatus
	Damaged    string
	SnapshotAt time.Time
	Full       bool
}

// MovedRows lists the backups or the restores of a span, the latest first.
func (d *DB) MovedRows(ctx context.Context, scope Scope, span Span, policy string, kind stowage.JobKind, limit int) ([]MovedRow, error) {
	kinds := []stowage.JobKind{kind}
	if kind == stowage.JobBackup {
		kinds = backing
	}
	w := reported(scope, span, kinds)
	if policy != "" {
		w.and("j.policy_id = ?", policy)
	}
	return query(ctx, d, "list backups and restores", func(row rower) (r MovedRow, err error) {
		var at [3]int64
		var incremental bool
		err = row.Scan(&r.Job.ID, &r.Job.Kind, &r.Job.State, &r.Job.EntityID, &r.Bytes, &r.Job.Error, &at[0], &at[1], &r.Backup, &at[2], &incremental,
			&r.Damaged, &r.Policy, &r.Entity)
		r.Job.CreatedAt, r.Job.FinishedAt, r.SnapshotAt = fromMicros(at[0]), fromMicros(at[1]), fromMicros(at[2])
		r.Full = !incremental
		return r, err
	}, `SELECT j.id, j.kind, j.state, j.entity_id, j.volume_bytes, j.error, j.created_at, j.finished_at, COALESCE(b.status, ''), COALESCE(b.snapshot_at, 0),
		COALESCE(b.incremental, 0), COALESCE(b.damaged_reason, ''), COALESCE(p.name, ''), COALESCE(e.name, '')
		FROM (SELECT j.seq AS at FROM jobs j WHERE `+w.String()+` ORDER BY j.seq DESC LIMIT ?) page JOIN jobs j ON j.seq = page.at
		LEFT JOIN backups b ON b.id = j.backup_id LEFT JOIN policies p ON p.id = j.policy_id LEFT JOIN entities e ON e.id = j.entity_id
		ORDER BY j.seq DESC`, append(w.args, limit)...)
}

// ChargeKey is by what sums are told apart. Fields that were not asked for are empty.
type ChargeKey struct{ Project, Container, Policy, Entity string }

// ChargeFilter narrows what is added up. Empty fields do not.
type ChargeFilter struct {
	Projects, Policies, Entities []string
	Containers                   []Container // Name, and ProjectID
}

// Charge is a sum.
type Charge struct {
	ChargeKey
	Bytes int64
}

// ChargeStored adds up how large the backups of a span were that there still are:
// the bytes of their volumes. Each of by is set that sums are to be told apart by.
func (d *DB) ChargeStored(ctx context.Context, scope Scope, span Span, f ChargeFilter, by ChargeKey) ([]Charge, error) {
	w := where{}
	w.and("j.status IN (?, ?) AND j.set_id = 0", stowage.BackupAvailable, stowage.BackupRestoring)
	if scope.ProjectID != "" {
		w.and("j.project_id = ?", scope.ProjectID)
	}
	if !span.From.IsZero() {
		w.and("j.created_at >= ?", micros(span.From))
	}
	if !span.To.IsZero() {
		w.and("j.created_at <= ?", micros(span.To))
	}
	return d.charge(ctx, "backups", "volume_id", "volume_bytes", w, f, by)
}

// ChargeMoved adds up what the backups of a span stored, whether there still are
// such or not.
func (d *DB) ChargeMoved(ctx context.Context, scope Scope, span Span, f ChargeFilter, by ChargeKey) ([]Charge, error) {
	w := reported(scope, span, backing)
	w.and("j.state = ?", stowage.JobFinished)
	return d.charge(ctx, "jobs", "entity_id", "stored_bytes", w, f, by)
}

func (d *DB) charge(ctx context.Context, table, entity, bytes string, w where, f ChargeFilter, by ChargeKey) ([]Charge, error) {
	oneOf(&w, "j.project_id", f.Projects)
	oneOf(&w, "j.policy_id", idsOf(f.Policies))
	oneOf(&w, "j."+entity, idsOf(f.Entities))
	if len(f.Containers) > 0 {
		any := where{}
		for _, c := range f.Containers {
			any.and("j.project_id = ? AND j.container = ?", c.ProjectID, c.Name)
		}
		w.and("("+strings.Join(any.conditions, " OR ")+")", any.args...)
	}
	var columns []string
	pick := func(wanted, column string) string {
		if wanted == "" {
			return "''"
		}
		columns = append(columns, column)
		return column
	}
	list := []string{pick(by.Project, "j.project_id"), pick(by.Container, "j.container"), pick(by.Policy, "j.policy_id"), pick(by.Entity, "j."+entity)}
	q := fmt.Sprintf(`SELECT %s, COALESCE(SUM(j.%s), 0) AS bytes FROM %s j WHERE %s`, strings.Join(list, ", "), bytes, table, w.String())
	if len(columns) > 0 {
		q += " GROUP BY " + strings.Join(columns, ", ")
	}
	return query(ctx, d, "add up "+bytes, func(row rower) (c Charge, err error) {
		return c, row.Scan(&c.Project, &c.Container, &c.Policy, &c.Entity, &c.Bytes)
	}, q+" ORDER BY bytes DESC LIMIT 100000", w.args...)
}

// idsOf puts nobody's id in the place of what no column of ASCII may be
// compared with.
func idsOf(ids []string) []string {
	ids = slices.Clone(ids)
	for i, id := range ids {
		ids[i] = orNobodys(asciiOr(id))
	}
	return ids
}

// Place is where something is in the cloud.
type Place struct{ Host, Zone string }

// Places tells where volumes are: where the server is that they are part of, or they
// themselves. What is not known is left out.
func (d *DB) Places(ctx context.Context, volumes []string) (map[string]Place, error) {
	places := map[string]Place{}
	volumes = slices.Clone(volumes)
	slices.Sort(volumes)
	for part := range slices.Chunk(slices.Compact(volumes), 500) {
		marks, args := markers(idsOf(part))
		list, err := query(ctx, d, "look where volumes are", func(row rower) (t [3]string, err error) {
			return t, row.Scan(&t[0], &t[1], &t[2])
		}, `SELECT e.id, e.attributes, COALESCE(s.attributes, '{}') FROM entities e LEFT JOIN entities s ON s.id = e.server_id AND e.server_id <> ''
			WHERE e.id IN (`+marks+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			var own, server stowage.EntityDetails
			if err := errors.Join(json.Unmarshal([]byte(t[1]), &own), json.Unmarshal([]byte(t[2]), &server)); err != nil {
				return nil, fmt.Errorf("entity %s: its details: %w", t[0], err)
			}
			at := Place{server.Host, server.Zone}
			if at.Zone == "" {
				at.Zone = own.Zone
			}
			places[t[0]] = at
		}
	}
	return places, nil
}

// ProtectionCounts is how many entities that there are are how well protected.
type ProtectionCounts struct{ Secured, Unsecured, Unscheduled int }

// CountProtection counts the scope's entities that are listed and there.
func (d *DB) CountProtection(ctx context.Context, scope Scope) (c ProtectionCounts, err error) {
	there := true
	w := EntityFilter{Present: &there}.where(scope, Page{})
	q := `SELECT COALESCE(SUM(CASE WHEN due AND saved THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN due AND NOT saved THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN NOT due THEN 1 ELSE 0 END), 0)
		FROM (SELECT ` + fmt.Sprintf(scheduled, "IN") + ` AS due, restorable > 0 AS saved FROM entities WHERE ` + w.String() + `) known`
	err = d.sql.QueryRowContext(ctx, q, w.args...).Scan(&c.Secured, &c.Unsecured, &c.Unscheduled)
	if err != nil {
		return c, fmt.Errorf("count protected entities: %w", unavailable(err))
	}
	return c, nil
}
