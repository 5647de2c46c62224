package hp

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/service"
)

// brief is what the list shows: id and status only.
type brief struct {
	ID     string               `json:"id"`
	Status stowage.BackupStatus `json:"status"`
}

// full is what details show: the specification's keys, then ours.
type full struct {
	ID          string               `json:"id"`
	Name        *string              `json:"display_name"`
	Description *string              `json:"display_description"`
	VolumeID    string               `json:"volume_id"`
	Container   string               `json:"container"`
	Status      stowage.BackupStatus `json:"status"`
	FailReason  *string              `json:"fail_reason"`
	CreatedAt   string               `json:"created_at"`
	Size        int64                `json:"size"`         // GiB, of the volume
	ObjectCount int64                `json:"object_count"` // that a restore reads

	UpdatedAt     string  `json:"updated_at"`
	Progress      int     `json:"progress"` // percent of the work under way
	IsIncremental bool    `json:"is_incremental"`
	SnapshotAt    *string `json:"snapshot_at"` // the point in time that a restore gives back
	VerifiedAt    *string `json:"verified_at"` // when all its objects were last looked at
	Damaged       *string `json:"damaged"`     // what was found wrong then
	ProjectID     string  `json:"project_id,omitempty"`

	// How the work under way gets on, when that can be told.
	BytesDone      *int64 `json:"bytes_done,omitempty"`
	BytesTotal     *int64 `json:"bytes_total,omitempty"`
	BytesPerSecond *int64 `json:"bytes_per_second,omitempty"`
	SecondsLeft    *int64 `json:"seconds_left,omitempty"`
}

func (a *API) details(r request, v service.View) full {
	f := full{
		ID: idString(v.ID), Name: orNull(v.Name), Description: orNull(v.Description), VolumeID: v.Volume.ID,
		Container: v.Container, Status: v.Status, FailReason: orNull(v.FailReason), CreatedAt: stamp(v.CreatedAt),
		Size: v.SizeGiB, ObjectCount: v.ObjectCount,
		UpdatedAt: stamp(v.UpdatedAt), Progress: v.Percent, IsIncremental: v.Incremental, Damaged: orNull(v.Damaged),
	}
	if !v.SnapshotAt.IsZero() {
		f.SnapshotAt = orNull(stamp(v.SnapshotAt))
	}
	if !v.VerifiedAt.IsZero() {
		f.VerifiedAt = orNull(stamp(v.VerifiedAt))
	}
	if speed := v.Speed; speed != nil {
		f.BytesDone, f.BytesTotal, f.BytesPerSecond = &speed.Done, &speed.All, &speed.BytesPerSecond
		if speed.SecondsLeft >= 0 {
			f.SecondsLeft = &speed.SecondsLeft
		}
	}
	if r.scope.ProjectID != r.caller.ProjectID {
		f.ProjectID = v.ProjectID
	}
	return f
}

// begun is what the answer to a create shows.
type begun struct {
	ID          string               `json:"id"`
	Name        *string              `json:"display_name"`
	Description *string              `json:"display_description"`
	VolumeID    string               `json:"volume_id"`
	Container   string               `json:"container"`
	Status      stowage.BackupStatus `json:"status"`
	CreatedAt   string               `json:"created_at"`
}

func created(b stowage.Backup) begun {
	return begun{idString(b.ID), orNull(b.Name), orNull(b.Description), b.Volume.ID, b.Container, b.Status, stamp(b.CreatedAt)}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// page answers with one page of the scope's backups, oldest first. A full page
// has a link to the next one.
func (a *API) page(w http.ResponseWriter, r request, view func(service.View) any) error {
	q := r.URL.Query()
	most := a.MaxLimit
	if most == 0 {
		most = 1000
	}
	limit, after := most, int64(0)
	if v := q.Get("limit"); q.Has("limit") {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return stowage.Errorf(stowage.Invalid, "limit must be a number, 0 or greater.")
		}
		limit = min(n, most)
	}
	if v := q.Get("marker"); q.Has("marker") {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return stowage.Errorf(stowage.Invalid, "marker must be the id of a backup.")
		}
		after = n
	}
	filter := db.BackupFilter{
		Status: stowage.BackupStatus(q.Get("status")), VolumeID: q.Get("volume_id"), Name: q.Get("display_name"),
	}
	body := map[string]any{}
	views, list := []service.View{}, []any{}
	// The columns of these know ASCII only; anything else is nobody's.
	nobodys := filter.Status != "" && !filter.Status.Known() || strings.ContainsFunc(filter.VolumeID, func(r rune) bool { return r > unicode.MaxASCII })
	if limit > 0 && !nobodys {
		var err error
		if views, err = a.Service.Backups(r.Context(), r.scope, filter, after, limit); err != nil {
			return err
		}
	}
	for _, v := range views {
		list = append(list, view(v))
	}
	body["backups"] = list
	if limit > 0 && len(views) == limit {
		body["backups_links"] = []map[string]string{{"rel": "next", "href": a.next(r, q, views[limit-1].ID, limit)}}
	}
	api.WriteJSON(w, http.StatusOK, body)
	return nil
}

func (a *API) next(r request, q url.Values, last int64, limit int) string {
	q.Set("marker", idString(last))
	q.Set("limit", strconv.Itoa(limit))
	return api.BaseURL(a.Server, r.Request) + r.URL.EscapedPath() + "?" + q.Encode()
}
