package vendor

import (
	"fmt"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/service"
)

type backup struct {
	GUID           string     `json:"guid"`
	Name           string     `json:"name"`
	Entity         *entityRef `json:"protectedEntity,omitempty"`
	BackupTime     *int64     `json:"backupTime,omitempty"`
	SnapshotTime   *int64     `json:"snapshotTime,omitempty"`
	Size           int64      `json:"size"`
	Status         enum       `json:"status"`
	StatusInfo     string     `json:"statusInfo,omitempty"`
	Type           *enum      `json:"type,omitempty"`
	Warned         bool       `json:"warningsPresent"`
	Warnings       []string   `json:"warnings"`
	Acknowledged   bool       `json:"warningsAcknowledged"`
	Project        *ref       `json:"sourceProject,omitempty"`
	Description    string     `json:"description,omitempty"`
	Locations      []location `json:"backupLocations"`
	Origin         *entityRef `json:"originEntity,omitempty"`
	Hidden         bool       `json:"hidden"`
	Rule           *ref       `json:"backupRule,omitempty"`
	ArchiveExpire  *int64     `json:"archiveExpire,omitempty"`
	ISCSI          bool       `json:"iscsiMountable"`
	Cards          []card     `json:"networkInterfaceCards"`
	Times          taskTimes  `json:"taskTimeStats"`
	Duration       int64      `json:"taskDurationTime"`
	ExportMode     enum       `json:"vmExportImportMode"`
	Progress       int        `json:"progress"`
	BytesPerSecond *int64     `json:"bytesPerSecond,omitempty"`
}

func backupView(p service.Point) backup {
	v := backup{
		GUID: p.UUID, Name: backupName(p.Name, p.UUID), Entity: entityTo(p.Entity), BackupTime: millis(p.CreatedAt),
		SnapshotTime: millis(p.SnapshotAt), Size: p.StoredBytes, Status: enumOf(backupStatus(p)), StatusInfo: p.FailReason,
		Warnings: []string{}, Acknowledged: p.Acknowledged, Project: refTo(p.ProjectID, p.Project), Description: p.Description,
		Locations: []location{locationView(p)}, Origin: originOf(p.Schedule, p.UserID), Cards: cards(p),
		ExportMode: enumOf("DEFAULT"), Progress: p.Percent, Rule: refTo(p.Rule.ID, p.Rule.Name), ArchiveExpire: millis(p.RetainUntil),
	}
	if p.Damaged != "" {
		v.Warned, v.Warnings = true, append(v.Warnings, p.Damaged)
	}
	if j := p.Made; j != nil && j.Params.Spread > farApart {
		v.Warned, v.Warnings = true, append(v.Warnings, fmt.Sprintf("The snapshots of its volumes are up to %s apart.", j.Params.Spread.Round(time.Millisecond)))
	}
	if p.Server != nil {
		for _, d := range p.Server.Disks {
			if d.Left != "" {
				v.Warned, v.Warnings = true, append(v.Warnings, fmt.Sprintf("Volume %s (%s) is not in it: %s", d.VolumeID, d.Device, d.Left))
			}
		}
	}
	if made(p) {
		v.Type = maybeEnum(backupType(!p.Incremental))
	}
	if p.Speed != nil {
		v.BytesPerSecond = &p.Speed.BytesPerSecond
	}
	if j := p.Made; j != nil {
		v.Times.QueuedExport, v.Times.Export = between(j.CreatedAt, j.StartedAt), between(j.StartedAt, j.FinishedAt)
	}
	if j := p.Stored; j != nil {
		v.Times.QueuedStore, v.Times.Store = between(j.CreatedAt, j.StartedAt), between(j.StartedAt, j.FinishedAt)
	}
	v.Duration = v.Times.QueuedExport + v.Times.Export + v.Times.QueuedStore + v.Times.Store
	return v
}

// card is a network interface of a server as it was.
type card struct {
	GUID    string `json:"guid"`
	UUID    string `json:"uuid"`
	Name    string `json:"name"`
	MAC     string `json:"macAddress,omitempty"`
	Network *ref   `json:"network"`
}

