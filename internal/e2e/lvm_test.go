//go:build stack

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stowage/stowage"
)

// lvmSite is a site with a manager on a volume host of its own, in a guest.
type lvmSite struct {
	*site
	host    *volumeHost
	conf    string
	manager int // its pid in the guest
}

const lvmLog = "/tmp/stowage-manager.log"

// deployLVM makes a site with a volume host, whose manager runs. Should Cinder
// be slow to start in the guest, so is this: it takes a minute.
func deployLVM(t testing.TB, p plan) *lvmSite {
	t.Helper()
	s := &lvmSite{site: deploy(t, p)}
	s.host = hostVolumes(t, s.admin, hostName(s.id))
	dir := s.host.dir
	compile(t, filepath.Join(dir, "stowage"), "github.com/stowage/stowage/cmd/stowage")
	key, err := os.ReadFile(s.masterKey())
	fatal(t, err)
	masterKey := filepath.Join(dir, "master.key")
	fatal(t, os.WriteFile(masterKey, key, 0o600))
	var backends strings.Builder
	for _, kind := range kinds {
		fmt.Fprintf(&backends, "[lvm-%s]\nvolume_driver = lvm\nvolume_group = %s\nlvm_host = %s\n\n", kind, groupOf(kind), s.host.name)
	}
	s.conf = s.confOf(hostConf{
		host: s.host.name, dir: dir, state: "/tmp/stowage", masterKey: masterKey,
		enabled: "lvm-thin,lvm-thick", backends: backends.String(),
	})
	t.Cleanup(s.keepLogs)
	s.serveLVM()
	return s
}

// serveLVM starts the manager in the guest.
func (s *lvmSite) serveLVM() {
	s.Helper()
	begun := time.Now().UnixMicro()
	s.manager = s.host.daemon(lvmLog, nil, filepath.Join(s.host.dir, "stowage"), "manager", "--config-file", s.conf)
	until(s, "the manager in the guest has reported itself", func() bool {
		if lives, err := s.host.Lives(s.manager); err != nil || !lives {
			s.Fatalf("the manager in the guest ended: %v\n%s", err, s.host.text(lvmLog))
		}
		return query[int](s.site, "SELECT COUNT(*) FROM services WHERE host = ? AND last_seen >= ? AND backends LIKE ? AND backends LIKE ?",
			s.host.name, begun, "%"+s.host.key("thin")+"%", "%"+s.host.key("thick")+"%") == 1
	})
}

// keepLogs has the guest's logs looked through with the others.
func (s *lvmSite) keepLogs() {
	text, err := s.host.Read(lvmLog)
	if err != nil {
		s.Errorf("the log of the manager in the guest: %v", err)
	}
	s.elsewhere = map[string]string{lvmLog: string(text)}
	if s.Failed() {
		lines := strings.SplitAfter(fernet.ReplaceAllString(string(text), "***"), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, " DEBUG ") })
		s.Logf("the manager in the guest:\n%s", strings.Join(lines[max(0, len(lines)-40):], ""))
	}
}

// lvmVolume is a volume of demo's in the guest.
type lvmVolume struct{ id, device string }

func (s *lvmSite) lvmVolume(kind string, size int) lvmVolume {
	s.Helper()
	id := s.demo.make(size, map[string]any{"volume_type": s.host.types[kind]})
	return s.known(kind, id)
}

// known notes a volume to be deleted in the end.
func (s *lvmSite) known(kind, id string) lvmVolume {
	s.host.volumes = append(s.host.volumes, id)
	return lvmVolume{id, "/dev/" + groupOf(kind) + "/volume-" + id}
}

// write writes random bytes as a tenant's machine does: so many KiB at an
// offset.
func (s *lvmSite) write(v lvmVolume, offset, kibs int64) {
	s.Helper()
	s.host.sh("dd if=/dev/urandom of=%s bs=64k seek=%d count=%d oflag=direct conv=notrunc", v.device, offset/(64*kib), kibs/64)
}

func (s *lvmSite) sum(v lvmVolume) string {
	s.Helper()
	sum, _, _ := strings.Cut(s.host.sh("sha256sum %s", v.device), " ")
	return sum
}

// lvmPoint backs a volume up as it is and tells how.
func (s *lvmSite) lvmPoint(v lvmVolume, mode string) point {
	s.Helper()
	want := s.sum(v)
	id := s.create(v.id)
	s.await(id, stowage.BackupAvailable)
	s.free(v.id)
	all := storedIn(s, s.host.name, s.host.text(lvmLog))
	if len(all) == 0 || all[len(all)-1].mode != mode {
		s.Errorf("of volume %s the backups were %+v, and the last should be %s", v.id, all, mode)
	}
	return point{id, want}
}

