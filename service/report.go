package service

import (
	"context"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/report"
	"github.com/stowage/stowage/timetable"
)

// Outcome is how many backups, or restores, came to what, and how large the volumes
// of the successful ones were.
type Outcome struct {
	Successful, InProgress, Queued, Failed int
	Bytes                                  int64
}

func (o *Outcome) add(c db.StateCount) {
	switch c.State {
	case stowage.JobFinished:
		o.Successful, o.Bytes = o.Successful+c.N, o.Bytes+c.Bytes
	case stowage.JobRunning:
		o.InProgress += c.N
	case stowage.JobQueued:
		o.Queued += c.N
	default: // what was cancelled gives nobody anything back either
		o.Failed += c.N
	}
}

// Outcomes counts the backups and the restores of a span.
func (s *Service) Outcomes(ctx context.Context, scope db.Scope, span db.Span) (backups, restores Outcome, err error) {
	return s.outcomes(ctx, scope, span, "")
}

func (s *Service) outcomes(ctx context.Context, scope db.Scope, span db.Span, policy string) (backups, restores Outcome, err error) {
	counts, err := s.DB.CountMoved(ctx, scope, span, policy)
	for _, c := range counts {
		if c.Kind == stowage.JobRestore {
			restores.add(c)
		} else {
			backups.add(c)
		}
	}
	return backups, restores, err
}

// Protection counts the scope's entities by how well they are protected.
func (s *Service) Protection(ctx context.Context, scope db.Scope) (db.ProtectionCounts, error) {
	return s.DB.CountProtection(ctx, scope)
}

// ActiveDay is how much was backed up and restored on a day.
type ActiveDay struct {
	Day               time.Time // its midnight, UTC
	Backups, Restores int64     // bytes of volumes
}

// Activity gives the last so many days, today the last of them.
func (s *Service) Activity(ctx context.Context, scope db.Scope, days int) ([]ActiveDay, error) {
	today := s.Now().UTC().Truncate(timetable.Day)
	list := make([]ActiveDay, days)
	for i := range list {
		list[i].Day = today.AddDate(0, 0, i+1-days)
	}
	sums, err := s.DB.MovedByDay(ctx, scope, db.Span{From: list[0].Day})
	for _, b := range sums {
		at := slices.IndexFunc(list, func(d ActiveDay) bool { return d.Day.Equal(b.Day) })
		switch {
		case at < 0: // another clock is ahead of ours
		case b.Kind == stowage.JobRestore:
			list[at].Restores = b.Bytes
		default:
			list[at].Backups = b.Bytes
		}
	}
	return list, err
}

// mostReported is how many backups and how many restores a report lists.
const mostReported = 10000

// ReportWish is a report as somebody wants it.
type ReportWish struct {
	Title  string // empty: a plain one
	Span   db.Span
	Policy string // only what it made; empty: all
	Charts []ChargeWish
}

// Report tells what was done in a span of the scope's.
func (s *Service) Report(ctx context.Context, scope db.Scope, wish ReportWish) (report.Report, error) {
	r := report.Report{Title: orReason(wish.Title, "Backup report"), From: wish.Span.From, To: wish.Span.To, Made: s.Now()}
	backups, restores, err := s.outcomes(ctx, scope, wish.Span, wish.Policy)
	if err != nil {
		return r, err
	}
	for _, part := range []struct {
		kind stowage.JobKind
		of   Outcome
		into *report.Section
	}{{stowage.JobBackup, backups, &r.Backups}, {stowage.JobRestore, restores, &r.Restores}} {
		o := part.of
		*part.into = report.Section{Successful: o.Successful, InProgress: o.InProgress, Queued: o.Queued, Failed: o.Failed, Bytes: o.Bytes}
		rows, err := s.DB.MovedRows(ctx, scope, wish.Span, wish.Policy, part.kind, mostReported)
		if err != nil {
			return r, err
		}
		for _, row := range rows {
			part.into.Rows = append(part.into.Rows, reportRow(row))
		}
	}
	for _, c := range wish.Charts {
		bars, err := s.Charge(ctx, scope, c)
		if err != nil {
			return r, err
		}
		title := "Backup size"
		if c.Moved {
			title = "Transfer size"
		}
		r.Charts = append(r.Charts, report.Chart{Title: title + " by " + string(c.By), Bars: bars})
	}
	return r, nil
}

func reportRow(m db.MovedRow) report.Row {
	j := m.Job
	row := report.Row{EntityID: j.EntityID, Entity: orReason(m.Entity, j.EntityID), Policy: m.Policy, At: j.FinishedAt, Bytes: m.Bytes, Status: report.Failed}
	if row.At.IsZero() {
		row.At = j.CreatedAt
	}
	if j.Kind == stowage.JobRestore {
		row.Type = "Restore"
	} else {
		if m.Backup != "" && m.Backup != stowage.BackupCreating && m.Backup != stowage.BackupError {
			row.Type = map[bool]string{true: "Full", false: "Incremental"}[m.Full]
		}
		if !m.SnapshotAt.IsZero() {
			row.At = m.SnapshotAt
		}
	}
	gone := j.Kind == stowage.JobBackup && (m.Backup == "" || m.Backup == stowage.BackupDeleting)
	switch j.State {
	case stowage.JobQueued:
		row.Status = report.Queued
	case stowage.JobRunning:
		row.Status = report.InProgress
	case stowage.JobFinished:
		row.Status = report.Success
		if gone {
			row.Status = report.Removed
		} else if j.Kind == stowage.JobBackup {
			row.Info = m.Damaged
		}
	default:
		row.Info = j.Error
	}
	return row
}