func cards(p service.Point) []card {
	list := []card{}
	if p.Server == nil {
		return list
	}
	for _, port := range p.Server.Ports {
		list = append(list, card{port.ID, port.ID, orText(port.MAC, port.ID), port.MAC, refTo(port.NetworkID, port.Network)})
	}
	return list
}

// farApart is how far snapshots of one server may be apart before it is worth a word.
const farApart = 5 * time.Second

// made reports whether there is something to restore.
func made(p service.Point) bool {
	return p.Status == stowage.BackupAvailable || p.Status == stowage.BackupRestoring
}

// backupName is never empty: clients show it.
func backupName(name, uuid string) string {
	if name == "" {
		return uuid
	}
	return name
}

func backupStatus(p service.Point) string {
	switch {
	case p.Status == stowage.BackupCreating && p.Made != nil && p.Made.State == stowage.JobQueued:
		return "QUEUED"
	case p.Status == stowage.BackupCreating:
		return "INPROGRESS"
	case p.Status == stowage.BackupDeleting:
		return "SUCCESS_REMOVED"
	case p.Status == stowage.BackupError:
		return "FAILED"
	}
	return "SUCCESS"
}

// location is where a backup is: each is in one place.
type location struct {
	GUID            string `json:"guid"`
	Backup          ref    `json:"backup"`
	SnapshotTime    *int64 `json:"snapshotTime,omitempty"`
	Size            int64  `json:"size"`
	Destination     *ref   `json:"backupDestination"`
	DestinationType enum   `json:"backupDestinationType"`
	Role            enum   `json:"roleType"`
	Status          enum   `json:"status"`
	Type            *enum  `json:"type,omitempty"`
	StatusInfo      string `json:"statusInfo,omitempty"`
	Retention       enum   `json:"retentionHint"`
	ArchiveExpire   *int64 `json:"archiveExpire,omitempty"`
}

var locationStatuses = map[stowage.BackupStatus]string{
	stowage.BackupCreating: "IN_PROGRESS", stowage.BackupAvailable: "PRESENT", stowage.BackupRestoring: "PRESENT",
	stowage.BackupDeleting: "REMOVED", stowage.BackupError: "FAILED",
}

func locationView(p service.Point) location {
	at := p.SnapshotAt
	if at.IsZero() {
		at = p.CreatedAt
	}
	v := location{
		GUID: p.UUID, Backup: ref{p.UUID, backupName(p.Name, p.UUID)}, SnapshotTime: millis(at), Size: p.StoredBytes,
		Destination: destinationRef(p.ProjectID, p.Container), DestinationType: destinationType(p.Directory), Role: enumOf("PRIMARY"),
		Status: enumOf(locationStatuses[p.Status]), StatusInfo: p.FailReason, Retention: hint(p.Mark), ArchiveExpire: millis(p.RetainUntil),
	}
	if made(p) {
		v.Type = maybeEnum(backupType(!p.Incremental))
	}
	return v
}

// backupFile is a disk in a backup.
type backupFile struct {
	GUID       string   `json:"guid"`
	Path       string   `json:"path"`
	Size       int64    `json:"size"`
	BackupTime *int64   `json:"backupTime,omitempty"`
	Type       enum     `json:"backupFileType"`
	Disk       fileDisk `json:"vmDisk"`
	StorageID  string   `json:"storageId,omitempty"`
	ISCSI      bool     `json:"iscsiMountable"`
	Format     enum     `json:"format"`
}

type fileDisk struct {
	GUID     string `json:"guid"`
	Name     string `json:"name"`
	Excluded bool   `json:"excludedFromBackup"`
	Storage  *ref   `json:"originalStorage,omitempty"`
}

func fileView(p service.Point) backupFile {
	kind := "DISK"
	if p.Incremental {
		kind = "DISK_INC"
	}
	return backupFile{
		GUID: p.UUID, Path: fmt.Sprintf("%s/%s", p.Container, p.Manifest), Size: p.VolumeBytes, BackupTime: millis(orTime(p.SnapshotAt, p.CreatedAt)),
		Type: enumOf(kind), Disk: fileDisk{GUID: p.Volume.ID, Name: entityTo(p.Entity).Name, Storage: refTo(p.Volume.Type, "")},
		StorageID: p.Volume.Type, Format: enum{"RAW", "Raw"},
	}
}

func orTime(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}
