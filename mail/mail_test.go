package mail

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// server is an SMTP server that answers as the test says. A real one is in
// stack_test.go.
type server struct {
	net.Listener
	// answer may give another answer than the usual one to a command; "" is none,
	// "hang" is no answer at all.
	answer func(n int, command string) string

	mu    sync.Mutex
	calls int
	mails []string // "<recipient>\n" and what came as DATA
}

func serve(t *testing.T, answer func(n int, command string) string) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, answer: answer}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.calls++
			n := s.calls
			s.mu.Unlock()
			all.Go(func() { s.talk(n, c) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return s
}

func (s *server) talk(n int, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewScanner(c)
	fmt.Fprint(c, "220 test\r\n")
	to := ""
	for in.Scan() {
		command := in.Text()
		word, _, _ := strings.Cut(command, " ")
		reply := ""
		if s.answer != nil {
			reply = s.answer(n, command)
		}
		if reply == "hang" {
			in.Scan()
			return
		}
		if reply == "" {
			reply = map[string]string{"EHLO": "250-test\r\n250 8BITMIME", "DATA": "354 go on", "QUIT": "221 bye"}[word]
		}
		if reply == "" {
			reply = "250 fine"
		}
		fmt.Fprint(c, reply+"\r\n")
		switch {
		case word == "RCPT":
			to = command
		case word == "DATA" && reply[0] == '3':
			var text []string
			for in.Scan() && in.Text() != "." {
				text = append(text, in.Text())
			}
			s.mu.Lock()
			s.mails = append(s.mails, to+"\n"+strings.Join(text, "\n"))
			s.mu.Unlock()
			fmt.Fprint(c, "250 taken\r\n")
		case word == "QUIT":
			return
		}
	}
}

func (s *server) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *server) sender(t *testing.T, timeout time.Duration) *Sender {
	t.Helper()
	out, err := New(Options{
		Host: "127.0.0.1", Port: s.Addr().(*net.TCPAddr).Port, Security: Clear, From: "Stowage <stowage@cloud.test>", Hello: "cloud.test",
		Now: time.Now, NewID: uuid.NewString, Timeout: timeout, Pause: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var hello = Message{To: []string{"a@x.test", "b@x.test"}, Subject: "Hello", Text: "text", HTML: "<b>html</b>",
	Attachments: []Attachment{{"report.pdf", "application/pdf", []byte("%PDF")}}}

func TestEachRecipientGetsAMessageOfHisOwn(t *testing.T) {
	s := serve(t, nil)
	if err := s.sender(t, 5*time.Second).Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	got := s.got()
	if len(got) != 2 || s.calls != 1 {
		t.Fatalf("%d messages in %d calls", len(got), s.calls)
	}
	for i, to := range hello.To {
		for _, want := range []string{"RCPT TO:<" + to + ">", "Subject: Hello", "From: \"Stowage\" <stowage@cloud.test>", "text/html", "report.pdf", "Auto-Submitted: auto-generated", "@cloud.test>"} {
			if !strings.Contains(got[i], want) {
				t.Errorf("%q is not in\n%s", want, got[i])
			}
		}
		if strings.Contains(got[i], hello.To[1-i]) {
			t.Errorf("%s is told of the other one", to)
		}
	}
}

func TestOneWhoIsRefusedDoesNotCostTheOthersTheirs(t *testing.T) {
	s := serve(t, func(_ int, command string) string {
		if strings.HasPrefix(command, "RCPT") && strings.Contains(command, "a@x.test") {
			return "550 no such user"
		}
		return ""
	})
	err := s.sender(t, 5*time.Second).Send(t.Context(), hello)
	if stowage.CodeOf(err) != stowage.Invalid || !strings.Contains(stowage.MessageOf(err), "1 of 2") || strings.Contains(stowage.MessageOf(err), "550") {
		t.Errorf("got %v", err)
	}
	if got := s.got(); len(got) != 1 || !strings.Contains(got[0], "b@x.test") || s.calls != 1 {
		t.Errorf("%d calls, and it got %q", s.calls, got)
	}
}

func TestWhatFailsForNowIsTriedAgainForThoseWhoLackIt(t *testing.T) {
	s := serve(t, func(n int, command string) string {
		if n < 3 && strings.HasPrefix(command, "RCPT") && strings.Contains(command, "a@x.test") {
			return "451 greylisted"
		}
		return ""
	})
	if err := s.sender(t, 5*time.Second).Send(t.Context(), hello); err != nil {
		t.Fatal(err)
	}
	got := s.got()
	if len(got) != 2 || !strings.Contains(got[0], "b@x.test") || !strings.Contains(got[1], "a@x.test") || s.calls != 3 {
		t.Errorf("%d calls, and it got %q", s.calls, got)
	}
}

func TestAServerThatIsAwayOrSilentEndsWithTheTime(t *testing.T) {
	silent := serve(t, func(int, string) string { return "hang" })
	away := serve(t, nil)
	away.Close()
	for name, s := range map[string]*server{"silent": silent, "away": away} {
		begun := time.Now()
		err := s.sender(t, 300*time.Millisecond).Send(t.Context(), hello)
		if stowage.CodeOf(err) != stowage.Unavailable || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begun))
		}
	}
}

