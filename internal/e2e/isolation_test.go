//go:build stack

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// list gives a user's backups by id.
func (s *site) list(u *user, query string) map[string]backup {
	s.Helper()
	var got struct{ Backups []backup }
	s.call(u, http.MethodGet, query, nil).want(s, 200).into(s, &got)
	list := map[string]backup{}
	for _, b := range got.Backups {
		list[b.ID] = b
	}
	return list
}

// Who may see and do what, with real tokens.
func TestBackupsAreTheirProjectsAlone(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	id, source, _ := s.backed(3)
	s.free(source)
	restore := "/" + id + "/restore"

	t.Run("another project sees nothing", func(t *testing.T) {
		for _, q := range []string{"", "/detail", "?all_tenants=1", "/detail?all_tenants=1", "?project_id=" + s.demo.projectID} {
			if list := s.list(s.alt, q); len(list) != 0 {
				t.Errorf("alt sees %v at %q", list, q)
			}
		}
		a := s.call(s.alt, http.MethodGet, "/"+id, nil).want(t, 404)
		b := s.call(s.alt, http.MethodGet, "/999999", nil).want(t, 404)
		if strings.ReplaceAll(a.body, id, "N") != strings.ReplaceAll(b.body, "999999", "N") {
			t.Errorf("what is another's is told from what is not there: %s, %s", a.body, b.body)
		}
		s.call(s.alt, http.MethodDelete, "/"+id, nil).want(t, 404)
		s.call(s.alt, http.MethodPost, restore, restoreTo("")).want(t, 404)
		s.call(s.alt, http.MethodPost, "", s.asks(source)).want(t, 404)
	})
	t.Run("nobody restores to another's volume", func(t *testing.T) {
		theirs := s.alt.make(1, nil)
		s.volumes = append(s.volumes, theirs)
		s.call(s.demo, http.MethodPost, restore, restoreTo(theirs)).want(t, 404)
	})
	t.Run("a reader looks and does not touch", func(t *testing.T) {
		if list := s.list(s.reader, "/detail"); list[id].VolumeID != source {
			t.Errorf("the reader sees %v", list)
		}
		s.call(s.reader, http.MethodGet, "/"+id, nil).want(t, 200)
		s.call(s.reader, http.MethodPost, "", s.asks(source)).want(t, 403)
		s.call(s.reader, http.MethodPost, restore, restoreTo("")).want(t, 403)
		s.call(s.reader, http.MethodDelete, "/"+id, nil).want(t, 403)
	})
	t.Run("a token is good for its own project only", func(t *testing.T) {
		url := s.url(s.demo, "")
		send(t, s.alt.token, http.MethodGet, url, nil, nil).want(t, 400)
		send(t, s.admin.token, http.MethodGet, url+"/"+id, nil, nil).want(t, 400)
		send(t, s.alt.token, http.MethodDelete, url+"/"+id, nil, nil).want(t, 400)
		for _, token := range []string{"", "garbage", s.demo.token[:len(s.demo.token)-4] + "AAAA"} {
			a := send(t, token, http.MethodGet, url, nil, nil).want(t, 401)
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Keystone uri=") {
				t.Errorf("the challenge is %q", a.header.Get("WWW-Authenticate"))
			}
		}
	})
	if b := s.backup(id); b.Status != stowage.BackupAvailable {
		s.Errorf("after all this the backup is %+v", b)
	}
	t.Run("an admin sees and deletes all", func(t *testing.T) {
		if list := s.list(s.admin, "/detail"); len(list) != 0 {
			t.Errorf("unasked, the admin sees %v", list)
		}
		if list := s.list(s.admin, "/detail?all_tenants=1"); list[id].ProjectID != s.demo.projectID {
			t.Errorf("the admin sees %v", list)
		}
		s.call(s.admin, http.MethodGet, "/"+id, nil).want(t, 404)
		s.call(s.admin, http.MethodGet, "/"+id+"?all_tenants=1", nil).want(t, 200)
		s.call(s.admin, http.MethodDelete, "/"+id+"?all_tenants=1", nil).want(t, 202)
		s.await(id, "")
	})
	s.settled()
}

// The same name is another container in another account, and names that mean
// something in a path mean nothing.
func TestAContainerIsTheTenantsOwn(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	s.bin(s.alt, s.container)
	s.alt.swift(http.MethodPut, "/"+s.container, nil, nil).want(t, 201)
	s.alt.object(http.MethodPut, s.container, "theirs", "secret").want(t, 201)
	id, source, _ := s.backed(3)
	if have := s.alt.objects(s.container); !slices.Equal(have, []string{"theirs"}) {
		t.Errorf("alt's container has %v", have)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../AUTH_" + s.alt.projectID + "/" + s.container, "/v1/AUTH_" + s.alt.projectID} {
		body := fields{"backup": fields{"volume_id": source, "container": name}}
		s.call(s.demo, http.MethodPost, "", body).want(t, 400)
	}
	// Percent signs are letters like any others.
	odd := s.bin(s.demo, "e2e %2F..%2fAUTH_"+s.alt.projectID+" "+s.id)
	var got struct{ Backup backup }
	s.call(s.demo, http.MethodPost, "", fields{"backup": fields{"volume_id": source, "container": odd}}).want(t, 200).into(t, &got)
	b := s.await(got.Backup.ID, stowage.BackupAvailable)
	if have := s.demo.objects(odd); len(have) != b.ObjectCount || len(have) == 0 {
		t.Errorf("container %q has %v", odd, have)
	}
	s.gone(b.ID)
	s.gone(id)
	s.settled()
}
