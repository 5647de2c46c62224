package vendor

import (
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/service"
)

// entityRef is a protected entity; stand-alone volumes are of type VM, too,
// since no client knows another that would fit.
type entityRef struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
	Type enum   `json:"type"`
}

func entityTo(e service.Entity) *entityRef {
	if e.ID == "" {
		return nil
	}
	if e.Name == "" {
		e.Name = e.ID
	}
	return &entityRef{e.ID, e.Name, enumOf("VM")}
}

type task struct {
	GUID        string     `json:"guid"`
	State       enum       `json:"state"`
	Type        enum       `json:"type"`
	Progress    int        `json:"progress"`
	Priority    int        `json:"priority"`
	BackupType  *enum      `json:"backupType,omitempty"`
	WindowStart *int64     `json:"windowStart,omitempty"`
	WindowEnd   *int64     `json:"windowEnd,omitempty"`
	Created     *int64     `json:"creationTime,omitempty"`
	Started     *int64     `json:"startTime,omitempty"`
	Finished    *int64     `json:"finishTime,omitempty"`
	Entity      *entityRef `json:"protectedEntity,omitempty"`
	EntityName  string     `json:"protectedEntityDisplayName,omitempty"`
	Target      *entityRef `json:"dstProtectedEntity,omitempty"`
	Node        *ref       `json:"node,omitempty"`
	Manager     *ref       `json:"hypervisorManager,omitempty"`
	Destination *ref       `json:"backupDestination,omitempty"`
	Backup      *ref       `json:"backup,omitempty"`
	Origin      *entityRef `json:"originEntity,omitempty"`
	StatusInfo  string     `json:"statusInfo,omitempty"`
	Parent      *ref       `json:"parentTask,omitempty"`
	Execution   *ref       `json:"workflowExecution,omitempty"`
	RestoreType *enum      `json:"restoreType,omitempty"`
	TenantID    string     `json:"tenantId,omitempty"`
	RetryCount  int        `json:"retryCount"`
}

func (a *API) taskViews(r request, tasks []service.Task) []task {
	return each(tasks, func(t service.Task) task { return a.taskView(r, t) })
}

func (a *API) taskView(r request, t service.Task) task {
	v := task{
		GUID: t.ID, State: enumOf(taskStates[t.State]), Type: enumOf(taskTypes[t.Kind]), Progress: t.Percent, Priority: t.Priority,
		WindowStart: millis(t.WindowStart), WindowEnd: millis(t.WindowEnd), Created: millis(t.CreatedAt), Started: millis(t.StartedAt),
		Finished: millis(t.FinishedAt), Entity: entityTo(t.Entity), Target: entityTo(t.Target),
		Manager: a.managerRef(), Origin: origin(t), StatusInfo: t.Error, Execution: refTo(orText(t.ParentID, t.ID), taskTypes[t.Kind]), Parent: refTo(t.ParentID, ""),
		TenantID: t.ProjectID, RetryCount: t.Failures,
	}
	if r.integration { // managers are the operator's business
		v.Node = refTo(t.Host, t.Host)
	}
	if v.Entity != nil {
		v.EntityName = v.Entity.Name
	}
	if b := t.Backup; b != nil {
		v.Backup = refTo(b.UUID, b.Name)
		v.Destination = destinationRef(b.ProjectID, b.Container)
	}
	switch t.Kind {
	case stowage.JobBackup, stowage.JobExport:
		v.BackupType = maybeEnum(backupType(t.Params.Full || t.Backup != nil && t.State == stowage.JobFinished && !t.Backup.Incremental))
	case stowage.JobRestore, stowage.JobImport:
		v.RestoreType = maybeEnum(restoreType(t))
	case stowage.JobMount:
		v.RestoreType = maybeEnum("RESTORE_AND_MOUNT")
	}
	return v
}

// restoreType is whether a server is built behind a restore.
func restoreType(t service.Task) string {
	if plan := t.Params.Rebuild; plan != nil && !plan.VolumesOnly {
		return "RESTORE_AND_IMPORT"
	}
	return "RESTORE"
}

func backupType(full bool) string {
	if full {
		return "FULL"
	}
	return "INCREMENTAL"
}

