package stowage

import "time"

// MailingList is whom reports are mailed to.
type MailingList struct {
	ID         string
	ProjectID  string // empty: the operator's
	Name       string // of no other list of the project
	Recipients []string
	CreatedAt  time.Time
	UpdatedAt  time.Time
}
