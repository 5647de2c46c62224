package hp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/harness"
)

const size = 300_000

var base = harness.Base("demo")

// wantFault checks status, fault name and message to the letter.
func wantFault(t *testing.T, a harness.Answer, status int, name, message string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	body := a.JSON(t)
	fault, ok := body[name].(map[string]any)
	if !ok || len(body) != 1 || fault["message"] != message || fault["code"] != float64(status) {
		t.Errorf("the fault is %s, want %s %q", a.Body, name, message)
	}
	if a.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(a.Header.Get("X-Openstack-Request-Id"), "req-") {
		t.Errorf("headers %v", a.Header)
	}
}

// made starts a manager and makes an available backup of volume 9.
func made(t *testing.T) (*harness.Harness, string) {
	t.Helper()
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	id := h.Create("9")
	h.Await(id, stowage.BackupAvailable)
	h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
	return h, id
}

func keys(m map[string]any) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func TestTheAnswersHaveTheFormsOfTheSpecification(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", size)
	a := h.Call("demo:demo", http.MethodPost, base, `{"backup": {"display_name": "backup-001", "display_description": "Nightly Backup 03-Sep-2012",
		"volume_id": "9", "container": "nightlybackups"}}`)
	b, _ := a.JSON(t)["backup"].(map[string]any)
	want := []string{"container", "created_at", "display_description", "display_name", "id", "status", "volume_id"}
	if a.Status != http.StatusOK || !slices.Equal(keys(b), want) || b["id"] != "1" || b["status"] != "creating" || b["volume_id"] != "9" ||
		b["display_name"] != "backup-001" || b["container"] != "nightlybackups" {
		t.Errorf("create: %d %s", a.Status, a.Body)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", b["created_at"].(string)); err != nil {
		t.Error(err)
	}
	h.Await("1", stowage.BackupAvailable)

	a = h.Call("demo:demo", http.MethodGet, base, "")
	if a.Status != http.StatusOK || a.Body != `{"backups":[{"id":"1","status":"available"}]}` {
		t.Errorf("list: %d %s", a.Status, a.Body)
	}
	detail := h.Call("demo:demo", http.MethodGet, base+"/detail", "").JSON(t)["backups"].([]any)[0].(map[string]any)
	show := h.Show("1")
	objects := float64(len(h.ObjectsIn("nightlybackups")))
	for _, b := range []map[string]any{detail, show} {
		for _, k := range append(want, "fail_reason", "size", "object_count") {
			if _, ok := b[k]; !ok {
				t.Errorf("details lack %s: %v", k, b)
			}
		}
		if b["fail_reason"] != nil || b["size"] != 1.0 || b["object_count"] != objects || objects < 3 || b["progress"] != 100.0 || b["is_incremental"] != false {
			t.Errorf("details: %v", b)
		}
	}
	a = h.Call("demo:demo", http.MethodPost, base+"/1/restore", `{"restore": {"volume_id": "9"}}`)
	if a.Status != http.StatusOK || a.Body != `{"restore":{"backup_id":"1","volume_id":"9"}}` {
		t.Errorf("restore: %d %s", a.Status, a.Body)
	}
	h.Await("1", stowage.BackupAvailable)
	a = h.Call("demo:demo", http.MethodDelete, base+"/1", "")
	if a.Status != http.StatusAccepted || a.Body != "" {
		t.Errorf("delete: %d %q", a.Status, a.Body)
	}
	h.Await("1", "")
}

func TestVolumeIdsComeAsStringsAndNumbers(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", 100)
	h.Volume("0a1b2c3d-0000-4000-8000-000000000001", 100)
	for _, id := range []string{`9`, `"0a1b2c3d-0000-4000-8000-000000000001"`, `"0A1B2C3D-0000-4000-8000-000000000001"`} {
		a := h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": `+id+`, "container": null, "display_name": null}}`)
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", id, a.Status, a.Body)
		}
		h.Await(a.JSON(t)["backup"].(map[string]any)["id"].(string), stowage.BackupAvailable)
	}
	if got := h.Show("1")["container"]; got != "volumebackups" {
		t.Errorf("the default container is %v", got)
	}
}

