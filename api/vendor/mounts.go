package vendor

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// mountBody is what clients send to mount a backup. Which clients matters to iSCSI
// only; a disk of a server's backup is a backup of its own.
type mountBody struct {
	Backup      ref         `json:"backup"`
	Location    locationRef `json:"backupLocation"`
	Mode        enum        `json:"mode"`
	FileSystems several[struct {
		FileSystem fsRef `json:"fileSystem"`
		Path       text  `json:"mountPath"`
	}] `json:"mountedFileSystems"`
	Disks several[struct {
		File ref `json:"backupFile"`
	}] `json:"mountedDisks"`
	UnmountTime number `json:"unmountTime"`
	Node        ref    `json:"node"`
	TenantID    text   `json:"tenantId"`
}

// periods are shorter than any time of day since 1973: clients send the one or the
// other as unmountTime.
const periods = 100_000_000_000

func (a *API) unmountTime(n number, now time.Time) (time.Time, error) {
	switch {
	case n.n < 0 || n.n > maxMillis:
		return time.Time{}, stowage.Errorf(stowage.Invalid, "unmountTime must be a time in milliseconds.")
	case n.n == 0:
		return time.Time{}, nil
	case n.n < periods:
		return now.Add(time.Duration(n.n) * time.Millisecond), nil
	}
	return fromMillis(n), nil
}

// mount begins to serve the files of a backup.
func (a *API) mount(w http.ResponseWriter, r request) error {
	var body mountBody
	if err := r.read(&body); err != nil {
		return err
	}
	uuid := body.Location.or(body.Backup)
	if uuid == "" {
		return stowage.Errorf(stowage.Invalid, "backupLocation must be set.")
	}
	if len(body.Disks) > 1 {
		return stowage.Errorf(stowage.Invalid, "One disk is mounted at a time.")
	}
	if len(body.Disks) == 1 && body.Disks[0].File.GUID != "" {
		uuid = body.Disks[0].File.GUID
	}
	r, err := r.of(string(body.TenantID))
	if err != nil {
		return err
	}
	req := service.MountRequest{Mode: orText(body.Mode.Name, "AUTO"), Host: body.Node.GUID}
	switch req.Mode {
	case "AUTO", "MANUAL":
	case "ISCSI":
		return stowage.Errorf(stowage.Invalid, "A backup cannot be mounted by iSCSI: mode must be AUTO or MANUAL.")
	default:
		return stowage.Errorf(stowage.Invalid, "mode must be AUTO or MANUAL.")
	}
	if req.UnmountAt, err = a.unmountTime(body.UnmountTime, a.Service.Now()); err != nil {
		return err
	}
	if req.Wanted, err = a.wanted(r, uuid, body); err != nil {
		return err
	}
	t, m, err := a.Service.MountBackup(r.Context(), api.User(r.Request, r.caller), r.scope, uuid, req)
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, mountTask{a.taskView(r, t), ref{m.ID, m.ID}})
	return nil
}

// wanted finds the volumes of the file systems that are to be mounted. User interfaces
// that let nobody choose name a path alone: that chooses none, and none are all.
func (a *API) wanted(r request, uuid string, body mountBody) ([]stowage.WantedFS, error) {
	if len(body.FileSystems) > maxListed {
		return nil, stowage.Errorf(stowage.Invalid, "There are more than %d mountedFileSystems.", maxListed)
	}
	var out []stowage.WantedFS
	for _, f := range body.FileSystems {
		if f.FileSystem == (fsRef{}) {
			continue
		}
		if len(f.Path) > 255 || len(f.FileSystem.volume) > 255 {
			return nil, stowage.Errorf(stowage.Invalid, "mountPath and volume have 255 bytes at most.")
		}
		volume := f.FileSystem.volume
		if volume == "" {
			known, err := a.Service.FileSystems(r.Context(), r.scope, uuid)
			if err != nil {
				return nil, err
			}
			for i, fs := range known.Is.FileSystems {
				if known.FileSystemID(i) == f.FileSystem.guid {
					volume = fs.Volume
				}
			}
		}
		if volume == "" {
			return nil, stowage.Errorf(stowage.Invalid, "The backup has no file system %.64s.", f.FileSystem.guid)
		}
		out = append(out, stowage.WantedFS{Volume: volume, Path: string(f.Path)})
	}
	return out, nil
}

// mountTask is a task with what it mounts.
type mountTask struct {
	task
	Mounted ref `json:"mountedBackup"`
}

type mountedBody struct {
	Mounted ref `json:"mountedBackup"`
}

// forMounted does something with the mounted backup that a body names.
func (a *API) forMounted(w http.ResponseWriter, r request, verb func(id string) (service.Task, error)) error {
	var body mountedBody
	if err := r.read(&body); err != nil {
		return err
	}
	id := body.Mounted.GUID
	if id == "" {
		return stowage.Errorf(stowage.Invalid, "mountedBackup must be set.")
	}
	t, err := verb(id)
	if err == nil {
		api.WriteJSON(w, http.StatusOK, mountTask{a.taskView(r, t), ref{id, id}})
	}
	return err
}

// mountAgain mounts what was mounted before.
func (a *API) mountAgain(w http.ResponseWriter, r request) error {
	return a.forMounted(w, r, func(id string) (service.Task, error) {
		return a.Service.MountAgain(r.Context(), api.User(r.Request, r.caller), r.scope, id)
	})
}