func TestAServerThatDoesNotLetUsInIsNotAskedAgain(t *testing.T) {
	s := serve(t, func(_ int, command string) string {
		switch word, _, _ := strings.Cut(command, " "); word {
		case "EHLO":
			return "250-test\r\n250 AUTH CRAM-MD5"
		case "AUTH":
			return "535 wrong password"
		}
		return ""
	})
	sender := s.sender(t, 5*time.Second)
	sender.User, sender.Password = "u", "secret-word"
	err := sender.Send(t.Context(), hello)
	if stowage.CodeOf(err) != stowage.Unavailable || s.calls != 1 || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("%d calls: %v", s.calls, err)
	}
}

func TestWithoutTLSNothingIsSentWhereItIsWanted(t *testing.T) {
	s := serve(t, nil)
	sender := s.sender(t, 300*time.Millisecond)
	sender.Security = STARTTLS
	if err := sender.Send(t.Context(), hello); stowage.CodeOf(err) != stowage.Unavailable || len(s.got()) != 0 {
		t.Errorf("got %v, and it got %q", err, s.got())
	}
}

func TestNoHeaderComesInThroughTheSubjectOrAName(t *testing.T) {
	s := serve(t, nil)
	m := hello
	m.Subject = "Backups of p\r\nBcc: evil@x.test\r\n\r\nbody \u2028 名前"
	m.Attachments = []Attachment{{"a\r\nX-Evil: 1.pdf", "application/pdf", nil}}
	if err := s.sender(t, 5*time.Second).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(s.got()[0]) {
		if strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "X-Evil") {
			t.Errorf("it has a line %q", line)
		}
	}
}

func TestAddressesAreReadAsPeopleTypeThem(t *testing.T) {
	many := make([]string, MaxRecipients+1)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@x.test", i)
	}
	for typed, want := range map[string]string{
		"a@x.test": "[a@x.test]", " a@x.test, B <b@x.test>;a@X.test,": "[a@x.test b@x.test]", "jürgen@x.test": "[jürgen@x.test]",
		"": "!", ",;": "!", "a": "!", "a@x.test b@x.test": "!", "a@x.test\r\nBcc: c@x.test": "!", "<a@x.test>\r\nRCPT TO:<b@x.test>": "!",
		strings.Join(many, ","): "!", strings.Join(many[1:], ","): fmt.Sprint(many[1:]), "a@x.test>": "!", strings.Repeat("a", 300) + "@x.test": "!",
	} {
		got, err := Addresses(typed)
		if want == "!" {
			if stowage.CodeOf(err) != stowage.Invalid {
				t.Errorf("%.60q is taken for %q: %v", typed, got, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%.60q is %q: %v", typed, got, err)
		}
	}
}

func TestASenderMustBeAnAddress(t *testing.T) {
	for _, from := range []string{"", "nobody", "a@x.test\r\nBcc: b@x.test"} {
		if _, err := New(Options{Host: "x", Port: 25, From: from}); err == nil {
			t.Errorf("%q is taken", from)
		}
	}
}