func TestWhatIsNotTheFormIsRefused(t *testing.T) {
	h, id := made(t)
	for _, body := range []string{
		``, `x`, `null`, `[]`, `"backup"`, `{}`, `{"backup": null}`, `{"backup": []}`, `{"backup": {}}`, `{"backup": {"volume_id": null}}`,
		`{"backup": {"volume_id": "9"}, "more": 1}`, `{"BACKUP": {"volume_id": "9"}}`, `{"backup": {"Volume_Id": "9"}}`, `{"backup": {"volume_id": "9", "more": 1}}`, `{"backup": {"volume_id": 9.5}}`,
		`{"backup": {"volume_id": -9}}`, `{"backup": {"volume_id": true}}`, `{"backup": {"volume_id": ["9"]}}`, `{"backup": {"volume_id": "../9"}}`,
		`{"backup": {"volume_id": ""}}`, `{"backup": {"volume_id": "9", "display_name": 7}}`, `{"backup": {"volume_id": "9", "container": {}}}`,
		`{"backup": {"volume_id": "9",}}`, `{"backup": {"volume_id": "9"}} {}`, "{\"backup\": {\"volume_id\": \"9\", \"display_name\": \"\xff\"}}",
	} {
		wantFault(t, h.Call("demo:demo", http.MethodPost, base, body), 400, "badRequest", "Incorrect request body format.")
	}
	for _, body := range []string{``, `x`, `{}`, `{"restore": null}`, `{"restore": "9"}`, `{"restore": {"volume": "9"}}`, `{"restore": {"volume_id": "x"}}`} {
		wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", body), 400, "badRequest", "Incorrect request body format.")
	}
}

func TestNamesAndContainersHaveBounds(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	h.Volume("9", 100)
	create := func(field, value string) harness.Answer {
		return h.Call("demo:demo", http.MethodPost, base, fmt.Sprintf(`{"backup": {"volume_id": "9", %q: %q}}`, field, value))
	}
	wantFault(t, create("display_name", strings.Repeat("é", 256)), 400, "badRequest", "display_name has more than 255 characters.")
	wantFault(t, create("display_description", strings.Repeat("é", 256)), 400, "badRequest", "display_description has more than 255 characters.")
	wantFault(t, create("container", "a/b"), 400, "badRequest", "Invalid container: the name contains a slash.")
	wantFault(t, create("container", strings.Repeat("é", 129)), 400, "badRequest", "Invalid container: the name has more than 256 bytes.")
	wantFault(t, create("container", ""), 400, "badRequest", `Invalid container: the name "" cannot be used.`)
	wantFault(t, create("container", ".."), 400, "badRequest", `Invalid container: the name ".." cannot be used.`)
	for i, field := range []string{"display_name", "display_description"} {
		value := strings.Repeat("🗄", 255)
		if a := create(field, value); a.Status != http.StatusOK {
			t.Fatalf("%s of 255 characters: %d %s", field, a.Status, a.Body)
		}
		if got := h.Await(fmt.Sprint(i+1), stowage.BackupAvailable)[field]; got != value {
			t.Errorf("%s came back as %v", field, got)
		}
	}
}

