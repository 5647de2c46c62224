package drivertest

import (
	"fmt"
	"strings"
	"sync"
)

// Op names a method of a driver.
type Op string

// The methods that can be made to fail. Objects are matched by their names,
// volumes and snapshots by theirs; reads and writes by the name of what was
// opened.
const (
	OpPut    Op = "Put"
	OpGet    Op = "Get"
	OpStat   Op = "Stat"
	OpDelete Op = "Delete"
	OpList   Op = "List"

	OpCreateSnapshot Op = "CreateSnapshot"
	OpOpenSnapshot   Op = "OpenSnapshot"
	OpCheckSnapshot  Op = "CheckSnapshot"
	OpRemoveSnapshot Op = "RemoveSnapshot"
	OpOpenTarget     Op = "OpenTarget"
	OpKeepSnapshot   Op = "KeepSnapshot"
	OpLeftovers      Op = "Leftovers"
	OpOrphans        Op = "Orphans"
	OpCinderSnapshot Op = "CinderSnapshot"

	OpReadAt      Op = "ReadAt"
	OpAllocated   Op = "Allocated"
	OpChanged     Op = "Changed"
	OpWriteAt     Op = "WriteAt"
	OpWriteZeroes Op = "WriteZeroes"
	OpEmpty       Op = "Empty"
	OpFlush       Op = "Flush"
	OpClose       Op = "Close"
)

// Call is one call of a wrapped driver.
type Call struct {
	Op   Op
	Name string
}

func (c Call) String() string { return fmt.Sprintf("%s %s", c.Op, c.Name) }

// Faults is a list of failures to come, shared by any number of wrappers, and
// the list of the calls they saw. The zero value fails nothing.
type Faults struct {
	mu    sync.Mutex
	rules []*rule
	calls []Call
}

type rule struct {
	op    Op
	name  string
	skip  int
	times int // negative: for ever
	after bool
	err   error
	do    func()
}

// Fault is one failure while it is described, such as
//
//	faults.On(OpPut, "manifest").Skip(1).After(err)
type Fault struct {
	faults *Faults
	rule   rule
}

// On begins a fault that meets the next call of op for a name that contains
// the text; "" is any name.
func (f *Faults) On(op Op, contains string) Fault {
	return Fault{faults: f, rule: rule{op: op, name: contains, times: 1}}
}

// Skip lets so many such calls pass first.
func (f Fault) Skip(calls int) Fault { f.rule.skip = calls; return f }

// Times has so many calls fail instead of one.
func (f Fault) Times(calls int) Fault { f.rule.times = calls; return f }

// Always has every such call fail from then on.
func (f Fault) Always() Fault { return f.Times(-1) }

// Before fails the call before anything was done.
func (f Fault) Before(err error) { f.add(err, false) }

// After does the work, and then reports that it failed.
func (f Fault) After(err error) { f.add(err, true) }

// Run fails nothing but runs do before the call: to cancel, to change what is
// stored, to remove a snapshot under a reader.
func (f Fault) Run(do func()) { f.rule.do = do; f.add(nil, false) }

func (f Fault) add(err error, after bool) {
	f.rule.err, f.rule.after = err, after
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.rules = append(f.faults.rules, &f.rule)
}

// Clear forgets the faults that have not come yet, and the calls.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.calls = nil, nil
}

// Calls gives the calls seen so far, those that failed too, in their order.
func (f *Faults) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Count tells how many calls of op for names that contain the text were seen.
func (f *Faults) Count(op Op, contains string) int {
	n := 0
	for _, c := range f.Calls() {
		if c.Op == op && strings.Contains(c.Name, contains) {
			n++
		}
	}
	return n
}

// call does the work between the faults that the call meets.
func (f *Faults) call(op Op, name string, work func() error) error {
	r := f.meet(Call{op, name})
	if r == nil {
		return work()
	}
	if r.do != nil {
		r.do()
		return work()
	}
	if !r.after {
		return fmt.Errorf("%s %s: %w", op, name, r.err)
	}
	if err := work(); err != nil {
		return err
	}
	return fmt.Errorf("%s %s: %w", op, name, r.err)
}

func (f *Faults) meet(c Call) *rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	for _, r := range f.rules {
		if r.op != c.Op || r.times == 0 || !strings.Contains(c.Name, r.name) {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		if r.times > 0 {
			r.times--
		}
		return r
	}
	return nil
}
