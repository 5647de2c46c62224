package service

import (
	"context"
	"errors"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/timetable"
)

// A policy's report of a day that is over is mailed once: whoever moves its row says
// by that that he does it now, and nobody else before dailyLease is over. So a mail is
// sent again only by one who does not know whether it was, under the same Message-ID.
const (
	dailyLease    = 10 * time.Minute // longer than a mail is tried for
	dailyAttempts = 8                // and then it is given up: with the pauses, after about a day
	dailyPause    = 10 * time.Minute // after the first attempt; doubled after each
	policiesRead  = 500
)

// MailDailyReports mails the reports of the day that is over, of policies that want
// them, once it is the hour for that (UTC).
func (s *Service) MailDailyReports(ctx context.Context, hour time.Duration) error {
	if s.Mail == nil {
		return nil
	}
	if err := s.checkClock(ctx); err != nil {
		return err
	}
	now := s.Now().UTC()
	end := now.Add(-hour).Truncate(timetable.Day) // of the day that is over
	var errs []error
	for after := ""; ctx.Err() == nil; {
		list, err := s.DB.EachPolicy(ctx, after, policiesRead)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, p := range list {
			after = p.ID
			if p.Kind == stowage.PolicyBackup && p.Is.DailyReport && p.Is.MailingList != "" && p.CreatedAt.Before(end) {
				errs = append(errs, s.mailDaily(ctx, p, end))
			}
		}
		if len(list) < policiesRead {
			break
		}
	}
	return errors.Join(errs...)
}

// mailDaily mails a policy's report of the day before end, if nobody has.
func (s *Service) mailDaily(ctx context.Context, p stowage.Policy, end time.Time) error {
	was, err := s.DB.DailyReport(ctx, p.ID)
	if err != nil {
		return err
	}
	now, day := s.Now(), end.Add(-timetable.Day)
	mine := db.DailyReport{PolicyID: p.ID, Day: day, Attempts: 1, NextAt: now.Add(dailyLease)}
	switch {
	case was.Day.After(day): // another's clock is ahead
		return nil
	case was.Day.Equal(day) && (was.NextAt.IsZero() || was.NextAt.After(now)):
		return nil
	case was.Day.Equal(day):
		mine.Attempts = was.Attempts + 1
	}
	if err := s.DB.MoveDailyReport(ctx, was, mine); err != nil {
		if stowage.CodeOf(err) == stowage.Conflict {
			return nil // another manager was quicker
		}
		return err
	}
	err = s.sendDaily(ctx, p, day, end)
	next := mine
	code := stowage.CodeOf(err)
	switch {
	case err == nil:
		s.Log.InfoContext(ctx, "daily report mailed", "policy", p.ID, "day", day.Format(time.DateOnly))
		next.NextAt = time.Time{}
	case code == stowage.Invalid, code == stowage.NotFound, mine.Attempts >= dailyAttempts:
		s.Log.WarnContext(ctx, "daily report not mailed", "policy", p.ID, "day", day.Format(time.DateOnly), "attempts", mine.Attempts, "error", err)
		next.NextAt = time.Time{}
	default:
		next.NextAt = s.Now().Add(dailyPause << (mine.Attempts - 1))
		s.Log.WarnContext(ctx, "daily report not mailed yet, will be tried again", "policy", p.ID, "day", day.Format(time.DateOnly), "next", next.NextAt, "error", err)
	}
	if err := s.DB.MoveDailyReport(context.WithoutCancel(ctx), mine, next); err != nil && stowage.CodeOf(err) != stowage.Conflict {
		return err
	}
	return nil
}

func (s *Service) sendDaily(ctx context.Context, p stowage.Policy, day, end time.Time) error {
	scope := db.Scope{ProjectID: p.ProjectID}
	l, err := s.listOf(ctx, p)
	if err != nil {
		return err
	}
	r, err := s.Report(ctx, scope, ReportWish{
		Title: "Daily report of policy " + p.Name + ", " + day.Format(time.DateOnly), Policy: p.ID, Span: db.Span{From: day, To: end.Add(-time.Microsecond)},
	})
	if err != nil {
		return err
	}
	return s.mailReport(ctx, r, l.Recipients, p.ID+" "+day.Format(time.DateOnly))
}
