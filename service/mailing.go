package service

import (
	"context"
	"strings"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/mail"
	"github.com/stowage/stowage/report"
)

// MailingLists lists the scope's by name, and how many there are.
func (s *Service) MailingLists(ctx context.Context, scope db.Scope, p db.Page) ([]stowage.MailingList, int, error) {
	return s.DB.MailingLists(ctx, scope, p)
}

// MailingList gives one of the scope's.
func (s *Service) MailingList(ctx context.Context, scope db.Scope, id string) (stowage.MailingList, error) {
	return s.DB.MailingList(ctx, scope, id)
}

// SaveMailingList makes a list, or changes one of the scope. Invalid: a recipient is
// no address. Conflict: the project has one of that name.
func (s *Service) SaveMailingList(ctx context.Context, scope db.Scope, l stowage.MailingList) (stowage.MailingList, error) {
	isNew := l.ID == ""
	if isNew {
		l.ID, l.CreatedAt = s.NewID(), s.Now()
	} else {
		old, err := s.DB.MailingList(ctx, scope, l.ID)
		if err != nil {
			return l, err
		}
		l.ProjectID, l.CreatedAt = old.ProjectID, old.CreatedAt
	}
	l.Name, l.UpdatedAt = strings.TrimSpace(l.Name), s.Now()
	if err := checkName("mailing list", l.Name); err != nil {
		return l, err
	}
	var err error
	if l.Recipients, err = mail.Addresses(l.Recipients...); err != nil {
		return l, err
	}
	return l, s.DB.SaveMailingList(ctx, l, isNew)
}

// DeleteMailingList deletes a list of the scope. Policies that name it mail no more.
func (s *Service) DeleteMailingList(ctx context.Context, scope db.Scope, id string) error {
	return s.DB.DeleteMailingList(ctx, scope, id)
}

// listOf gives the list that a policy's daily reports go to. One of another project is
// none, also for a policy of the operator's, whose report is about all projects. NotFound:
// there is none.
func (s *Service) listOf(ctx context.Context, p stowage.Policy) (stowage.MailingList, error) {
	l, err := s.DB.MailingList(ctx, db.Scope{}, p.Is.MailingList)
	if err == nil && l.ProjectID != p.ProjectID {
		err = stowage.Errorf(stowage.NotFound, "Mailing list %.64s could not be found.", l.ID)
	}
	return l, err
}

// checkList refuses a list that a policy did not name before and that is not its project's:
// Invalid.
func (s *Service) checkList(ctx context.Context, p stowage.Policy, old *PolicyView) error {
	if p.Is.MailingList == "" || old != nil && old.Is.MailingList == p.Is.MailingList {
		return nil
	}
	_, err := s.listOf(ctx, p)
	if stowage.CodeOf(err) == stowage.NotFound {
		return stowage.Errorf(stowage.Invalid, "Mailing list %.64s is none of the policy's project.", p.Is.MailingList)
	}
	return err
}

// MailReport mails a report of the scope's, and waits until the mail server has it.
// Conflict: there is none. Invalid: who is to get it is no address, or is refused.
func (s *Service) MailReport(ctx context.Context, scope db.Scope, wish ReportWish, typed ...string) error {
	if s.Mail == nil {
		return stowage.Errorf(stowage.Conflict, "Reports cannot be mailed: the operator has set up no mail server.")
	}
	to, err := mail.Addresses(typed...)
	if err != nil {
		return err
	}
	r, err := s.Report(ctx, scope, wish)
	if err != nil {
		return err
	}
	if err := s.mailReport(ctx, r, to, ""); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "report mailed", "project", scope.ProjectID, "recipients", len(to))
	return nil
}

// mailReport mails a report as HTML, and as PDF for those who keep it. The id is the
// same for what is mailed again.
func (s *Service) mailReport(ctx context.Context, r report.Report, to []string, id string) error {
	page, err := report.HTML(r)
	if err != nil {
		return err
	}
	file, err := report.PDF(r)
	if err != nil {
		return err
	}
	return s.Mail.Send(ctx, mail.Message{
		ID: id, To: to, Subject: r.Title, Text: report.Text(r), HTML: string(page),
		Attachments: []mail.Attachment{{Name: report.FileName(r) + ".pdf", Type: "application/pdf", Content: file}},
	})
}