// lvmBack restores a point to a new volume, or to one that is there.
func (s *lvmSite) lvmBack(kind string, p point, to string) lvmVolume {
	s.Helper()
	target := s.restore(p.id, to)
	s.volumes = slices.DeleteFunc(s.volumes, func(v string) bool { return v == target }) // it is none of Ceph's
	v := s.known(kind, target)
	if b := s.await(p.id, stowage.BackupAvailable); b.FailReason != "" {
		s.Errorf("backup %s: %s", p.id, b.FailReason)
	}
	s.free(target)
	if host := s.hostOf(target); host != s.host.pool(kind) {
		s.Errorf("the %s volume was restored to %s", kind, host)
	}
	if got := s.sum(v); got != p.want {
		s.Errorf("%s volume %s holds %s, want %s", kind, target, got, p.want)
	}
	return v
}

func (s *lvmSite) hostOf(id string) string {
	s.Helper()
	var got struct {
		Volume struct {
			Host string `json:"os-vol-host-attr:host"`
		}
	}
	// Only an admin is shown the host.
	s.admin.cinder("GET", "/volumes/"+id, nil).want(s, 200).into(s, &got)
	return got.Volume.Host
}

// ours are the LVs of Stowage's in a volume group.
func (s *lvmSite) ours(kind string) (names []string) {
	s.Helper()
	for line := range strings.Lines(s.host.sh("lvs --noheadings -o lv_name,lv_tags %s", groupOf(kind))) {
		if name, tags, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(tags, "stowage.") {
			names = append(names, name)
		}
	}
	return names
}

// lvmSettled waits until nothing is under way and wants only the snapshots of
// these backups to be left.
func (s *lvmSite) lvmSettled(bases ...point) {
	s.Helper()
	s.settled()
	if left := s.ours("thick"); len(left) > 0 {
		s.Errorf("left on thick volumes: %v", left)
	}
	left := s.ours("thin")
	for _, p := range bases {
		uuid := query[string](s.site, "SELECT uuid FROM backups WHERE id = ?", p.id)
		left = slices.DeleteFunc(left, func(lv string) bool { return strings.HasPrefix(lv, "backup."+uuid+".snap.") })
	}
	if len(left) > 0 || len(s.ours("thin")) != len(bases) {
		s.Errorf("left on thin volumes: %v, of which %v should not be", s.ours("thin"), left)
	}
}

// Volumes of Cinder's LVM driver on a host of their own. Four stories in one: the
// host takes a while to come up.
func TestVolumesOfLVM(t *testing.T) {
	t.Parallel()
	s := deployLVM(t, plan{smallPacks: true})
	s.wholeLifeOfLVM()
	s.quiescedOnLVM()
	s.sideBySide()
	s.apart()
}

// Thick and thin: full backups, increments, restores to new volumes and to one
// that is there, and the user's deletion.
func (s *lvmSite) wholeLifeOfLVM() {
	thin, thick := s.lvmVolume("thin", 1), s.lvmVolume("thick", 1)
	points := map[string][]point{}
	for _, c := range []struct {
		kind, mode string
		v          lvmVolume
	}{{"thin", "changed", thin}, {"thick", "compared", thick}} {
		s.write(c.v, 0, 24*1024)
		s.write(c.v, 512*mib, 1024)
		first := s.lvmPoint(c.v, "full")
		s.write(c.v, 4*mib, 256)
		s.write(c.v, 800*mib, 128)
		second := s.lvmPoint(c.v, c.mode)
		points[c.kind] = []point{first, second}
		// What is kept is not in the way of Cinder's own extending.
		s.demo.action(c.v.id, "os-extend", fields{"new_size": 2}, 202)
		s.free(c.v.id)
		s.write(c.v, 1500*mib, 64)
		points[c.kind] = append(points[c.kind], s.lvmPoint(c.v, c.mode))
		if n := s.storedBytes(second); n == 0 || n > 2*mib {
			s.Errorf("the increment of the %s volume stored %d bytes", c.kind, n)
		}
	}
	s.lvmSettled(points["thin"][2])
	for _, kind := range kinds {
		fresh := s.lvmBack(kind, points[kind][0], "")
		// To one that is there, with other data in it.
		s.write(fresh, 100*mib, 4096)
		s.lvmBack(kind, points[kind][1], fresh.id)
	}
	s.lvmSettled(points["thin"][2])

	// A base is in nobody's way, and goes with its volume.
	s.demo.delete(thin.id)
	s.demo.delete(thick.id)
	if !within(2*patience, func() bool {
		return len(s.ours("thin")) == 0 && query[int](s.site, "SELECT COUNT(*) FROM bases") == 0
	}) {
		s.Errorf("of volumes that are gone there is %v", s.ours("thin"))
	}
	for _, kind := range kinds {
		s.lvmBack(kind, points[kind][2], "")
		for _, p := range points[kind] {
			s.gone(p.id)
		}
	}
	s.lvmSettled()
}