func (a *API) unmount(w http.ResponseWriter, r request) error {
	return a.forMounted(w, r, func(id string) (service.Task, error) {
		return a.Service.UnmountBackup(r.Context(), api.User(r.Request, r.caller), r.scope, id)
	})
}

var mountColumns = map[string]string{
	"state": "state", "node": "host", "mode": "mode", "unmountTime": "unmount", "mountTime": "created", "backup.snapshotTime": "snapshot",
}

func (a *API) mountedBackups(w http.ResponseWriter, r request) error {
	q := r.URL.Query()
	p, err := page(q, mountColumns)
	if err != nil {
		return err
	}
	over := value(q, "finished-mount") == "true"
	f := db.MountFilter{
		Backup: value(q, "backup"), Entities: values(q, "protected-entity", "protectedEntity", "virtual-machine"),
		Host: value(q, "node"), Modes: enums(q, "mode"), Over: &over,
	}
	list, total, err := a.Service.Mounts(r.Context(), r.scope, f, p)
	if err != nil {
		return err
	}
	respond(w, each(list, mountView), total)
	return nil
}

func (a *API) mountedBackup(w http.ResponseWriter, r request) error {
	m, err := a.Service.Mount(r.Context(), r.scope, r.guid())
	if err != nil {
		return err
	}
	api.WriteJSON(w, http.StatusOK, mountView(m))
	return nil
}

// mountNamed gives the mount that a parameter names.
func (a *API) mountNamed(r request) (service.MountView, error) {
	id := value(r.URL.Query(), "mounted-backup")
	if id == "" {
		return service.MountView{}, stowage.Errorf(stowage.Invalid, "mounted-backup must be set.")
	}
	return a.Service.Mount(r.Context(), r.scope, id)
}

func (a *API) mountedFileSystems(w http.ResponseWriter, r request) error {
	m, err := a.mountNamed(r)
	if err != nil {
		return err
	}
	out := []mountedFileSystem{}
	if m.State == stowage.MountServed {
		for i, f := range m.Is.FileSystems {
			out = append(out, mountedFileSystem{m.FileSystemID(i), f.Path, fileSystemView(m.Mount, i)})
		}
	}
	respond(w, out, len(out))
	return nil
}

// mountedFiles are the disks that are served: the one.
func (a *API) mountedFiles(w http.ResponseWriter, r request) error {
	m, err := a.mountNamed(r)
	if err != nil {
		return err
	}
	out := []mountedFile{}
	if m.State == stowage.MountServed && m.Point != nil {
		out = append(out, mountedFile{m.ID, fileView(*m.Point).Path, true})
	}
	respond(w, out, len(out))
	return nil
}

// fileSystems are those of a backup, as far as they are known: what is in it is
// only found out by mounting it.
func (a *API) fileSystems(w http.ResponseWriter, r request) error {
	uuid := value(r.URL.Query(), "backup")
	if uuid == "" {
		return stowage.Errorf(stowage.Invalid, "backup must be set.")
	}
	m, err := a.Service.FileSystems(r.Context(), r.scope, uuid)
	if err != nil {
		return err
	}
	out := []fileSystem{}
	for i := range m.Is.FileSystems {
		out = append(out, fileSystemView(m, i))
	}
	respond(w, out, len(out))
	return nil
}

type listingBody struct {
	Path text `json:"path"`
}

func (a *API) listFiles(w http.ResponseWriter, r request) error {
	var body listingBody
	if err := r.read(&body); err != nil {
		return err
	}
	l, err := a.Service.ListFiles(r.Context(), api.User(r.Request, r.caller), r.scope, r.guid(), orText(string(body.Path), "/"))
	if err != nil {
		return err
	}
	respond(w, each(l.Files, listedView), l.Total)
	return nil
}

type downloadBody struct {
	Paths several[text] `json:"paths"`
}

// download sends a file, or an archive. An error before the first byte is answered
// as such; after it, the connection is cut, so that nobody takes a part for all.
func (a *API) download(w http.ResponseWriter, r request) error {
	var body downloadBody
	if err := r.read(&body); err != nil {
		return err
	}
	paths := each(body.Paths, func(p text) string { return string(p) })
	d, err := a.Service.DownloadFiles(r.Context(), api.User(r.Request, r.caller), r.scope, r.guid(), paths)
	if err != nil {
		return err
	}
	defer d.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream") // whatever is in it, no browser is to show it as ours
	if d.Zip {
		h.Set("Content-Type", "application/zip")
	}
	h.Set("Content-Disposition", disposition(d.Name))
	h.Set("X-Content-Type-Options", "nosniff")
	out := &begun{ResponseWriter: w}
	if err = d.Copy(r.Context(), out); err == nil {
		if !out.yes {
			w.WriteHeader(http.StatusOK)
		}
		return nil
	}
	if out.yes {
		a.Server.Log.WarnContext(r.Context(), "a download was cut off", "request_id", api.RequestID(r.Context()), "error", err)
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		h.Del(name)
	}
	return err
}

// begun knows whether anything was written.
type begun struct {
	http.ResponseWriter
	yes bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.yes = b.yes || len(p) > 0
	return b.ResponseWriter.Write(p)
}

// disposition proposes a name, as RFC 6266 has it: in ASCII for everybody, and
// where that is not the name, as it is for those who read that.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/%`, r) {
			return '_'
		}
		return r
	}, name)
	out := `attachment; filename="` + plain + `"`
	if plain != name {
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return out
}
