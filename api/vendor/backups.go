package vendor

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// backupStatuses are the model's for each of the vendor's.
var backupStatuses = map[string][]stowage.BackupStatus{
	"QUEUED": {stowage.BackupCreating}, "INPROGRESS": {stowage.BackupCreating},
	"SUCCESS": {stowage.BackupAvailable, stowage.BackupRestoring}, "FAILED": {stowage.BackupError},
	"SUCCESS_REMOVED": {stowage.BackupDeleting},
	// Of locations.
	"IN_PROGRESS": {stowage.BackupCreating}, "PRESENT": {stowage.BackupAvailable, stowage.BackupRestoring},
	"REMOVED": {stowage.BackupDeleting},
}

var backupColumns = map[string]string{
	"backupTime": "time", "snapshotTime": "time", "backup.snapshotTime": "time", "size": "size", "status": "status", "name": "name",
}

// timeOf reads a parameter in milliseconds.
func timeOf(q url.Values, name string) time.Time {
	f, err := strconv.ParseFloat(value(q, name), 64)
	if err != nil || f < 0 || f > maxMillis || f == 0 && name == "to" { // for which some send 0 when they mean none
		return time.Time{}
	}
	return time.UnixMilli(int64(f)).UTC()
}

// maxMillis is the end of the year 9999: what is later is no time.
const maxMillis = 253402300799999

func historyFilter(r request, q url.Values) db.HistoryFilter {
	f := db.HistoryFilter{
		UUID: value(q, "backup"), Entities: values(q, "protected-entity", "protectedEntity", "virtual-machine"),
		Since: timeOf(q, "from"), Until: timeOf(q, "to"),
	}
	// A volume's backup that is part of a server's is told of where that volume, or
	// that backup, is asked for.
	f.Alone = f.UUID == "" && len(f.Entities) == 0
	for _, name := range enums(q, "status", "location-status") {
		f.Statuses = append(f.Statuses, backupStatuses[name]...)
		if backupStatuses[name] == nil {
			f.Statuses = append(f.Statuses, nobodys)
		}
	}
	if n, err := readNumber(value(q, "min-size")); err == nil {
		f.MinBytes = n.n
	}
	kinds := enums(q, "type")
	full, incremental := slices.Contains(kinds, "FULL"), slices.Contains(kinds, "INCREMENTAL")
	switch {
	case full != incremental:
		f.Incremental = &incremental
	case len(kinds) > 0 && !full:
		f.UUID = nobodys
	}
	if d := value(q, "backup-destination"); d != "" {
		if f.Project, f.Container = destination(d); f.Project == nobodys {
			f.Project = "" // a container of that name, of whatever project
		}
	}
	f.Schedule, f.Policies, f.Rule, f.Host = value(q, "schedule"), values(q, "backup-policy"), value(q, "backup-rule"), value(q, "node")
	if f.Host != "" && !r.integration { // managers are the operator's business
		f.UUID = nobodys
	}
	// A chain of backups is not there yet.
	for _, name := range []string{"parent-backup", "root-backup", "hypervisor"} {
		if value(q, name) != "" {
			f.UUID = nobodys
		}
	}
	f.Mountable = value(q, "only-mountable") == "true"
	if value(q, "hypervisor-manager") != "" && value(q, "hypervisor-manager") != managerGUID {
		f.UUID = nobodys
	}
	if t := enums(q, "protected-entity-type"); len(t) > 0 && t[0] != "VM" {
		f.UUID = nobodys
	}
	return f
}

// history answers with a page of backups in one of the forms clients want.
func history[V any](a *API, w http.ResponseWriter, r request, change func(*db.HistoryFilter), view func(service.Point) V) error {
	q := r.URL.Query()
	p, err := page(q, backupColumns)
	if err != nil {
		return err
	}
	f := historyFilter(r, q)
	if change != nil {
		change(&f)
	}
	points, total, err := a.Service.History(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(points, view), total)
	return nil
}

func (a *API) backups(w http.ResponseWriter, r request) error {
	return history(a, w, r, nil, backupView)
}

func (a *API) locations(w http.ResponseWriter, r request) error {
	return history(a, w, r, nil, locationView)
}

// restorable are the locations that something can be restored from.
func (a *API) restorable(w http.ResponseWriter, r request) error {
	return history(a, w, r, func(f *db.HistoryFilter) { f.Statuses = backupStatuses["SUCCESS"] }, locationView)
}

func (a *API) backup(w http.ResponseWriter, r request) error {
	p, err := a.Service.Point(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, backupView(p))
	return nil
}

type (
	textBody struct {
		Value text `json:"value"`
	}
	truthBody struct {
		Value truth `json:"value"`
	}
)

// describe and acknowledge read a value and write it on a backup.
func (a *API) describe(w http.ResponseWriter, r request) error {
	var body textBody
	if err := r.read(&body); err != nil {
		return err
	}
	if len([]rune(body.Value)) > 255 {
		return stowage.Errorf(stowage.Invalid, "The description has more than 255 characters.")
	}
	if err := a.Service.Describe(r.Context(), r.scope, r.guid(), string(body.Value)); err != nil {
		return err
	}
	return a.backup(w, r)
}

func (a *API) acknowledge(w http.ResponseWriter, r request) error {
	var body truthBody
	if err := r.read(&body); err != nil {
		return err
	}
	if err := a.Service.Acknowledge(r.Context(), r.scope, r.guid(), bool(body.Value)); err != nil {
		return err
	}
	return a.backup(w, r)
}

// files are the disks that a backup holds: of a volume, the one; of a server, one for
// each of its volumes that was backed up.
func (a *API) files(w http.ResponseWriter, r request) error {
	uuid := value(r.URL.Query(), "backup")
	if uuid == "" {
		return stowage.Errorf(stowage.Invalid, "backup must be set.")
	}
	p, err := a.Service.Point(r.Context(), r.scope, uuid)
	if err != nil {
		return err
	}
	points := []service.Point{p}
	if p.Kind == stowage.OfServer {
		if points, err = a.Service.Parts(r.Context(), p.Backup); err != nil {
			return err
		}
	}
	files := []backupFile{}
	for _, one := range points {
		if made(one) {
			files = append(files, fileView(one))
		}
	}
	respond(w, files, len(files))
	return nil
}
