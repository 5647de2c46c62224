package vendor

import (
	"strconv"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/service"
)

// The vendor's words for states of mounts are not public; these are ours.
var mountStates = map[stowage.MountState]string{
	stowage.MountWaiting: "MOUNTING", stowage.MountServed: "MOUNTED", stowage.MountEnded: "UNMOUNTED", stowage.MountLost: "UNMOUNTED",
	stowage.MountFailed: "FAILED",
}

type mountedBackup struct {
	GUID        string      `json:"guid"`
	Name        string      `json:"name"`
	Backup      mountedFrom `json:"backup"`
	Mode        enum        `json:"mode"`
	State       enum        `json:"state"`
	StatusInfo  string      `json:"statusInfo,omitempty"`
	Node        ref         `json:"node"` // always: tables show its name
	FileSystems int         `json:"mountedFileSystemCount"`
	Files       int         `json:"mountedFileCount"`
	MountTime   *int64      `json:"mountTime,omitempty"`
	UnmountTime *int64      `json:"unmountTime,omitempty"`
	Finished    bool        `json:"finishedMount"`
	Task        *ref        `json:"task,omitempty"`
	TenantID    string      `json:"tenantId,omitempty"`
}

type mountedFrom struct {
	GUID         string     `json:"guid"`
	Name         string     `json:"name"`
	Entity       *entityRef `json:"protectedEntity"`
	SnapshotTime *int64     `json:"snapshotTime,omitempty"`
	Size         int64      `json:"size"`
}

func mountView(m service.MountView) mountedBackup {
	v := mountedBackup{
		GUID: m.ID, Name: m.ID, Mode: enumOf(m.Is.Mode), State: enumOf(mountStates[m.State]), StatusInfo: m.Reason, Node: ref{orText(m.Host, nobodys), orText(m.Host, nobodys)},
		MountTime: millis(orTime(m.ServedAt, m.CreatedAt)), UnmountTime: millis(orTime(m.EndedAt, m.UnmountAt)), Finished: m.State.Over(),
		Task: refTo(m.JobID, ""), TenantID: m.ProjectID,
		// A backup that is gone leaves its number: clients want some name.
		Backup: mountedFrom{strconv.FormatInt(m.BackupID, 10), "", &entityRef{"-", "-", enumOf("VM")}, nil, 0},
	}
	if m.State == stowage.MountServed {
		v.FileSystems, v.Files = len(m.Is.FileSystems), 1
	}
	if p := m.Point; p != nil {
		at := orTime(p.SnapshotAt, p.CreatedAt)
		v.Name = backupName(p.Name, p.UUID)
		v.Backup = mountedFrom{p.UUID, v.Name, entityTo(p.Entity), millis(at), p.VolumeBytes}
	}
	return v
}

type fileSystem struct {
	GUID   string `json:"guid"`
	Volume string `json:"volume"`
	Label  string `json:"label"`
	Type   string `json:"type"`
	Size   int64  `json:"size"`
}

func fileSystemView(m stowage.Mount, n int) fileSystem {
	f := m.Is.FileSystems[n]
	return fileSystem{m.FileSystemID(n), f.Volume, f.Label, f.Type, f.Size}
}

type mountedFileSystem struct {
	GUID       string     `json:"guid"`
	MountPath  string     `json:"mountPath"`
	FileSystem fileSystem `json:"fileSystem"`
}

type mountedFile struct {
	GUID         string `json:"guid"`
	Path         string `json:"path"`
	RandomAccess bool   `json:"randomAccess"`
}

type listedFile struct {
	Name        string   `json:"name"`
	Type        enum     `json:"fileType"`
	Size        int64    `json:"size"`
	Modified    int64    `json:"modified"`
	Owner       string   `json:"owner"`
	Group       string   `json:"group"`
	Permissions []string `json:"permissions"`
}

var fileTypes = map[stowage.FileKind]string{
	stowage.FileDirectory: "DIRECTORY", stowage.FileRegular: "REGULAR_FILE", stowage.FileLink: "SYMLINK", stowage.FileBrokenLink: "BROKEN_SYMLINK",
}

// permissions are the names of the nine bits, the highest first.
var permissions = []string{
	"OWNER_READ", "OWNER_WRITE", "OWNER_EXECUTE", "GROUP_READ", "GROUP_WRITE", "GROUP_EXECUTE", "OTHERS_READ", "OTHERS_WRITE", "OTHERS_EXECUTE",
}

func listedView(f stowage.File) listedFile {
	v := listedFile{
		Name: f.Name, Type: enumOf(fileTypes[f.Kind]), Size: f.Size, Modified: f.Modified.UnixMilli(),
		Owner: strconv.FormatInt(f.Owner, 10), Group: strconv.FormatInt(f.Group, 10), Permissions: []string{},
	}
	for i, name := range permissions {
		if f.Mode&(0o400>>i) != 0 {
			v.Permissions = append(v.Permissions, name)
		}
	}
	return v
}
