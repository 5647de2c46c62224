package vendor

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// Kinds and states of jobs, in the vendor's words. What is one task of his that
// is followed by another of the kind STORE is one job here: it has stored once
// it has finished.
var (
	taskTypes = map[stowage.JobKind]string{
		stowage.JobBackup: "EXPORT", stowage.JobExport: "EXPORT", stowage.JobStore: "STORE", stowage.JobImport: "IMPORT",
		stowage.JobRecovery: "RECOVERY_PLAN",
		stowage.JobRestore:  "RESTORE", stowage.JobDelete: "DELETE", stowage.JobInventory: "INVENTORY_SYNC",
		stowage.JobCleanup: "BACKUP_CLEANUP", stowage.JobMount: "MOUNT", stowage.JobUnmount: "UNMOUNT",
		stowage.JobSnapshot: "SNAPSHOT", stowage.JobSnapshotCleanup: "SNAPSHOT_CLEANUP",
	}
	taskStates = map[stowage.JobState]string{
		stowage.JobQueued: "QUEUED", stowage.JobRunning: "RUNNING", stowage.JobFinished: "FINISHED",
		stowage.JobFailed: "FAILED", stowage.JobCancelled: "CANCELLED",
	}
	// What types were called before.
	oldTypes = map[string]string{"INDEX": "INVENTORY_SYNC", "OLD_BACKUPS_REMOVAL": "BACKUP_CLEANUP", "OLD_SNAPSHOTS_REMOVAL": "SNAPSHOT_CLEANUP"}
)

// nobodys is a value that nothing has, for a filter whose value nobody knows: it
// finds nothing, where an empty one would find all.
const nobodys = "-"

// known translates names into those of the model.
func known[T ~string](names []string, words map[T]string) []T {
	var out []T
	for _, name := range names {
		if now, old := oldTypes[name]; old {
			name = now
		}
		for value, word := range words {
			if word == name {
				out = append(out, value)
			}
		}
	}
	if len(names) > 0 && len(out) == 0 {
		return []T{nobodys}
	}
	return out
}

// shown gives what is shown by a name or a description that has a text in it.
func shown[T ~string](text string, words map[T]string) []T {
	var out []T
	for value, word := range words {
		e := enumOf(word)
		if text != "" && (strings.Contains(e.Name, strings.ToUpper(text)) || strings.Contains(strings.ToLower(e.Description), strings.ToLower(text))) {
			out = append(out, value)
		}
	}
	return out
}

// taskColumns are what tasks can be ordered by.
var taskColumns = map[string]string{
	"state": "state", "type": "kind", "priority": "priority", "startTime": "started", "finishTime": "finished",
	"creationTime": "created", "progress": "progress", "step": "kind",
	"originEntity": "origin",
}

var restoreColumns = map[string]string{"restoreTime": "created", "status": "state"}

// taskFilter reads what a list of tasks is narrowed by, and which states and types its
// free text finds.
func taskFilter(r request, q url.Values, text string) db.TaskFilter {
	f := db.TaskFilter{
		Flow:     value(q, "workflow-execution"),
		Entities: values(q, "protected-entity", "protectedEntity", "virtual-machine"),
		States:   known(enums(q, "state", "states"), taskStates),
		Kinds:    known(enums(q, "type", "types"), taskTypes),
		Backup:   value(q, "backup"), Parent: value(q, "parent-task", "parentTask"),
		Host:  value(q, "node"),
		Since: timeOf(q, "from"), Until: timeOf(q, "to"),
		TextStates: shown(text, taskStates), TextKinds: shown(text, taskTypes),
	}
	if job := value(q, "restore-job"); job != "" {
		f.ID = job
	}
	if d := value(q, "backup-destination", "backupDestination"); d != "" {
		f.Project, f.Into = destination(d)
	}
	// Tasks of these are none of ours yet; of another hypervisor manager, never.
	f.Schedule, f.Policy, f.Rule = value(q, "schedule"), value(q, "backup-policy", "snapshot-policy"), value(q, "backup-rule", "snapshot-rule")
	for _, name := range []string{"mounted-backup-assigned", "hypervisor"} {
		if value(q, name) != "" {
			f.ID = nobodys
		}
	}
	if m := value(q, "hypervisor-manager"); m != "" && m != managerGUID {
		f.ID = nobodys
	}
	if f.Host != "" && !r.integration { // managers are the operator's business
		f.ID = nobodys
	}
	return f
}

