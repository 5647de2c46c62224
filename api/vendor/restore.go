package vendor

import (
	"net/http"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// restoreBody is as much of what clients send as is of use here. Which backup it is
// stands in one of two places.
type restoreBody struct {
	Backup     ref         `json:"backup"`
	Location   locationRef `json:"backupLocation"`
	Target     ref         `json:"dstProtectedEntity"`
	Overwrite  truth       `json:"overwrite"`
	Name       text        `json:"restoredPeName"`
	StorageID  text        `json:"restoreStorageId"`
	ToOriginal truth       `json:"restoreToOriginalVolumeType"`
	Project    projectRef  `json:"restoreProject"`
	Priority   number      `json:"priority"`
	TenantID   text        `json:"tenantId"`

	// Of servers.
	Flavor   ref               `json:"restoreVmFlavor"`
	Zone     text              `json:"restoreClusterId"`
	Networks several[netWish]  `json:"restoredNetworks"`
	Files    several[fileBody] `json:"taskFiles"`
}

type netWish struct {
	Network        ref          `json:"network"`
	Card           ref          `json:"networkInterfaceCard"`
	MAC            text         `json:"macAddress"`
	MACSet         truth        `json:"macAddressSpecified"`
	SecurityGroups several[ref] `json:"securityGroups"`
}

type fileBody struct {
	File     ref   `json:"backupFile"`
	Name     text  `json:"diskName"`
	Original text  `json:"originalDiskName"`
	Excluded truth `json:"excludedFromRestore"`
	Storage  text  `json:"storageId"`
}

// restore begins the restore of a volume: to a new one, or, only where overwrite
// says so, over the one named or the original. Clients name the original as the
// destination of every restore, so that alone means nothing.
func (a *API) restore(w http.ResponseWriter, r request) error { return a.restoreAs(w, r, true) }

// restoreAndImport restores a server from its backup: its volumes, and then itself.
// Clients that know no other way ask for it where the backup is of a volume, too.
func (a *API) restoreAndImport(w http.ResponseWriter, r request) error {
	return a.restoreAs(w, r, false)
}

func (a *API) restoreAs(w http.ResponseWriter, r request, volumesOnly bool) error {
	var body restoreBody
	if err := r.read(&body); err != nil {
		return err
	}
	uuid := body.Location.or(body.Backup)
	if uuid == "" {
		return stowage.Errorf(stowage.Invalid, "backup must be set.")
	}
	r, err := r.of(string(body.TenantID))
	if err != nil {
		return err
	}
	p, err := a.Service.Point(r.Context(), r.scope, uuid)
	if err != nil {
		return err
	}
	if len([]rune(body.Name)) > 255 {
		return stowage.Errorf(stowage.Invalid, "restoredPeName has more than 255 characters.")
	}
	if err := a.isProject(r, string(body.Project), p.ProjectID); err != nil {
		return err
	}
	if p.Kind == stowage.OfServer {
		return a.restoreServer(w, r, p, body, volumesOnly)
	}
	req := service.RestoreRequest{Name: string(body.Name), Priority: priority(body.Priority)}
	if p.ProjectID != r.caller.ProjectID {
		req.OnBehalf = p.ProjectID
	}
	switch {
	case bool(body.Overwrite):
		req.VolumeID = orText(body.Target.GUID, p.Volume.ID)
	case !bool(body.ToOriginal):
		if req.Type, err = a.volumeType(r, string(body.StorageID)); err != nil {
			return err
		}
	}
	j, err := a.Service.RestoreBackup(r.Context(), api.User(r.Request, r.caller), r.scope, p.ID, req)
	if err != nil {
		return err
	}
	t := service.Task{Job: j, Entity: p.Entity, Target: service.Entity{ID: j.VolumeID, Name: req.Name}, Backup: &p.Backup}
	api.WriteJSON(w, http.StatusOK, a.taskView(r, t))
	return nil
}

// isProject refuses a project, by name or id, that is not the one: a volume can be
// restored within its project only, and must not come up elsewhere unasked.
func (a *API) isProject(r request, named, id string) error {
	if !given(named) || named == id || id == r.caller.ProjectID && named == r.caller.ProjectName {
		return nil
	}
	list, err := a.Service.Resources(r.Context(), db.Scope{ProjectID: id}, stowage.ResourceProject)
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.ID == id && p.Name == named {
			return nil
		}
	}
	return stowage.Errorf(stowage.Invalid, "A volume can only be restored within its own project, not to %.64s.", named)
}

// volumeType gives the name of a storage by its guid or its name.
func (a *API) volumeType(r request, storage string) (string, error) {
	if !given(storage) {
		return "", nil
	}
	list, err := r.resources(a, stowage.ResourceVolumeType)
	if err != nil {
		return "", err
	}
	for _, t := range list {
		if t.ID == storage || t.Name == storage {
			return t.Name, nil
		}
	}
	return "", stowage.Errorf(stowage.Invalid, "There is no volume type %.64s.", storage)
}

type entityBody struct {
	Value ref `json:"value"`
}

// remove deletes all backups of an entity. The answer must be an array: a task
// for each, or none when there was nothing to do.
func (a *API) remove(w http.ResponseWriter, r request) error {
	var body entityBody
	if err := r.read(&body); err != nil {
		return err
	}
	if body.Value.GUID == "" {
		return stowage.Errorf(stowage.Invalid, "value must be the guid of a protected entity.")
	}
	tasks, err := a.Service.DeleteEntity(r.Context(), api.User(r.Request, r.caller), r.scope, body.Value.GUID)
	if err != nil {
		return some(err, len(tasks), len(tasks)+1)
	}
	a.single(w, r, tasks...)
	return nil
}