// A server with a thin and a thick volume is backed up while it runs. What is stored is
// what Cinder took as Nova quiesced the guest, and Cinder can remove it afterwards.
func (s *lvmSite) quiescedOnLVM() {
	thin, thick := s.lvmVolume("thin", 1), s.lvmVolume("thick", 1)
	s.write(thin, 0, 4*1024)
	s.write(thick, 0, 4*1024)
	s.demo.action(thin.id, "os-set_image_metadata", fields{"metadata": fields{"hw_qemu_guest_agent": "yes"}}, 200)
	was := s.boot(s.demo, "lvm-"+s.id, thin.id, thick.id)
	demo, _ := s.staff()
	demo.export("FULL", s.demo.projectID+":"+s.container, was.ID) // and the task says nothing of a guest that was not quiesced
	until(s, "what Nova took is gone", func() bool { return len(s.taken([]string{thin.id, thick.id})) == 0 })
	for _, kind := range kinds {
		if left := s.host.sh("lvs --noheadings -o lv_name %s", groupOf(kind)); strings.Contains(left, "_snapshot-") {
			s.Errorf("left on %s volumes: %s", kind, left)
		}
	}
	demo.forget(was.ID)
	s.scrap(was.ID)
	s.lvmSettled()
}

// A manager of Ceph's volumes and one of LVM's work side by side, each on its
// own; the one of LVM's is killed in the middle, and goes on afterwards.
func (s *lvmSite) sideBySide() {
	ceph := s.site.manager("ceph-host")
	image, want := s.source(40)
	volumes := map[string]lvmVolume{}
	sums, ids := map[string]string{}, map[string]string{}
	for _, kind := range kinds {
		volumes[kind] = s.lvmVolume(kind, 1)
		s.write(volumes[kind], 8*mib, 32*1024)
		sums[kind] = s.sum(volumes[kind])
	}
	ids["ceph"] = s.create(image)
	for _, kind := range kinds {
		ids[kind] = s.create(volumes[kind].id)
	}
	quickly(s, "a backup of LVM's is under way", func() bool {
		return query[int](s.site, "SELECT COUNT(*) FROM jobs WHERE state = 'running' AND backend LIKE 'lvm:%'") > 0 &&
			len(s.ours("thin"))+len(s.ours("thick")) > 0
	})
	s.host.kill(s.manager, syscall.SIGKILL)
	s.serveLVM()
	for what, id := range ids {
		s.await(id, stowage.BackupAvailable)
		s.Logf("the backup of the %s volume is there", what)
	}
	for _, kind := range kinds {
		s.free(volumes[kind].id)
	}
	s.free(image)

	// Whoever did it, it was the right one.
	lvm, other := s.host.text(lvmLog), s.read(ceph.log)
	for what, id := range ids {
		line := " backup=" + id + " "
		if strings.Contains(lvm, line) != (what != "ceph") || strings.Contains(other, line) != (what == "ceph") {
			s.Errorf("the backup of the %s volume was made by the wrong manager", what)
		}
	}
	s.lvmSettled(point{id: ids["thin"]})
	for _, kind := range kinds {
		s.lvmBack(kind, point{ids[kind], sums[kind]}, "")
	}
	s.comesBack(point{ids["ceph"], want})
	for _, id := range ids {
		s.gone(id)
	}
	s.lvmSettled()
}

// A server that boots from Ceph and has a volume of LVM's, which no one manager reaches, is
// backed up as one while it runs, and built again with both.
func (s *lvmSite) apart() {
	image, want := s.source(20)
	thin := s.lvmVolume("thin", 1)
	s.write(thin, 0, 4*1024)
	s.demo.action(image, "os-set_image_metadata", fields{"metadata": fields{"hw_qemu_guest_agent": "yes"}}, 200)
	was := s.boot(s.demo, "apart-"+s.id, image, thin.id)
	demo, _ := s.staff()
	to := s.demo.projectID + ":" + s.container
	demo.export("FULL", to, was.ID)
	s.write(thin, 600*mib, 1024)
	sum := s.sum(thin)
	backup := demo.export("INCREMENTAL", to, was.ID)[0]
	until(s, "what Nova took is gone", func() bool { return len(s.taken([]string{image, thin.id})) == 0 })

	s.scrap(was.ID)
	now := demo.build(s.demo, demo.restoreAsPanel(backup))
	disks := s.attachedTo(s.demo, now.ID)
	if now.Status != "ACTIVE" || len(disks) != 2 {
		s.Fatalf("it is %+v, with %v", now, disks)
	}
	made := s.known("thin", disks[1].VolumeID)
	s.volumes = slices.DeleteFunc(s.volumes, func(v string) bool { return v == made.id }) // it is none of Ceph's
	s.equal(disks[0].VolumeID, want)
	if got := s.sum(made); got != sum {
		s.Errorf("the volume of LVM's holds %s, want %s", got, sum)
	}
	demo.forget(was.ID)
	s.scrap(now.ID)
	s.lvmSettled()
}

func (s *site) read(name string) string {
	s.Helper()
	text, err := os.ReadFile(name)
	fatal(s, err)
	return string(text)
}
