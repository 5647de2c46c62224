package hp

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/api"
	"github.com/stowage/stowage/api/openapi"
)

// Document describes the protocol.
func (a *API) Document() (string, *openapi.Document) { return "v1.1", Document() }

// told is what there is to say of a route. Its answers and its body are values of
// the types that they are written from and read into.
type told struct {
	id, is, more string
	parameters   []string // of the components
	sends        any
	example      string
	status       int
	gives        any // nil: no body
	faults       []int
}

// The envelopes of answers.
type (
	briefList struct {
		Backups []brief    `json:"backups"`
		Links   []nextLink `json:"backups_links,omitempty"`
	}
	fullList struct {
		Backups []full     `json:"backups"`
		Links   []nextLink `json:"backups_links,omitempty"`
	}
	fullBackup struct {
		Backup full `json:"backup"`
	}
	begunBackup struct {
		Backup begun `json:"backup"`
	}
	begunRestore struct {
		Restore struct {
			BackupID string `json:"backup_id"`
			VolumeID string `json:"volume_id"`
		} `json:"restore"`
	}
	nextLink struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
)

const backupsPath = "/v1.1/{tenant_id}/hp-volume-backups"

// Every route, by method and path as a client writes it.
var routesTold = map[string]told{
	"GET " + backupsPath: {
		id: "listBackups", is: "Lists backups, the oldest first: id and status", parameters: []string{"limit", "marker", "status", "volume_id", "display_name", "all_tenants", "project_id"},
		status: 200, gives: briefList{}, faults: []int{400},
	},
	"GET " + backupsPath + "/detail": {
		id: "listBackupDetails", is: "Lists backups with their details", parameters: []string{"limit", "marker", "status", "volume_id", "display_name", "all_tenants", "project_id"},
		status: 200, gives: fullList{}, faults: []int{400},
	},
	"GET " + backupsPath + "/{backup_id}": {
		id: "showBackup", is: "Shows a backup", parameters: []string{"all_tenants", "project_id"}, status: 200, gives: fullBackup{}, faults: []int{400, 404},
	},
	"POST " + backupsPath: {
		id: "createBackup", is: "Begins a backup of a volume", sends: createBody{}, status: 200, gives: begunBackup{}, faults: []int{400, 404, 409, 415},
		example: `{"backup":{"volume_id":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d","display_name":"backup-001","container":"nightly"}}`,
		more: "The volume must be `available`. It shows `backing-up` until its snapshot is taken and is then free again, while the backup goes on. " +
			"The container is made if it is not there.\n\nThe first backup of a volume in a container is a full one, later ones store what changed.",
	},
	"POST " + backupsPath + "/{backup_id}/restore": {
		id: "restoreBackup", is: "Begins a restore", parameters: []string{"all_tenants", "project_id"}, sends: restoreBody{}, status: 200, gives: begunRestore{}, faults: []int{400, 404, 409, 415},
		example: `{"restore":{}}`,
		more: "Without `volume_id` a new volume is made, with the caller's token and quota. With it, that volume is overwritten from its beginning; " +
			"it must be `available` and at least as large.\n\nThe volume shows `restoring-backup` meanwhile, then `available` or `error_restoring`.",
	},
	"DELETE " + backupsPath + "/{backup_id}": {
		id: "deleteBackup", is: "Begins to delete a backup", parameters: []string{"all_tenants", "project_id"}, status: 202, faults: []int{400, 404, 409},
		more: "It must be `available` or in `error`. What other backups of the volume need stays.",
	},
}

var parameters = map[string]openapi.Parameter{
	"tenant_id":    {In: "path", Required: true, Description: "The id of the token's project; any other gives 400."},
	"backup_id":    {In: "path", Required: true, Description: "The backup's id, a number."},
	"limit":        {In: "query", Description: "At most so many, 0 or more. The server has a bound of its own, 1000 unless configured otherwise."},
	"marker":       {In: "query", Description: "Only backups with a greater id: the last one of the page before."},
	"status":       {In: "query", Description: "Only backups in exactly this status."},
	"volume_id":    {In: "query", Description: "Only backups of exactly this volume."},
	"display_name": {In: "query", Description: "Only backups of exactly this name."},
	"all_tenants":  {In: "query", Description: "Administrators: the backups of all projects, by any word of truth. Without effect for everybody else."},
	"project_id":   {In: "query", Description: "Administrators: the backups of this project. Without effect for everybody else."},
}

