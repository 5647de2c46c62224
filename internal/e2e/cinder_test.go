//go:build stack

package e2e

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/stowage/stowage/internal/stacktest"
)

// volume is a volume as Cinder shows it.
type volume struct {
	ID          string
	Name        string
	Description string
	Status      string
	Size        int64
	Bootable    string
	VolumeType  string            `json:"volume_type"`
	Zone        string            `json:"availability_zone"`
	Metadata    map[string]string `json:"metadata"`
	Image       map[string]string `json:"volume_image_metadata"`
}

func (u *user) cinder(method, path string, body any) answer {
	u.t.Helper()
	return u.call(method, stacktest.Env(u.t, "CINDER_URL")+"/"+u.projectID+path, body,
		map[string]string{"OpenStack-API-Version": "volume 3.54"})
}

// show gives a volume; its status is "" if there is none.
func (u *user) show(id string) (v volume) {
	u.t.Helper()
	a := u.cinder(http.MethodGet, "/volumes/"+id, nil).want(u.t, 200, 404)
	if a.status == http.StatusNotFound {
		return v
	}
	a.into(u.t, &struct{ Volume *volume }{&v})
	return v
}

func (u *user) status(id string) string {
	u.t.Helper()
	return u.show(id).Status
}

// make makes a volume and waits for it. Fields of the request may be added.
func (u *user) make(gib int, more map[string]any) string {
	u.t.Helper()
	req := map[string]any{"size": gib, "name": "stowage-e2e-" + run.id}
	for k, v := range more {
		req[k] = v
	}
	var v volume
	u.cinder(http.MethodPost, "/volumes", map[string]any{"volume": req}).want(u.t, 202).into(u.t, &struct{ Volume *volume }{&v})
	until(u.t, "volume "+v.ID+" is made", func() bool {
		status := u.status(v.ID)
		if status == "error" {
			u.t.Fatalf("Cinder could not make volume %s", v.ID)
		}
		return status == "available"
	})
	return v.ID
}

// delete deletes a volume and waits until it is gone.
func (u *user) delete(id string) {
	u.t.Helper()
	u.cinder(http.MethodDelete, "/volumes/"+id, nil).want(u.t, 202)
	until(u.t, "volume "+id+" is gone", func() bool { return u.status(id) == "" })
}

func (u *user) action(id, action string, args any, want ...int) {
	u.t.Helper()
	u.cinder(http.MethodPost, "/volumes/"+id+"/action", map[string]any{action: args}).want(u.t, want...)
}

// attachments gives the ids of a volume's attachments.
func (u *user) attachments(id string) (ids []string) {
	u.t.Helper()
	var got struct{ Attachments []struct{ ID string } }
	u.cinder(http.MethodGet, "/attachments?all_tenants=1&volume_id="+id, nil).want(u.t, 200).into(u.t, &got)
	for _, a := range got.Attachments {
		ids = append(ids, a.ID)
	}
	return ids
}

func (u *user) list() []volume {
	u.t.Helper()
	var got struct{ Volumes []volume }
	u.cinder(http.MethodGet, "/volumes/detail", nil).want(u.t, 200).into(u.t, &got)
	return got.Volumes
}

// made lists the user's volumes that restores of backups of the sources made.
func (u *user) made(sources []string) (list []volume) {
	u.t.Helper()
	for _, v := range u.list() {
		var backup int
		var source string
		if n, _ := fmt.Sscanf(v.Description, "Restored from backup %d of volume %s", &backup, &source); n == 2 && slices.Contains(sources, source) {
			list = append(list, v)
		}
	}
	return list
}

// dispose takes a volume away, whatever state it is in. The user is an admin.
func (u *user) dispose(id string) bool {
	u.t.Helper()
	return within(patience, func() bool {
		if u.status(id) == "" {
			return true
		}
		for _, a := range u.attachments(id) {
			u.cinder(http.MethodDelete, "/attachments/"+a, nil).want(u.t, 200, 404)
		}
		if u.status(id) != "deleting" {
			// A watcher that died keeps the image busy for half a minute.
			u.cinder(http.MethodPost, "/volumes/"+id+"/action", map[string]any{"os-force_delete": struct{}{}}).want(u.t, 202, 404, 400)
		}
		return false
	})
}
