//go:build stack

package e2e

import (
	"net/http"
	"strings"

	"github.com/stowage/stowage"
)

// backup is a backup as the HP API shows it.
type backup struct {
	ID          string
	Name        string `json:"display_name"`
	VolumeID    string `json:"volume_id"`
	Container   string
	Status      stowage.BackupStatus
	FailReason  string `json:"fail_reason"`
	CreatedAt   string `json:"created_at"`
	UpdatedAt   string `json:"updated_at"`
	Size        int
	ObjectCount int `json:"object_count"`
	Progress    int
	ProjectID   string `json:"project_id"`
}

// url is where a user's backups are.
func (s *site) url(u *user, suffix string) string {
	return s.base + "/v1.1/" + u.projectID + "/hp-volume-backups" + suffix
}

// call sends a request to the site's API.
func (s *site) call(u *user, method, suffix string, body any) answer {
	s.Helper()
	return send(s, u.token, method, s.url(u, suffix), body, nil)
}

type fields = map[string]any

// asks is the body of a create.
func (s *site) asks(volume string) fields {
	return fields{"backup": fields{"volume_id": volume, "container": s.container, "display_name": "of " + volume}}
}

// create begins a backup of demo's volume and gives its id.
func (s *site) create(volume string) string {
	s.Helper()
	var got struct{ Backup backup }
	s.call(s.demo, http.MethodPost, "", s.asks(volume)).want(s, 200).into(s, &got)
	if got.Backup.Status != stowage.BackupCreating || got.Backup.VolumeID != volume {
		s.Errorf("the answer to the create is %+v", got.Backup)
	}
	return got.Backup.ID
}

// backup shows demo's backup; its status is "" if there is none.
func (s *site) backup(id string) backup {
	s.Helper()
	var got struct{ Backup backup }
	a := s.call(s.demo, http.MethodGet, "/"+id, nil).want(s, 200, 404)
	if a.status == http.StatusOK {
		a.into(s, &got)
	}
	return got.Backup
}

// await waits until demo's backup has come to rest, and wants that status.
func (s *site) await(id string, want stowage.BackupStatus) (b backup) {
	s.Helper()
	until(s, "backup "+id+" comes to rest as "+string(want), func() bool {
		b = s.backup(id)
		return b.Status == "" || b.Status == stowage.BackupAvailable || b.Status == stowage.BackupError
	})
	if b.Status != want {
		s.Fatalf("backup %s is %q and not %q: %s", id, b.Status, want, b.FailReason)
	}
	return b
}

// restore begins a restore of demo's backup, to a new volume if there is none
// given, and gives the volume's id.
func (s *site) restore(id, volume string) string {
	s.Helper()
	target := s.restored(s.call(s.demo, http.MethodPost, "/"+id+"/restore", restoreTo(volume)).want(s, 200))
	if volume != "" && target != volume {
		s.Errorf("asked to restore to %s, restored to %s", volume, target)
	}
	return target
}

func restoreTo(volume string) fields {
	if volume == "" {
		return fields{"restore": fields{}}
	}
	return fields{"restore": fields{"volume_id": volume}}
}

// restored reads the answer of a restore.
func (s *site) restored(a answer) string {
	s.Helper()
	var got struct {
		Restore struct {
			Volume string `json:"volume_id"`
		}
	}
	a.into(s, &got)
	s.volumes = append(s.volumes, got.Restore.Volume)
	return got.Restore.Volume
}

// backed makes a source and a backup of it that is available.
func (s *site) backed(n int) (id, volume, want string) {
	s.Helper()
	volume, want = s.source(n)
	id = s.create(volume)
	s.await(id, stowage.BackupAvailable)
	return id, volume, want
}

// remove begins the deletion of demo's backup.
func (s *site) remove(id string) {
	s.Helper()
	s.call(s.demo, http.MethodDelete, "/"+id, nil).want(s, 202)
}

// gone deletes demo's backup and waits until nothing is left of it.
func (s *site) gone(id string) {
	s.Helper()
	s.remove(id)
	s.await(id, "")
}

// equal wants the volume to hold what was backed up.
func (s *site) equal(volume, want string) {
	s.Helper()
	if got := contents(s, volume); got != want {
		s.Errorf("volume %s does not hold what was backed up: %.16s, want %.16s", volume, got, want)
	}
}

// says wants a backup to tell why something failed.
func (s *site) says(b backup, words ...string) {
	s.Helper()
	s.Logf("the reason given is: %s", b.FailReason)
	for _, w := range words {
		if !strings.Contains(b.FailReason, w) {
			s.Errorf("the reason is %q, without %q", b.FailReason, w)
		}
	}
}

// The middle of things. Each waits until some of the work is seen from outside
// to be done, freezes the manager there, and makes sure that some is left.

// hurry has the managers that are started from now on work as fast as they can.
func (s *site) hurry() { s.slow, s.smallPacks = false, true }

func (s *site) freezeMidBackup(m *process) {
	s.Helper()
	before := len(s.demo.objects(s.container))
	quickly(s, "some packs are stored", func() bool { return len(s.demo.objects(s.container)) >= before+3 })
	m.freeze()
	s.stillRunning("backup")
}

func (s *site) freezeMidRestore(m *process, target string) {
	s.Helper()
	before := parts(s, target)
	quickly(s, "some of the volume is written", func() bool { return parts(s, target) >= before+3 })
	m.freeze()
	s.stillRunning("restore")
}

func (s *site) freezeMidDelete(m *process) {
	s.Helper()
	before := len(s.demo.objects(s.container))
	quickly(s, "some objects are deleted", func() bool { return len(s.demo.objects(s.container)) < before })
	m.freeze()
	if left := len(s.demo.objects(s.container)); left == 0 {
		s.Fatal("the delete was too quick to be frozen")
	}
	s.stillRunning("delete")
}

func (s *site) stillRunning(kind string) {
	s.Helper()
	if n := query[int](s, "SELECT COUNT(*) FROM jobs WHERE kind = ? AND state = 'running'", kind); n != 1 {
		s.Fatalf("the %s was too quick to be frozen", kind)
	}
}