// fields says what fields mean, by their name.
var fields = map[string]string{
	"id": "A number, as text.", "fail_reason": "Why it is in `error`; with `available`: why the last restore failed.", "size": "GiB of the volume.",
	"object_count": "Objects that a restore reads; 0 until it is available.", "progress": "Percent of the work under way.",
	"is_incremental": "Whether it stored only what changed since an earlier backup. It can be restored, and any other one deleted, all the same.",
	"snapshot_at":    "The point in time that a restore gives back.", "verified_at": "When all its objects were last looked at.",
	"damaged":    "What was found missing or changed then.",
	"project_id": "Only in an administrator's view of other projects.",
	"bytes_done": "Only while it is backed up or restored.", "bytes_total": "What must be looked at or written.",
	"bytes_per_second": "The average rate.", "seconds_left": "An estimate.",
	"container":     "In the object store. Without a slash, 256 bytes at most; `volumebackups` if not given.",
	"backups_links": "Of a full page: where the next one is.", "created_at": "UTC.", "updated_at": "UTC.",
}

// Document describes the protocol, and what the server answers besides.
var Document = sync.OnceValue(func() *openapi.Document {
	all := map[string]*openapi.Schema{}
	answers := &openapi.Schemas{All: all, Nulls: true, Special: special, Note: note}
	bodies := &openapi.Schemas{All: all, Special: special, Note: note, Loose: true, Closed: true,
		Must: map[string][]string{"CreateBody": {"backup"}, "CreateBody.backup": {"volume_id"}, "RestoreBody": {"restore"}}}
	d := &openapi.Document{
		Info: openapi.Info{Title: "HP Volume Backup API", Version: "v1.1", Description: "Backups of Cinder volumes in Swift, after the specification of the HP Volume Backup service.\n\n" +
			"All work is asynchronous: create, restore and delete answer at once, and the status of the backup, and of the volume, tells how it goes. " +
			"Another project's backups and volumes do not exist as far as a caller can tell.\n\nKeys that are not described are refused in requests with 400. " +
			"A method that a path does not know is answered 405 `badMethod`, a path that is not there 404 `itemNotFound`."},
		Security: []openapi.Requirement{{"token": {}}},
		Tags:     []openapi.Tag{{Name: "backups"}, {Name: "server", Description: "What the server answers besides, to everybody."}},
		Paths:    map[string]openapi.Item{},
		Components: openapi.Components{
			Schemas: all, Parameters: map[string]openapi.Parameter{}, Responses: faultResponses(),
			Headers:  map[string]openapi.Header{"RequestID": api.RequestIDs()},
			Security: map[string]openapi.SecurityScheme{"token": {Type: "apiKey", In: "header", Name: "X-Auth-Token", Description: "A token of Keystone's, of the project."}},
		},
	}
	for name, p := range parameters {
		p.Name, p.Schema = name, &openapi.Schema{Type: "string"}
		switch name {
		case "limit", "marker":
			p.Schema.Type = "integer"
		case "status":
			p.Schema.Enum = statusNames()
		}
		d.Components.Parameters[name] = p
	}
	for at, t := range routesTold {
		method, path, _ := strings.Cut(at, " ")
		if d.Paths[path] == nil {
			d.Paths[path] = openapi.Item{}
		}
		d.Paths[path][strings.ToLower(method)] = t.operation(path, answers, bodies)
	}
	api.Common(d, answers, "server")
	return d
})

func (t told) operation(path string, answers, bodies *openapi.Schemas) *openapi.Operation {
	op := &openapi.Operation{Tags: []string{"backups"}, ID: t.id, Summary: t.is, Description: t.more, Responses: map[string]openapi.Response{}}
	for _, name := range t.parameters {
		op.Parameters = append(op.Parameters, openapi.Parameter{Ref: "#/components/parameters/" + name})
	}
	for _, name := range []string{"backup_id", "tenant_id"} {
		if strings.Contains(path, "{"+name+"}") {
			op.Parameters = append([]openapi.Parameter{{Ref: "#/components/parameters/" + name}}, op.Parameters...)
		}
	}
	good := openapi.Response{Description: http.StatusText(t.status), Headers: ids()}
	if t.gives != nil {
		good.Content = openapi.AsJSON(answers.Of(t.gives))
	}
	op.Responses[strconv.Itoa(t.status)] = good
	faults := append([]int{401, 403, 500, 503}, t.faults...)
	if t.sends != nil {
		faults = append(faults, 413)
		content := openapi.AsJSON(bodies.Of(t.sends))
		content[openapi.JSON] = openapi.Media{Schema: content[openapi.JSON].Schema, Example: json.RawMessage(t.example)}
		op.Body = &openapi.Body{Required: true, Content: content}
	}
	for _, status := range faults {
		op.Responses[strconv.Itoa(status)] = openapi.Response{Ref: "#/components/responses/" + strconv.Itoa(status)}
	}
	return op
}