func TestEveryFaultOfTheSpecification(t *testing.T) {
	h, id := made(t)
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "77"}}`), 404, "itemNotFound", "Volume 77 could not be found.")
	wantFault(t, h.Call("demo:demo", http.MethodGet, base+"/77", ""), 404, "itemNotFound", "Backup 77 could not be found.")
	wantFault(t, h.Call("demo:demo", http.MethodDelete, base+"/77", ""), 404, "itemNotFound", "The resource could not be found.")
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/77/restore", `{"restore": {}}`), 404, "itemNotFound", "Backup 77 could not be found.")
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {"volume_id": 77}}`), 404, "itemNotFound", "Volume 77 could not be found.")
	for _, odd := range []string{"0", "-1", "x", "1e3", "01", "+1", "9223372036854775808"} {
		wantFault(t, h.Call("demo:demo", http.MethodGet, base+"/"+odd, ""), 404, "itemNotFound", "Backup "+odd+" could not be found.")
	}

	h.Volume("10", size)
	if _, err := h.Cinder.Volumes.Reserve(t.Context(), "10", "11111111-2222-4333-8444-555555555555"); err != nil {
		t.Fatal(err)
	}
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "10"}}`), 400, "badRequest",
		"Invalid volume: Volume to be backed up must be available")
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {"volume_id": "10"}}`), 400, "badRequest",
		"Invalid volume: Volume to be restored to must be available")

	// Taken between the look and the lock: the same answer.
	h.Cinder.Before("Reserve", func(v string) error {
		_, err := h.Cinder.Volumes.Reserve(context.Background(), v, "11111111-2222-4333-8444-555555555555")
		return err
	})
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "9"}}`), 400, "badRequest",
		"Invalid volume: Volume to be backed up must be available")
	h.Cinder.Before("Reserve", nil)
	if n := len(h.Call("demo:demo", http.MethodGet, base, "").JSON(t)["backups"].([]any)); n != 1 {
		t.Errorf("%d backups after a refused one", n)
	}

	big := h.Create2GiB(t)
	h.Volume("12", size)
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+big+"/restore", `{"restore": {"volume_id": "12"}}`), 400, "badRequest",
		"Invalid volume: Volume to be restored to is smaller than the backup to be restored")

	h.Cinder.Before("CreateUserVolume", func(string) error {
		return stowage.Errorf(stowage.OverLimit, "VolumeSizeExceedsAvailableQuota: ...")
	})
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+big+"/restore", `{"restore": {}}`), 400, "badRequest",
		"Volume quota exceeded. You cannot create a volume of size 2G")
	h.Await(big, stowage.BackupAvailable)
}

func TestABackupInAnotherStatusIsLeftAlone(t *testing.T) {
	h := harness.New(t)
	stop := h.Start(h.Manager("m1"))
	stop() // nobody takes the job for now
	h.Volume("9", size)
	id := h.Create("9")
	wantFault(t, h.Call("demo:demo", http.MethodDelete, base+"/"+id, ""), 400, "badRequest",
		"Invalid backup: Backup status must be available or error")
	wantFault(t, h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`), 400, "badRequest",
		"Invalid backup: Backup status must be available")
	if s := h.VolumeStatus("9"); s != stowage.VolumeBackingUp {
		t.Errorf("the volume is %s", s)
	}
}

func TestErrorsNobodyForesawSayNothing(t *testing.T) {
	h, _ := made(t)
	h.Containers.Before("Prepare", func(string) error { return errors.New("secret of 10.0.0.1") })
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "9"}}`), 500, "cloudServersFault",
		"Server Error, please try again later.")
	h.Containers.Before("Prepare", func(string) error { panic("secret of 10.0.0.1") })
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "9"}}`), 500, "cloudServersFault",
		"Server Error, please try again later.")
	if s := h.VolumeStatus("9"); s != stowage.VolumeAvailable {
		t.Errorf("the volume is %s", s)
	}
}

func TestTheFormsTheSpecificationLeavesOpen(t *testing.T) {
	h, id := made(t)
	wantFault(t, h.Call("reader:demo", http.MethodPost, base, `{"backup": {"volume_id": "9"}}`), 403, "forbidden",
		"Policy doesn't allow volume_backup:create to be performed.")
	h.Containers.Before("Prepare", func(string) error { return stowage.Errorf(stowage.Forbidden, "You may not write to it.") })
	wantFault(t, h.Call("demo:demo", http.MethodPost, base, `{"backup": {"volume_id": "9"}}`), 403, "forbidden", "You may not write to it.")
	a := h.Call("demo:demo", http.MethodPut, base+"/"+id, "")
	wantFault(t, a, 405, "badMethod", "The method is not allowed for this resource.")
	if a.Header.Get("Allow") != "GET, DELETE" {
		t.Errorf("Allow: %q", a.Header.Get("Allow"))
	}
	wantFault(t, h.Call("demo:demo", http.MethodGet, "/v1.1/demo/other", ""), 404, "itemNotFound", "The resource could not be found.")
	long := h.Call("demo:demo", http.MethodPost, base, strings.Repeat(" ", 114689))
	if long.Status != 413 || long.JSON(t)["overLimit"] == nil {
		t.Errorf("a long body: %d %s", long.Status, long.Body)
	}
	r := httptest.NewRequest(http.MethodPost, base, strings.NewReader("<backup/>"))
	r.Header.Set("X-Auth-Token", "demo:demo")
	r.Header.Set("Content-Type", "application/xml; charset=utf-8")
	w := httptest.NewRecorder()
	h.API.ServeHTTP(w, r)
	if w.Code != 415 || !strings.Contains(w.Body.String(), "badMediaType") {
		t.Errorf("XML: %d %s", w.Code, w.Body)
	}
}

