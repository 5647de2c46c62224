package vendor

import (
	"net/http"
	"slices"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// scheduleBody is a schedule as clients send it. Hours are milliseconds after
// midnight UTC, also as floats and as text.
type scheduleBody struct {
	GUID        text          `json:"guid"`
	Name        text          `json:"name"`
	Active      *truth        `json:"active"`
	Type        enum          `json:"type"`
	BackupType  enum          `json:"backupType"`
	Execution   enum          `json:"executionType"`
	Hour        number        `json:"hour"`
	Window      number        `json:"startWindowLength"`
	Interval    *intervalBody `json:"interval"`
	Days        several[enum] `json:"daysOfWeek"`
	Months      several[enum] `json:"months"`
	Occurrences several[enum] `json:"dayOfWeekOccurrences"`
	Rules       *refs         `json:"rules"`
	TenantID    text          `json:"tenantId"`
	Project     text          `json:"projectUuid"`
}

type intervalBody struct {
	Start     number `json:"startHour"`
	End       number `json:"endHour"`
	Frequency number `json:"frequency"`
}

// The words for days, months and occurrences, in the order of their values.
var (
	dayNames   = []string{"SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"}
	monthNames = []string{"", "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"}
	timesNames = []string{"LAST_IN_MONTH", "", "FIRST_IN_MONTH", "SECOND_IN_MONTH", "THIRD_IN_MONTH", "FOURTH_IN_MONTH"} // from -1
)

// scheduleKinds are what schedules are of, by the words for their types; the guide's is
// the shorter one.
var scheduleKinds = map[string]stowage.PolicyKind{
	"VM_BACKUP": stowage.PolicyBackup, "VM_SNAPSHOT": stowage.PolicySnapshot, "SNAPSHOT": stowage.PolicySnapshot,
}

func scheduleType(k stowage.PolicyKind) enum {
	if k == stowage.PolicySnapshot {
		return enum{"VM_SNAPSHOT", "VM snapshot"}
	}
	return enum{"VM_BACKUP", "VM backup"}
}

// kind is what a schedule is to be of, or was.
func kind(now, was stowage.PolicyKind) stowage.PolicyKind {
	if now == "" {
		return was
	}
	return now
}

// wordsOf gives the values of words, in order and each once.
func wordsOf[T ~int](list several[enum], words []string, first int, what string) ([]T, error) {
	var out []T
	for _, e := range list {
		at := slices.Index(words, e.Name)
		if at < 0 || e.Name == "" {
			return nil, stowage.Errorf(stowage.Invalid, "%s has no value %.32q.", what, e.Name)
		}
		out = append(out, T(at+first))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// span is milliseconds as a duration; what no duration holds is out of any bounds.
func span(n number) time.Duration {
	return time.Duration(max(min(n.n, maxMillis/8), -1)) * time.Millisecond
}

func (b scheduleBody) schedule(was stowage.PolicyKind) (s stowage.Schedule, err error) {
	invalid := func(message string) (stowage.Schedule, error) {
		return s, stowage.Errorf(stowage.Invalid, "%s", message)
	}
	s = stowage.Schedule{ID: string(b.GUID), Name: string(b.Name), Active: b.Active != nil && bool(*b.Active)}
	if b.Type.Name != "" {
		if s.Kind = scheduleKinds[b.Type.Name]; s.Kind == "" {
			return invalid("type must be VM_BACKUP or VM_SNAPSHOT: nothing else is scheduled.")
		}
	}
	switch {
	case kind(s.Kind, was) == stowage.PolicySnapshot: // of which each is whole
	case b.BackupType.Name == "FULL":
		s.Is.Full = true
	case b.BackupType.Name == "INCREMENTAL":
	default:
		return invalid("backupType must be FULL or INCREMENTAL.")
	}
	s.Is.Window = span(b.Window)
	t := &s.Is.Times
	switch {
	case b.Execution.Name == "INTERVAL" && b.Interval != nil:
		t.Interval = &stowage.Interval{From: span(b.Interval.Start), To: span(b.Interval.End), Every: span(b.Interval.Frequency)}
		if hour := span(b.Hour); hour > 0 && hour < 24*time.Hour { // which means nothing, and is given back
			t.At = hour
		}
	case b.Execution.Name == "INTERVAL":
		return invalid("interval must be set.")
	case b.Execution.Name != "TIME" && b.Execution.Name != "":
		return invalid("executionType must be TIME or INTERVAL.")
	case !b.Hour.set:
		return invalid("hour must be set, in milliseconds after midnight UTC.")
	default:
		t.At = span(b.Hour)
	}
	if t.Days, err = wordsOf[time.Weekday](b.Days, dayNames, 0, "daysOfWeek"); err != nil {
		return s, err
	}
	if t.Months, err = wordsOf[time.Month](b.Months, monthNames, 0, "months"); err != nil {
		return s, err
	}
	t.Occurrences, err = wordsOf[int](b.Occurrences, timesNames, -1, "dayOfWeekOccurrences")
	return s, err
}

type scheduleView struct {
	GUID        string        `json:"guid"`
	Name        string        `json:"name"`
	Active      bool          `json:"active"`
	Type        enum          `json:"type"`
	BackupType  *enum         `json:"backupType,omitempty"`
	Execution   enum          `json:"executionType"`
	Hour        int64         `json:"hour"`              // always, as the next:
	Window      int64         `json:"startWindowLength"` // one generation of clients reckons with them
	Interval    *intervalView `json:"interval,omitempty"`
	Days        []enum        `json:"daysOfWeek"`
	Months      []enum        `json:"months"`
	Occurrences []enum        `json:"dayOfWeekOccurrences"`
	Rules       []ref         `json:"rules"`
	LastRun     *int64        `json:"lastRun,omitempty"`
	NextRun     *int64        `json:"nextRun,omitempty"`
	TenantID    string        `json:"tenantId,omitempty"`
}

type intervalView struct {
	Start     int64 `json:"startHour"`
	End       int64 `json:"endHour"`
	Frequency int64 `json:"frequency"`
}

func viewOfSchedule(s service.ScheduleView) scheduleView {
	t := s.Is.Times
	v := scheduleView{
		GUID: s.ID, Name: s.Name, Active: s.Active, Type: scheduleType(s.Kind),
		Execution: enumOf("TIME"), Hour: t.At.Milliseconds(), Window: s.Is.Window.Milliseconds(), LastRun: millis(s.LastRun), NextRun: millis(s.NextDue), TenantID: s.ProjectID,
		Days: each(t.Days, func(d time.Weekday) enum { return enumOf(dayNames[d]) }), Months: each(t.Months, func(m time.Month) enum { return enumOf(monthNames[m]) }),
		Occurrences: each(t.Occurrences, func(o int) enum { return enumOf(timesNames[o+1]) }),
		Rules:       each(s.Rules, func(e service.Entity) ref { return ref{e.ID, e.Name} }),
	}
	if s.Kind == stowage.PolicyBackup {
		v.BackupType = maybeEnum(backupType(s.Is.Full))
	}
	if i := t.Interval; i != nil {
		v.Execution = enumOf("INTERVAL")
		v.Interval = &intervalView{i.From.Milliseconds(), i.To.Milliseconds(), i.Every.Milliseconds()}
	}
	return v
}

func (a *API) saveSchedule(w http.ResponseWriter, r request, guid string) error {
	var body scheduleBody
	if err := r.read(&body); err != nil {
		return err
	}
	owner, was, active := "", stowage.PolicyBackup, true
	if guid == "" {
		var err error
		if r, owner, err = r.owner(string(body.TenantID), string(body.Project)); err != nil {
			return err
		}
	} else {
		old, err := a.Service.Schedule(r.Context(), r.scope, guid)
		if err != nil {
			return err
		}
		was, active = old.Kind, old.Active
	}
	s, err := body.schedule(was)
	if err != nil {
		return err
	}
	if s.ID, s.ProjectID = guid, owner; body.Active == nil {
		s.Active = active
	}
	var rules *[]string
	if body.Rules != nil {
		list := guids(*body.Rules)
		rules = &list
	}
	made, err := a.Service.SaveSchedule(r.Context(), r.scope, s, rules)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, viewOfSchedule(made))
	return nil
}

func (a *API) createSchedule(w http.ResponseWriter, r request) error {
	return a.saveSchedule(w, r, "")
}

func (a *API) updateSchedule(w http.ResponseWriter, r request) error {
	return a.saveSchedule(w, r, r.guid())
}

func (a *API) schedule(w http.ResponseWriter, r request) error {
	s, err := a.Service.Schedule(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, viewOfSchedule(s))
	return nil
}

func (a *API) deleteSchedule(w http.ResponseWriter, r request) error {
	return done(w, a.Service.DeleteSchedule(r.Context(), r.scope, r.guid()))
}

var scheduleColumns = map[string]string{"name": "name", "active": "active", "lastRun": "last", "nextRun": "next"}

func (a *API) schedules(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, scheduleColumns)
	if err != nil {
		return err
	}
	f := db.ScheduleFilter{
		IDs: values(q, "guid"), Rules: values(q, "rules", "rule"), Policies: values(q, "policy", "backup-policy", "snapshot-policy"),
		Entities: values(q, "protected-entity", "virtual-machine"),
	}
	if types := enums(q, "type"); len(types) > 0 {
		for _, t := range types {
			if k := scheduleKinds[t]; k != "" {
				f.Kinds = append(f.Kinds, k)
			}
		}
		if len(f.Kinds) == 0 {
			f.IDs = []string{nobodys} // nothing else is scheduled
		}
	}
	list, total, err := a.Service.Schedules(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(list, viewOfSchedule), total)
	return nil
}
