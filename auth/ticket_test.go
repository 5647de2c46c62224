package auth

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
)

func TestATokenIsOpenedByItsTicketAlone(t *testing.T) {
	ticket, err := NewTicket(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ticket.Seal(NewSecret("gAAAAAtoken"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if hash := ticket.Hash(); bytes.Contains(sealed, []byte("gAAAA")) || bytes.Contains(sealed, hash[:]) {
		t.Error("what is kept tells the token")
	}
	again, err := ParseTicket(ticket.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if token, err := again.Open(sealed); err != nil || token.Reveal() != "gAAAAAtoken" {
		t.Errorf("opened: %q, %v", token.Reveal(), err)
	}
	other, err := NewTicket(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(sealed); err == nil {
		t.Error("another ticket opened it")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := ticket.Open(sealed); err == nil {
		t.Error("it was changed, and opened")
	}
	if _, err := ticket.Open(nil); err == nil {
		t.Error("nothing was opened")
	}
}

func TestATicketIsNotPrintedAndNotGuessed(t *testing.T) {
	ticket, err := NewTicket(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %s %x", ticket, ticket, ticket, ticket); strings.Contains(s, ticket.Reveal()) || strings.Count(s, redacted) != 4 {
		t.Errorf("printed as %s", s)
	}
	for _, s := range []string{"", "x", ticket.Reveal() + "A", ticket.Reveal()[1:], strings.Repeat("!", 43)} {
		if _, err := ParseTicket(s); err == nil {
			t.Errorf("%q counts as a ticket", s)
		}
	}
	if _, err := NewTicket(strings.NewReader("short")); err == nil {
		t.Error("a ticket without randomness")
	}
}
