package vendor

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/service"
)

// What is said of keeping a backup. The word for nothing is the vendor's own.
const standardRetention = "STANDARD_RETENTION"

func hint(m stowage.RetentionMark) enum { return enumOf(orText(string(m), standardRetention)) }

// markBody is a mark as clients send it: often a whole location, whose guid is the
// backup's.
type markBody struct {
	GUID   text   `json:"guid"`
	Backup ref    `json:"backup"`
	Hint   enum   `json:"retentionHint"`
	Until  number `json:"archiveExpire"`
}

// marks reads an array of them.
func (r request) marks() ([]service.MarkWish, error) {
	body, err := api.ReadBody(r.Request)
	if err != nil {
		return nil, err
	}
	var list several[markBody]
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, stowage.Wrap(stowage.Invalid, err, "The request body must be an array of backups with their retentionHint.")
	}
	if len(list) > maxListed {
		return nil, stowage.Errorf(stowage.Invalid, "%d backups at most can be marked at once.", maxListed)
	}
	var out []service.MarkWish
	seen := map[string]bool{}
	for _, m := range list {
		if m.Until.n < 0 || m.Until.n > maxMillis {
			return nil, stowage.Errorf(stowage.Invalid, "archiveExpire must be a time in milliseconds.")
		}
		w := service.MarkWish{UUID: orText(m.Backup.GUID, string(m.GUID)), Mark: stowage.RetentionMark(m.Hint.Name), Until: fromMillis(m.Until)}
		if w.Mark == standardRetention {
			w.Mark = stowage.MarkStandard
		} else if w.Mark == "" {
			return nil, stowage.Errorf(stowage.Invalid, "retentionHint must be set.")
		}
		if !seen[w.UUID] {
			out = append(out, w)
		}
		seen[w.UUID] = true
	}
	return out, nil
}

type markView struct {
	GUID          string `json:"guid"`
	Backup        ref    `json:"backup"`
	Destination   *ref   `json:"backupDestination"`
	Role          enum   `json:"roleType"`
	Type          *enum  `json:"type,omitempty"`
	PreviousType  *enum  `json:"previousType,omitempty"`
	PreviousHint  enum   `json:"previousHint"`
	Hint          enum   `json:"retentionHint"`
	PreviousUntil *int64 `json:"previousArchiveExpire,omitempty"`
	Until         *int64 `json:"archiveExpire,omitempty"`
}

func viewOfMark(m service.Marked) markView {
	l := locationView(m.Point)
	return markView{
		GUID: l.GUID, Backup: l.Backup, Destination: l.Destination, Role: l.Role, Type: l.Type, PreviousType: l.Type,
		PreviousHint: hint(m.Point.Mark), Hint: hint(m.Mark), PreviousUntil: millis(m.RetainUntil), Until: millis(m.Until),
	}
}

func (a *API) previewMarks(w http.ResponseWriter, r request) error {
	marks, err := r.marks()
	if err != nil {
		return err
	}
	list, err := a.Service.PreviewMarks(r.Context(), r.scope, marks)
	if err != nil {
		return err
	}
	respond(w, each(list, viewOfMark), len(list))
	return nil
}

func (a *API) markBackups(w http.ResponseWriter, r request) error {
	marks, err := r.marks()
	if err != nil {
		return err
	}
	list, err := a.Service.MarkBackups(r.Context(), api.User(r.Request, r.caller), r.scope, marks)
	if err != nil {
		return err
	}
	respond(w, each(list, viewOfMark), len(list))
	return nil
}

// runView is a run of a schedule: of our own, the vendor has none.
type runView struct {
	GUID      string      `json:"guid"`
	Due       int64       `json:"dueTime"`
	WindowEnd *int64      `json:"windowEnd,omitempty"`
	State     enum        `json:"state"`
	Begun     *int64      `json:"startTime,omitempty"`
	Ended     *int64      `json:"finishTime,omitempty"`
	Entries   []entryView `json:"entities"`
}

type entryView struct {
	Entity *entityRef `json:"protectedEntity"`
	State  enum       `json:"state"`
	Info   string     `json:"statusInfo,omitempty"`
	Policy ref        `json:"vmBackupPolicy"`
	Task   *ref       `json:"task,omitempty"`
}

func (a *API) runs(w http.ResponseWriter, r request) error {
	p, err := page(r.URL.Query(), nil)
	if err != nil {
		return err
	}
	p.Limit = min(p.Limit, 100) // each has its entities with it
	list, total, err := a.Service.Runs(r.Context(), r.scope, r.guid(), p)
	if err != nil {
		return err
	}
	respond(w, each(list, viewOfRun), total)
	return nil
}

func viewOfRun(r service.RunView) runView {
	v := runView{
		GUID: r.ScheduleID + "." + r.Due.UTC().Format(time.RFC3339), Due: r.Due.UnixMilli(), WindowEnd: millis(r.WindowEnd),
		State: enumOf(strings.ToUpper(string(r.State))), Ended: millis(r.EndedAt), Entries: []entryView{},
	}
	if r.State != stowage.RunMissed {
		v.Begun = millis(r.CreatedAt)
	}
	for _, e := range r.Entries {
		one := entryView{Entity: entityTo(e.Entity), State: enumOf(strings.ToUpper(string(e.State))), Info: e.Reason, Policy: ref{e.PolicyID, e.PolicyID}}
		if e.State == stowage.EntryBegun {
			one.Task = refTo(e.JobID, "")
		}
		v.Entries = append(v.Entries, one)
	}
	return v
}