// origin is who asked for a task: a schedule, a user, or the service itself.
func origin(t service.Task) *entityRef { return originOf(t.Schedule, t.UserID) }

func originOf(schedule service.Entity, userID string) *entityRef {
	if schedule.ID != "" {
		return &entityRef{schedule.ID, orText(schedule.Name, schedule.ID), enumOf("SCHEDULE")}
	}
	if userID == "" {
		return &entityRef{"system", "system", enumOf("SYSTEM_SCHEDULE")}
	}
	return &entityRef{userID, userID, enumOf("USER")}
}

type execution struct {
	GUID         string     `json:"guid"`
	State        enum       `json:"state"`
	Definition   enum       `json:"definitionName"`
	Progress     int        `json:"averageProgress"`
	Step         enum       `json:"currentStep"`
	Entity       *entityRef `json:"protectedEntity,omitempty"`
	Destinations []ref      `json:"backupDestinations"`
	Origin       *entityRef `json:"originEntity,omitempty"`
	Priority     int        `json:"priority"`
	Started      *int64     `json:"startTime,omitempty"`
	Finished     *int64     `json:"finishTime,omitempty"`
}

func (a *API) executionView(first service.Task, follower *service.Task) execution {
	t := first
	if follower != nil {
		t = *follower
	}
	state := taskStates[t.State]
	if t.State == stowage.JobQueued {
		state = "RUNNING" // there is none for what has not begun
	}
	v := execution{
		GUID: first.ID, State: enumOf(state), Definition: enumOf(taskTypes[first.Kind]), Progress: t.Percent, Step: enumOf(taskTypes[t.Kind]),
		Entity: entityTo(first.Entity), Destinations: []ref{}, Origin: origin(first), Priority: first.Priority,
		Started: millis(first.StartedAt), Finished: millis(t.FinishedAt),
	}
	if b := first.Backup; b != nil {
		v.Destinations = append(v.Destinations, *destinationRef(b.ProjectID, b.Container))
	}
	return v
}

// taskTimes tells how long the parts of a job took. Of a volume, storing is part of
// exporting.
type taskTimes struct {
	QueuedExport int64 `json:"queuedExportTime"`
	Export       int64 `json:"exportTime"`
	QueuedStore  int64 `json:"queuedStoreTime"`
	Store        int64 `json:"storeTime"`
}

type restoreTimes struct {
	Queued  int64 `json:"queuedRestoreTime"`
	Restore int64 `json:"restoreTime"`
}

type restoreJob struct {
	GUID        string        `json:"guid"`
	RestoreTime *int64        `json:"restoreTime,omitempty"`
	Backup      *restoredFrom `json:"backup,omitempty"`
	Entity      *entityRef    `json:"protectedEntity,omitempty"`
	Target      *entityRef    `json:"dstProtectedEntity,omitempty"`
	Status      enum          `json:"status"`
	StatusInfo  string        `json:"statusInfo,omitempty"`
	RestoreType enum          `json:"restoreType"`
	Times       restoreTimes  `json:"taskTimeStats"`
}

type restoredFrom struct {
	GUID         string `json:"guid"`
	Name         string `json:"name"`
	SnapshotTime *int64 `json:"snapshotTime,omitempty"`
	Size         int64  `json:"size"`
}

func restoreJobView(t service.Task) restoreJob {
	v := restoreJob{
		GUID: t.ID, RestoreTime: millis(t.CreatedAt), Entity: entityTo(t.Entity), Target: entityTo(t.Target),
		Status: enumOf(restoreStates[t.State]), StatusInfo: t.Error, RestoreType: enumOf(restoreType(t)),
		Times: restoreTimes{between(t.CreatedAt, t.StartedAt), between(t.StartedAt, t.FinishedAt)},
	}
	if b := t.Backup; b != nil {
		v.Backup = &restoredFrom{b.UUID, backupName(b.Name, b.UUID), millis(b.SnapshotAt), b.VolumeBytes}
	}
	return v
}

// between is how many milliseconds passed; 0 while one end is not there.
func between(from, to time.Time) int64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return max(0, to.Sub(from).Milliseconds())
}
