package vendor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/report"
	"github.com/stowage/stowage/service"
)

// protectedView counts what is protected. Only virtual machines there are.
type protectedView struct {
	Protected   int `json:"protectedNo"`
	Unprotected int `json:"notProtected"`
	Unscheduled int `json:"noSchedule"`
}

type protection struct {
	VM       protectedView `json:"vm"`
	All      protectedView `json:"allEntities"`
	App      protectedView `json:"app"`
	Storage  protectedView `json:"storage"`
	Cloud    protectedView `json:"cloud"`
	OS       protectedView `json:"os"`
	Endpoint protectedView `json:"endpoint"`
}

func (a *API) protection(w http.ResponseWriter, r request) error {
	c, err := a.Service.Protection(r.Context(), r.scope)
	if err != nil {
		return err
	}
	all := protectedView{c.Secured, c.Unsecured, c.Unscheduled}
	api.WriteJSON(w, http.StatusOK, protection{VM: all, All: all})
	return nil
}

type backupStats struct {
	Failed     int    `json:"failed"`
	InProgress int    `json:"inProgress"`
	Queued     int    `json:"queued"`
	Successful int    `json:"successful"`
	TotalData  string `json:"totalData"`
}

// backupStats are those of the last day: what failed before was told then.
func (a *API) backupStats(w http.ResponseWriter, r request) error {
	now := a.Server.Now()
	backups, _, err := a.Service.Outcomes(r.Context(), r.scope, db.Span{From: now.Add(-24 * time.Hour), To: now})
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, backupStats{backups.Failed, backups.InProgress, backups.Queued, backups.Successful, report.Size(backups.Bytes)})
	return nil
}

// activeDays is how many days the activity chart of clients has: they count the
// values, and put their own dates to them.
const activeDays = 15

// days is an object with a key a day, in order: clients take its values as they come.
type days []struct {
	day   string
	bytes int64
}

// MarshalJSON keeps the order.
func (d days) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(one.day)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.WriteString(strconv.FormatInt(one.bytes, 10))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

type sizeStats struct {
	Backups  days `json:"backupSizeStatsResponses"`
	Restores days `json:"restoreSizeStatsResponses"`
}

func (a *API) sizeStats(w http.ResponseWriter, r request) error {
	list, err := a.Service.Activity(r.Context(), r.scope, activeDays)
	if err != nil {
		return err
	}
	backups, restores := make(days, len(list)), make(days, len(list))
	for i, d := range list {
		backups[i].day, restores[i].day = d.Day.Format(time.DateOnly), d.Day.Format(time.DateOnly)
		backups[i].bytes, restores[i].bytes = d.Backups, d.Restores
	}
	api.WriteJSON(w, http.StatusOK, sizeStats{backups, restores})
	return nil
}

type destinationStats struct {
	Used         int64               `json:"totalUsedSpace"`
	Available    int64               `json:"totalAvailableSpace"` // used or not; 0: no bound is known
	Destinations []backupDestination `json:"backupDestinations"`
}

func (a *API) destinationStats(w http.ResponseWriter, r request) error {
	list, err := a.Service.Destinations(r.Context(), r.scope)
	if err != nil {
		return err
	}
	list = list[:min(len(list), most)]
	v := destinationStats{Destinations: each(a.Service.Spaces(r.Context(), api.User(r.Request, r.caller), list), destinationView)}
	bounded := true
	for _, d := range v.Destinations {
		v.Used += d.Used
		v.Available += d.Available
		bounded = bounded && d.Available > 0
	}
	if !bounded {
		v.Available = 0 // a sum of some would look as if the others took up its room
	}
	api.WriteJSON(w, http.StatusOK, v)
	return nil
}

// spanOf reads from and to.
func spanOf(r request) (db.Span, error) {
	q := r.URL.Query()
	s := db.Span{From: timeOf(q, "from"), To: timeOf(q, "to")}
	if !s.From.IsZero() && !s.To.IsZero() && s.To.Before(s.From) {
		return s, stowage.Errorf(stowage.Invalid, "to must not be before from.")
	}
	return s, nil
}

// reportWish reads what a report is to be about: the last day if nothing is said.
func (a *API) reportWish(r request) (service.ReportWish, error) {
	span, err := spanOf(r)
	if err != nil {
		return service.ReportWish{}, err
	}
	if span.To.IsZero() {
		span.To = a.Server.Now()
	}
	if span.From.IsZero() {
		span.From = span.To.Add(-24 * time.Hour)
	}
	wish := service.ReportWish{Span: span}
	if t := enums(r.URL.Query(), "protectedEntityType", "protected-entity-type"); len(t) > 0 && t[0] != "VM" {
		wish.Policy = nobodys
	}
	return wish, nil
}

