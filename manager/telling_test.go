package manager

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stowage/stowage/db"
)

func TestAProjectTakesAFewOfTheSlotsAndEachHasItsTurn(t *testing.T) {
	var line telling
	begun, over := make(chan string, 100), map[string]chan bool{}
	hooks := func(project string, n int) (list []db.DueWebhook) {
		for i := range n {
			w := db.DueWebhook{ID: fmt.Sprint(project, i), ProjectID: project}
			if over[w.ID] == nil {
				over[w.ID] = make(chan bool)
			}
			list = append(list, w)
		}
		return list
	}
	a, b := hooks("a", 4), hooks("b", 1)
	tell := func(id string) { begun <- id; <-over[id] }
	next := func(n int) (ids []string) {
		for range n {
			ids = append(ids, <-begun)
		}
		slices.Sort(ids)
		return ids
	}
	is := func(what string, got []string, want string) {
		t.Helper()
		if fmt.Sprint(got) != want {
			t.Errorf("%s: told are %v, not %s", what, got, want)
		}
	}
	line.add(a, tell)
	is("as many as a project may", next(2), "[a0 a1]")
	line.add(append(slices.Clone(a), b...), tell) // the next look waits for none of them
	is("another's", next(1), "[b0]")
	over["a0"] <- true
	is("once one has ended", next(1), "[a2]")
	line.add(a, tell) // a0 has more to be told: it is behind a3 now
	over["a1"] <- true
	is("whose turn it is", next(1), "[a3]")
	over["a2"] <- true
	is("and again", next(1), "[a0]")
	for _, id := range []string{"a0", "a3", "b0"} {
		over[id] <- true
	}
	line.calls.Wait()
	if len(begun) > 0 || len(line.known)+len(line.told)+len(line.waiting) > 0 {
		t.Errorf("told is %s, known are %v", next(len(begun)), line.known)
	}
	// Of many projects not all at once.
	var many []db.DueWebhook
	for i := range hooksAtOnce + 3 {
		many = append(many, hooks(fmt.Sprint("p", i, "."), 1)...)
	}
	line.add(many, tell)
	for _, id := range next(hooksAtOnce) {
		over[id] <- true
	}
	for _, id := range next(3) {
		over[id] <- true
	}
	line.calls.Wait()
}
