//go:build stack

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/internal/stacktest"
)

// fault wants the answer to be this fault to the letter.
func (a answer) fault(t testing.TB, status int, name, message string) {
	t.Helper()
	var got map[string]any
	err := json.Unmarshal([]byte(a.body), &got)
	want := fields{name: fields{"message": message, "code": float64(status)}}
	if err != nil || a.status != status || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %d %s, want %d %v", a.what, a.status, a.body, status, want)
	}
}

func (a answer) refused(t testing.TB, message string) {
	t.Helper()
	a.fault(t, http.StatusBadRequest, "badRequest", message)
}

// Every fault of the specification, provoked for real.
func TestEveryFaultOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{options: map[string]string{"service_down_time": "600", "lease_time": "600"}})
	m := s.manager("m1")
	id, source, _ := s.backed(3)
	s.free(source)
	restore := "/" + id + "/restore"
	nobody := "00000000-0000-4000-8000-000000000000"
	notFound := func(a answer, message string) { t.Helper(); a.fault(t, 404, "itemNotFound", message) }

	// What is not there.
	notFound(s.call(s.demo, http.MethodGet, "/4711", nil), "Backup 4711 could not be found.")
	notFound(s.call(s.demo, http.MethodPost, "/4711/restore", restoreTo("")), "Backup 4711 could not be found.")
	notFound(s.call(s.demo, http.MethodDelete, "/4711", nil), "The resource could not be found.")
	notFound(s.call(s.demo, http.MethodPost, "", s.asks(nobody)), "Volume "+nobody+" could not be found.")
	notFound(s.call(s.demo, http.MethodPost, restore, restoreTo(nobody)), "Volume "+nobody+" could not be found.")

	// What is no request.
	for _, body := range []string{"", "{", "[]", "{}", `{"backup": 1}`, `{"backup": {}}`, `{"backup": {"volume_id": true}}`} {
		s.call(s.demo, http.MethodPost, "", body).refused(t, "Incorrect request body format.")
	}
	for _, body := range []string{"", "{", "[]", "{}", `{"restore": 1}`, `{"restore": {"volume_id": "x"}}`} {
		s.call(s.demo, http.MethodPost, restore, body).refused(t, "Incorrect request body format.")
	}

	// Volumes that are busy or too small.
	small := s.volume(1)
	s.demo.action(small, "os-reserve", fields{}, 202)
	s.call(s.demo, http.MethodPost, "", s.asks(small)).refused(t, "Invalid volume: Volume to be backed up must be available")
	s.call(s.demo, http.MethodPost, restore, restoreTo(small)).refused(t, "Invalid volume: Volume to be restored to must be available")
	s.demo.action(small, "os-unreserve", fields{}, 202)
	large := s.volume(2)
	two := s.create(large)
	s.await(two, stowage.BackupAvailable)
	s.call(s.demo, http.MethodPost, "/"+two+"/restore", restoreTo(small)).
		refused(t, "Invalid volume: Volume to be restored to is smaller than the backup to be restored")

	// A backup that is being worked on: its manager hears nothing.
	m.freeze()
	busy := s.create(source)
	s.call(s.demo, http.MethodDelete, "/"+busy, nil).refused(t, "Invalid backup: Backup status must be available or error")
	s.call(s.demo, http.MethodPost, "/"+busy+"/restore", restoreTo("")).refused(t, "Invalid backup: Backup status must be available")
	s.call(s.demo, http.MethodPost, "", s.asks(source)).refused(t, "Invalid volume: Volume to be backed up must be available")
	m.thaw()
	s.await(busy, stowage.BackupAvailable)
	if b := s.backup(id); b.Status != stowage.BackupAvailable || b.FailReason != "" {
		t.Errorf("after all this the backup is %+v", b)
	}
	s.settled()

	// A database that is not what it should be.
	s.free(source)
	s.exec("RENAME TABLE backups TO gone")
	for _, r := range []struct {
		method, suffix string
		body           any
	}{
		{http.MethodGet, "", nil}, {http.MethodGet, "/detail", nil}, {http.MethodGet, "/" + id, nil},
		{http.MethodPost, "", s.asks(source)}, {http.MethodDelete, "/" + id, nil}, {http.MethodPost, restore, restoreTo("")},
	} {
		s.call(s.demo, r.method, r.suffix, r.body).fault(t, 500, "cloudServersFault", "Server Error, please try again later.")
	}
	s.exec("RENAME TABLE gone TO backups")
	s.free(source)
	s.await(id, stowage.BackupAvailable)
	s.settled()
}

// A restore to a new volume counts against the tenant's quota, of a project
// that was made for that.
func TestAQuotaStopsARestoreAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	name := "stowage-e2e-" + s.id
	project := s.project(name)
	for what, quota := range map[string]fields{
		"volumes": {"volumes": 1, "gigabytes": 100}, "gigabytes": {"volumes": 100, "gigabytes": 3},
	} {
		t.Run(what, func(t *testing.T) {
			home := s.demo
			defer func() { s.demo = home }()
			s.demo = logIn(t, "demo", name)
			s.container = s.bin(s.demo, name+"-"+what)
			s.quota(project, quota)
			source := s.volume(2)
			id := s.create(source)
			s.await(id, stowage.BackupAvailable)
			s.free(source)
			s.call(s.demo, http.MethodPost, "/"+id+"/restore", restoreTo("")).refused(t, "Volume quota exceeded. You cannot create a volume of size 2G")
			if b := s.await(id, stowage.BackupAvailable); b.FailReason != "" {
				t.Logf("the backup tells: %s", b.FailReason)
			}
			if made := s.demo.made([]string{source}); len(made) > 0 {
				t.Errorf("volumes were made: %v", made)
			}
			s.settled()
			s.quota(project, fields{"volumes": 100, "gigabytes": 100})
			target := s.restore(id, "")
			s.await(id, stowage.BackupAvailable)
			s.free(target)
			s.settled()
			for _, v := range []string{source, target} {
				s.demo.delete(v)
			}
		})
	}
}

// project makes a project in which demo is a member.
func (s *site) project(name string) (id string) {
	s.Helper()
	keystone := stacktest.Env(s, "KEYSTONE_URL")
	var got struct{ Project struct{ ID string } }
	s.admin.call(http.MethodPost, keystone+"/projects", fields{"project": fields{"name": name}}, nil).want(s, 201).into(s, &got)
	id = got.Project.ID
	s.projects = append(s.projects, id)
	var roles struct{ Roles []struct{ ID string } }
	s.admin.call(http.MethodGet, keystone+"/roles?name=member", nil, nil).want(s, 200).into(s, &roles)
	s.admin.call(http.MethodPut, fmt.Sprintf("%s/projects/%s/users/%s/roles/%s", keystone, id, stacktest.Env(s, "DEMO_USER_ID"), roles.Roles[0].ID), nil, nil).
		want(s, 204)
	return id
}

func (s *site) quota(project string, q fields) {
	s.Helper()
	s.admin.cinder(http.MethodPut, "/os-quota-sets/"+project, fields{"quota_set": q}).want(s, 200)
}