func TestWhoIsNobodyGetsAChallenge(t *testing.T) {
	h := harness.New(t)
	for _, token := range []string{"", "a b:c", "x/y:z"} {
		a := h.Call(token, http.MethodGet, base, "")
		if a.Status != 401 || a.Header.Get("WWW-Authenticate") == "" || !strings.Contains(a.Body, `"title":"Unauthorized"`) {
			t.Errorf("token %q: %d %v %s", token, a.Status, a.Header, a.Body)
		}
	}
}

func TestTheTenantOfThePathMustBeTheTokens(t *testing.T) {
	h := harness.New(t)
	for _, token := range []string{"demo:other", "admin:other"} {
		wantFault(t, h.Call(token, http.MethodGet, base, ""), 400, "badRequest", "Malformed request url")
	}
}

func TestTenantsNeverSeeEachOther(t *testing.T) {
	h, id := made(t)
	other := harness.Base("other")
	if a := h.Call("eve:other", http.MethodGet, other+"?all_tenants=1&project_id=demo", ""); a.Body != `{"backups":[]}` {
		t.Errorf("list: %s", a.Body)
	}
	if a := h.Call("eve:other", http.MethodGet, other+"/detail?project_id=demo", ""); a.Body != `{"backups":[]}` {
		t.Errorf("details: %s", a.Body)
	}
	for _, query := range []string{"", "?all_tenants=1", "?project_id=demo"} {
		wantFault(t, h.Call("eve:other", http.MethodGet, other+"/"+id+query, ""), 404, "itemNotFound", "Backup 1 could not be found.")
		wantFault(t, h.Call("eve:other", http.MethodDelete, other+"/"+id+query, ""), 404, "itemNotFound", "The resource could not be found.")
		wantFault(t, h.Call("eve:other", http.MethodPost, other+"/"+id+"/restore"+query, `{"restore": {}}`), 404, "itemNotFound", "Backup 1 could not be found.")
	}
	target := h.Call("demo:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`).JSON(t)["restore"].(map[string]any)["volume_id"].(string)
	h.Await(id, stowage.BackupAvailable)
	wantFault(t, h.Call("eve:other", http.MethodPost, other, `{"backup": {"volume_id": "`+target+`"}}`), 404, "itemNotFound",
		"Volume "+target+" could not be found.")
}

func TestReadersReadMembersActAdminsReachEveryProject(t *testing.T) {
	h, id := made(t)
	for _, path := range []string{base, base + "/detail", base + "/" + id} {
		if a := h.Call("reader:demo", http.MethodGet, path, ""); a.Status != 200 {
			t.Errorf("a reader's GET %s: %d", path, a.Status)
		}
	}
	wantFault(t, h.Call("reader:demo", http.MethodDelete, base+"/"+id, ""), 403, "forbidden", "Policy doesn't allow volume_backup:delete to be performed.")
	wantFault(t, h.Call("reader:demo", http.MethodPost, base+"/"+id+"/restore", `{"restore": {}}`), 403, "forbidden",
		"Policy doesn't allow volume_backup:restore to be performed.")

	admin := harness.Base("ops")
	if a := h.Call("admin:ops", http.MethodGet, admin, ""); a.Body != `{"backups":[]}` {
		t.Errorf("an admin's own list: %s", a.Body)
	}
	for _, query := range []string{"?all_tenants=1", "?all_tenants=True", "?project_id=demo"} {
		a := h.Call("admin:ops", http.MethodGet, admin+"/detail"+query, "")
		if list := a.JSON(t)["backups"].([]any); len(list) != 1 || list[0].(map[string]any)["project_id"] != "demo" {
			t.Errorf("an admin's list with %s: %s", query, a.Body)
		}
		if a := h.Call("admin:ops", http.MethodGet, admin+"/"+id+query, ""); a.Status != 200 {
			t.Errorf("an admin's show with %s: %d %s", query, a.Status, a.Body)
		}
	}
	wantFault(t, h.Call("admin:ops", http.MethodGet, admin+"/"+id, ""), 404, "itemNotFound", "Backup 1 could not be found.")
	wantFault(t, h.Call("admin:ops", http.MethodGet, admin+"?all_tenants=maybe", ""), 400, "badRequest", "Invalid value for all_tenants.")
	if a := h.Call("admin:ops", http.MethodDelete, admin+"/"+id+"?all_tenants=1", ""); a.Status != 202 {
		t.Errorf("an admin's delete: %d %s", a.Status, a.Body)
	}
	h.Await(id, "")
}

func TestListsArePaged(t *testing.T) {
	h := harness.New(t)
	h.Start(h.Manager("m1"))
	for i := range 5 {
		v := fmt.Sprint(i + 20)
		h.Volume(v, 10)
		h.Await(h.Create(v), stowage.BackupAvailable)
	}
	var seen []string
	path := base + "?limit=2"
	for path != "" {
		body := h.Call("demo:demo", http.MethodGet, path, "").JSON(t)
		for _, b := range body["backups"].([]any) {
			seen = append(seen, b.(map[string]any)["id"].(string))
		}
		path = ""
		if links, ok := body["backups_links"].([]any); ok {
			path = strings.TrimPrefix(links[0].(map[string]any)["href"].(string), "http://example.com")
		}
	}
	if fmt.Sprint(seen) != "[1 2 3 4 5]" {
		t.Errorf("seen %v", seen)
	}
	for _, query := range []string{"limit=-1", "limit=x", "limit=", "marker=x", "marker=-1"} {
		if a := h.Call("demo:demo", http.MethodGet, base+"?"+query, ""); a.Status != 400 {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	for _, query := range []string{"status=%C3%BC", "status=gone", "volume_id=%C3%BC", "display_name=x"} {
		if a := h.Call("demo:demo", http.MethodGet, base+"?"+query, ""); a.Status != 200 || a.Body != `{"backups":[]}` {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	if a := h.Call("demo:demo", http.MethodGet, base+"?limit=0", ""); a.Body != `{"backups":[]}` {
		t.Errorf("limit=0: %s", a.Body)
	}
	if a := h.Call("demo:demo", http.MethodGet, base+"?volume_id=22", ""); a.Body != `{"backups":[{"id":"3","status":"available"}]}` {
		t.Errorf("of one volume: %s", a.Body)
	}
}

func TestDiscoveryAndHealthNeedNoToken(t *testing.T) {
	h := harness.New(t)
	for path, want := range map[string]string{
		"/":            `"versions":[{"id":"v1.1","status":"CURRENT"`,
		"/v1.1/":       `"version":{"id":"v1.1"`,
		"/v1.1":        `"rel":"self","href":"http://example.com/v1.1/"`,
		"/healthcheck": "OK",
	} {
		if a := h.Call("", http.MethodGet, path, ""); a.Status != 200 || !strings.Contains(a.Body, want) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := h.Call("", http.MethodHead, "/healthcheck", ""); a.Status != 204 {
		t.Errorf("HEAD /healthcheck: %d", a.Status)
	}
}

func TestRequestIdsComeInAndGoOut(t *testing.T) {
	h, _ := made(t)
	const global = "req-00000000-1111-2222-3333-444444444444"
	for _, sent := range []string{global, "req-x\nforged"} { // in this order: the ids of the backups tell
		want := sent == global
		r := httptest.NewRequest(http.MethodPost, base, strings.NewReader(`{"backup": {"volume_id": "9"}}`))
		r.Header.Set("X-Auth-Token", "demo:demo")
		r.Header["X-Openstack-Request-Id"] = []string{sent}
		w := httptest.NewRecorder()
		h.API.ServeHTTP(w, r)
		own := w.Header().Get("X-Openstack-Request-Id")
		if own == sent || !strings.HasPrefix(own, "req-") || own != w.Header().Get("X-Compute-Request-Id") {
			t.Errorf("request ids %v", w.Header())
		}
		jobs, err := h.DB.BackupJobs(t.Context(), map[bool]int64{true: 2, false: 3}[want])
		if want {
			if err != nil || len(jobs) != 1 || jobs[0].RequestID != sent {
				t.Errorf("the job knows %+v: %v", jobs, err)
			}
			h.Await("2", stowage.BackupAvailable)
			h.Until("the volume is free", func() bool { return h.VolumeStatus("9") == stowage.VolumeAvailable })
		} else if len(jobs) == 1 && jobs[0].RequestID == sent {
			t.Error("a forged id went through")
		}
	}
}