type reportRow struct {
	EntityGUID string `json:"protectedEntityGuid,omitempty"`
	Entity     string `json:"protectedEntity"`
	Policy     string `json:"policy"`
	Snapshot   *int64 `json:"snapshotTime,omitempty"`
	Restore    *int64 `json:"restoreTime,omitempty"`
	Size       int64  `json:"size"`
	Type       string `json:"type"`
	Status     enum   `json:"status"`
	StatusInfo string `json:"statusInfo"`
}

type reportSection struct {
	Successful int         `json:"successful"`
	InProgress int         `json:"inProgress"`
	Queued     int         `json:"queued"`
	Failed     int         `json:"failed"`
	Total      int         `json:"total"`
	TotalData  string      `json:"totalData"`
	Elements   []reportRow `json:"elements"`
}

var reportStatuses = map[report.Status]string{
	report.Queued: "QUEUED", report.InProgress: "INPROGRESS", report.Success: "SUCCESS", report.Removed: "SUCCESS_REMOVED", report.Failed: "FAILED",
}

type reportView struct {
	Backups  reportSection `json:"backups"`
	Restores reportSection `json:"restores"`
}

func sectionView(s report.Section, restores bool) reportSection {
	return reportSection{
		s.Successful, s.InProgress, s.Queued, s.Failed, s.Total(), report.Size(s.Bytes), each(s.Rows, func(r report.Row) reportRow {
			v := reportRow{EntityGUID: r.EntityID, Entity: r.Entity, Policy: r.Policy, Size: r.Bytes, Type: r.Type, StatusInfo: r.Info,
				Status: enumOf(reportStatuses[r.Status])}
			if restores {
				v.Restore = millis(r.At)
			} else {
				v.Snapshot = millis(r.At)
			}
			return v
		}),
	}
}

func (a *API) report(w http.ResponseWriter, r request) error {
	wish, err := a.reportWish(r)
	if err != nil {
		return err
	}
	made, err := a.Service.Report(r.Context(), r.scope, wish)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, reportView{sectionView(made.Backups, false), sectionView(made.Restores, true)})
	return nil
}

// reportBody is what a report in another form is to have besides, and who gets it.
type reportBody struct {
	BackupSize   *chargeBody   `json:"backupSize"`
	TransferSize *chargeBody   `json:"transferSize"`
	Value        several[text] `json:"value"`
}

// wholeReport reads what a report in another form is to be about.
func (a *API) wholeReport(r request) (service.ReportWish, []string, error) {
	wish, err := a.reportWish(r)
	if err != nil {
		return wish, nil, err
	}
	var body reportBody
	if err := r.read(&body); err != nil {
		return wish, nil, err
	}
	for _, c := range []struct {
		body  *chargeBody
		moved bool
	}{{body.BackupSize, false}, {body.TransferSize, true}} {
		if c.body == nil || !given(string(c.body.GroupBy)) {
			continue
		}
		charge, err := a.chargeWish(r, *c.body, wish.Span, c.moved)
		if err != nil {
			return wish, nil, err
		}
		wish.Charts = append(wish.Charts, charge)
	}
	var typed []string
	for _, v := range body.Value {
		typed = append(typed, string(v))
	}
	return wish, typed, nil
}

// reportFile answers with the report as a file.
func reportFile(kind, ending string, write func(report.Report) ([]byte, error)) func(*API, http.ResponseWriter, request) error {
	return func(a *API, w http.ResponseWriter, r request) error {
		wish, _, err := a.wholeReport(r)
		if err != nil {
			return err
		}
		made, err := a.Service.Report(r.Context(), r.scope, wish)
		if err != nil {
			return err
		}
		file, err := write(made)
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", `attachment; filename="`+report.FileName(made)+ending+`"`)
		h.Set("Content-Length", strconv.Itoa(len(file)))
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(file) // whoever hung up does not want it
		return nil
	}
}

func (a *API) reportMail(w http.ResponseWriter, r request) error {
	wish, typed, err := a.wholeReport(r)
	if err != nil {
		return err
	}
	return done(w, a.Service.MailReport(r.Context(), r.scope, wish, typed...))
}
