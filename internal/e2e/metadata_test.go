//go:build stack

package e2e

import (
	"maps"
	"testing"

	"github.com/stowage/stowage"
)

// A bootable volume with metadata of all kinds is lost, and comes back as it was.
func TestANewVolumeIsLikeTheOneThatWasLost(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{})
	s.manager("m1")
	meta := map[string]string{"owner": "Zoë", "tier": "gold"}
	source := s.demo.make(1, fields{"volume_type": "ceph", "availability_zone": "nova", "metadata": meta, "description": "the only copy"})
	s.volumes = append(s.volumes, source)
	s.demo.action(source, "os-set_bootable", fields{"bootable": true}, 200)
	images := map[string]string{"os_type": "linux", "hw_disk_bus": "scsi", "image_name": "debian"}
	s.demo.action(source, "os-set_image_metadata", fields{"metadata": images}, 200)
	fill(s, source, gib, dots("boot", 10))
	want, was := contents(s, source), s.demo.show(source)
	id := s.create(source)
	s.await(id, stowage.BackupAvailable)
	s.free(source)
	s.settled()
	s.demo.delete(source)

	target := s.restore(id, "")
	s.await(id, stowage.BackupAvailable)
	s.free(target)
	now := s.demo.show(target)
	if now.Bootable != "true" || now.VolumeType != was.VolumeType || now.Zone != was.Zone || now.Size != 1 {
		s.Errorf("the volume was %+v and is %+v", was, now)
	}
	if now.Metadata["src_backup_id"] == "" {
		s.Errorf("the metadata names no backup: %v", now.Metadata)
	}
	delete(now.Metadata, "src_backup_id")
	if !maps.Equal(now.Metadata, meta) {
		s.Errorf("the metadata was %v and is %v", meta, now.Metadata)
	}
	for k, v := range images {
		if now.Image[k] != v {
			s.Errorf("the image metadata was %v and is %v", images, now.Image)
		}
	}
	s.equal(target, want)
	s.settled()
}