func ids() map[string]openapi.Header {
	return map[string]openapi.Header{api.RequestIDHeader: {Ref: openapi.EveryAnswer}}
}

// faultResponses are the faults, each with its name on the wire.
func faultResponses() map[string]openapi.Response {
	text, number := &openapi.Schema{Type: "string"}, &openapi.Schema{Type: "integer"}
	object := func(p ...openapi.Property) *openapi.Schema {
		o := &openapi.Schema{Type: "object", Properties: p}
		for _, one := range p {
			o.Required = append(o.Required, one.Name)
		}
		return o
	}
	retry := openapi.Header{Description: "Seconds until it is worth another try.", Required: true, Schema: text}
	out := map[string]openapi.Response{}
	for status, name := range map[int]string{
		400: "badRequest", 403: "forbidden", 404: "itemNotFound", 405: "badMethod", 409: "conflictingRequest", 413: "overLimit", 415: "badMediaType",
		500: "cloudServersFault", 503: "serviceUnavailable",
	} {
		inner, headers := []openapi.Property{{Name: "message", Schema: text}, {Name: "code", Schema: number}}, ids()
		switch status {
		case 405:
			headers["Allow"] = openapi.Header{Description: "The methods that the path knows.", Required: true, Schema: text}
		case 413:
			inner = append(inner, openapi.Property{Name: "retryAfter", Schema: text})
			headers["Retry-After"] = retry
		case 503:
			headers["Retry-After"] = retry
		}
		out[strconv.Itoa(status)] = openapi.Response{
			Description: "`" + name + "`: " + why[status], Headers: headers, Content: openapi.AsJSON(object(openapi.Property{Name: name, Schema: object(inner...)})),
		}
	}
	headers := ids()
	headers["WWW-Authenticate"] = openapi.Header{Description: "Where Keystone is.", Required: true, Schema: text}
	out["401"] = openapi.Response{
		Description: why[401], Headers: headers, Content: openapi.AsJSON(object(openapi.Property{Name: "error", Schema: object(
			openapi.Property{Name: "code", Schema: number}, openapi.Property{Name: "title", Schema: text}, openapi.Property{Name: "message", Schema: text})})),
	}
	return out
}

var why = map[int]string{
	400: "The request makes no sense, or not in the state that the backup or the volume is in.", 401: "There is no token, or not a good one; in Keystone's form.",
	403: "The policy, the object store or the block storage does not allow it.", 404: "There is no such backup or volume.", 405: "The path does not know the method.",
	409: "Somebody else changed it at the same moment.", 413: "The body is too long.", 415: "The body is XML, or a form.", 500: "The log has more.",
	503: "A neighbour is away, or no manager reaches the volume.",
}

func statusNames() []string {
	return []string{string(stowage.BackupCreating), string(stowage.BackupAvailable), string(stowage.BackupRestoring), string(stowage.BackupDeleting), string(stowage.BackupError)}
}

// special are the types that are not written as Go would write them.
func special(_ *openapi.Schemas, t reflect.Type) *openapi.Schema {
	switch t {
	case reflect.TypeFor[stowage.BackupStatus]():
		return &openapi.Schema{Type: "string", Enum: statusNames()}
	case reflect.TypeFor[volumeID]():
		return &openapi.Schema{AnyOf: []*openapi.Schema{{Type: "string", Pattern: number.String() + "|" + uuid.String()}, {Type: "integer"}}}
	}
	return nil
}

// note says what fields mean, and what requests may have in them.
func note(component, field string, s *openapi.Schema) {
	s.Description = fields[field]
	switch {
	case component == "RestoreBody.restore" && field == "volume_id":
		s.AnyOf[0].Nullable = true // as if it were not there
	case component != "CreateBody.backup":
		return
	}
	switch field {
	case "display_name", "display_description":
		s.MaxLength, s.Nullable = 255, true
	case "container":
		s.MaxLength, s.Nullable = 256, true
	}
}