// taskPage is a page of tasks, which have no names of their own: they are found by those of
// what they are about.
func taskPage(q url.Values, columns map[string]string) (db.Page, error) {
	p, err := page(q, columns)
	p.Filter = orText(p.Filter, p.Name)
	return p, err
}

func (a *API) tasks(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := taskPage(q, taskColumns)
	if err != nil {
		return err
	}
	tasks, total, err := a.Service.Tasks(r.Context(), r.scope, taskFilter(r, q, p.Filter), p)
	if err != nil {
		return err
	}
	respond(w, a.taskViews(r, tasks), total)
	return nil
}

// each makes views.
func each[T, V any](items []T, view func(T) V) []V {
	out := make([]V, len(items))
	for i, item := range items {
		out[i] = view(item)
	}
	return out
}

func (a *API) task(w http.ResponseWriter, r request) error {
	t, err := a.Service.Task(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, a.taskView(r, t))
	return nil
}

// guid is the one in the path. One that cannot be read is nobody's.
func (r request) guid() string {
	guid, err := url.PathUnescape(mux.Vars(r.Request)["guid"])
	if err != nil || guid == "" {
		return nobodys
	}
	return guid
}

type stateBody struct {
	State      enum `json:"state"`
	StatusInfo text `json:"statusInfo"`
}

// taskState changes a task's state: to CANCELLED, as there is no other that
// anybody but a manager can bring about.
func (a *API) taskState(w http.ResponseWriter, r request) error {
	var body stateBody
	if err := r.read(&body); err != nil {
		return err
	}
	if !slices.Contains([]string{"CANCELLED", "CANCELED"}, body.State.Name) {
		return stowage.Errorf(stowage.Invalid, "A task can only be given the state CANCELLED.")
	}
	if err := a.Service.CancelTask(r.Context(), r.scope, r.guid(), strings.TrimSpace(string(body.StatusInfo))); err != nil {
		return err
	}
	return a.task(w, r)
}

func (a *API) hideTask(w http.ResponseWriter, r request) error {
	return done(w, a.Service.HideTask(r.Context(), r.scope, r.guid()))
}

// hideFlow takes off the list what has ended of a workflow. The rest goes on.
func (a *API) hideFlow(w http.ResponseWriter, r request) error {
	return done(w, a.Service.HideFlow(r.Context(), r.scope, r.guid()))
}

func (a *API) hideFinished(w http.ResponseWriter, r request) error {
	return done(w, a.Service.HideTasks(r.Context(), r.scope))
}

func (a *API) hideFinishedAndQueued(w http.ResponseWriter, r request) error {
	err := a.Service.CancelTasks(r.Context(), r.scope, stowage.JobQueued)
	if err == nil {
		err = a.Service.HideTasks(r.Context(), r.scope)
	}
	return done(w, err)
}

func (a *API) cancelRunning(w http.ResponseWriter, r request) error {
	return done(w, a.Service.CancelTasks(r.Context(), r.scope, stowage.JobRunning))
}

// done answers without a body, or passes the error on.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// executions are jobs with those that follow them: a workflow is where its last is.
func (a *API) executions(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := taskPage(q, taskColumns)
	if err != nil {
		return err
	}
	f := taskFilter(r, q, p.Filter)
	f.Roots = true
	tasks, total, err := a.Service.Tasks(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	last, err := a.Service.Followers(r.Context(), tasks)
	if err != nil {
		return err
	}
	respond(w, each(tasks, func(t service.Task) execution { return a.executionView(t, last[t.ID]) }), total)
	return nil
}

// restoreJobs are the jobs that restore.
func (a *API) restoreJobs(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := taskPage(q, restoreColumns)
	if err != nil {
		return err
	}
	f := taskFilter(r, q, p.Filter)
	f.Kinds = []stowage.JobKind{stowage.JobRestore}
	f.States, f.TextStates = nil, shown(p.Filter, restoreStates)
	for _, s := range enums(q, "status") {
		f.States = append(f.States, known([]string{s}, restoreStates)...)
	}
	tasks, total, err := a.Service.Tasks(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(tasks, restoreJobView), total)
	return nil
}

var restoreStates = map[stowage.JobState]string{
	stowage.JobQueued: "QUEUED", stowage.JobRunning: "INPROGRESS", stowage.JobFinished: "SUCCESS",
	stowage.JobFailed: "FAILED", stowage.JobCancelled: "FAILED",
}

// single is a task in an array: what most requests to do something answer.
func (a *API) single(w http.ResponseWriter, r request, tasks ...service.Task) {
	api.WriteJSON(w, http.StatusOK, a.taskViews(r, tasks))
}
