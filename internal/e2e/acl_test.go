//go:build stack

package e2e

import (
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// A tenant takes away what he has granted. He is told so, and grants again by
// asking for another backup.
func TestATenantMayShutTheServiceOut(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{slow: true, options: map[string]string{"lease_time": "60"}})
	m := s.manager("m1")
	source, want := s.source(many)

	first := s.create(source)
	s.freezeMidBackup(m)
	s.demo.revoke(s.container)
	m.thaw()
	s.says(s.await(first, stowage.BackupError), s.container)
	s.free(source)

	id := s.create(source)
	s.await(id, stowage.BackupAvailable)
	s.free(source)
	s.demo.revoke(s.container)
	target := s.restore(id, "")
	s.says(s.await(id, stowage.BackupAvailable), "Restore failed", s.container)
	until(t, "the volume shows it", func() bool { return s.demo.status(target) == stowage.VolumeErrorRestoring })
	s.remove(id)
	s.says(s.await(id, stowage.BackupError), s.container)

	again := s.create(source)
	s.await(again, stowage.BackupAvailable)
	s.free(source)
	target = s.restore(again, "")
	s.await(again, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.gone(first)
	s.gone(id)
	s.settled()
}

// As a reseller the service needs no access list, and leaves none.
func TestAResellerNeedsNoAccessList(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{reseller: true})
	s.manager("m1")
	id, source, want := s.backed(5)
	if read, write := s.demo.access(s.container); read != "" || write != "" {
		t.Errorf("the container may be read by %q and written by %q", read, write)
	}
	s.free(source)
	target := s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	s.equal(target, want)
	s.gone(id)
	s.settled()
}

// With access lists, the service gets its own user into the container's, beside
// what the tenant has there.
func TestAnAccessListKeepsWhatIsInIt(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	theirs := s.alt.projectID + ":*"
	s.demo.swift("PUT", "/"+s.container, nil, map[string]string{"X-Container-Read": theirs}).want(t, 201)
	id, _, _ := s.backed(3)
	read, write := s.demo.access(s.container)
	if !strings.HasPrefix(read, theirs+",") || strings.Count(read, ":") != 2 || strings.Count(write, ":") != 1 {
		t.Errorf("the container may be read by %q and written by %q", read, write)
	}
	s.gone(id)
	s.settled()
}
