//go:build stack

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// stored is what a manager logs of a backup that it has stored.
type stored struct {
	mode        string
	read, bytes int64
}

// stored reads all that the process has stored, in order.
func (p *process) stored() (all []stored) {
	p.t.Helper()
	data, err := os.ReadFile(p.log)
	fatal(p.t, err)
	return storedIn(p.t, p.name, string(data))
}

func storedIn(t testing.TB, name, log string) (all []stored) {
	t.Helper()
	for line := range strings.Lines(log) {
		_, rest, ok := strings.Cut(line, " mode=")
		if !ok || !strings.Contains(line, "backup stored") {
			continue
		}
		var one stored
		if _, err := fmt.Sscanf(rest, "%s read=%d stored=%d", &one.mode, &one.read, &one.bytes); err != nil {
			t.Fatalf("%s logs %q: %v", name, line, err)
		}
		all = append(all, one)
	}
	return all
}

// last wants the latest backup to have been made so.
func (p *process) last(mode string) stored {
	p.t.Helper()
	all := p.stored()
	if len(all) == 0 {
		p.t.Fatalf("%s tells of no backup", p.name)
	}
	one := all[len(all)-1]
	if one.mode != mode {
		p.t.Errorf("the backup is %+v, and should be %s", one, mode)
	}
	return one
}

// point is a backup and what it must give back.
type point struct{ id, want string }

// point backs up the volume as it is.
func (s *site) point(volume string) point {
	s.Helper()
	want := contents(s, volume)
	id := s.create(volume)
	s.await(id, stowage.BackupAvailable)
	s.free(volume)
	return point{id, want}
}

// comesBack restores each point to a new volume, and compares.
func (s *site) comesBack(points ...point) {
	s.Helper()
	for _, p := range points {
		target := s.restore(p.id, "")
		if b := s.await(p.id, stowage.BackupAvailable); b.FailReason != "" {
			s.Errorf("backup %s: %s", p.id, b.FailReason)
		}
		s.free(target)
		s.equal(target, p.want)
	}
}

func (s *site) storedBytes(p point) int64 {
	s.Helper()
	return query[int64](s, "SELECT stored_bytes FROM backups WHERE id = ?", p.id)
}

// keptOf is the one snapshot that is kept of the volume.
func (s *site) keptOf(volume string, p point) string {
	s.Helper()
	s.settled()
	left := snapshots(s, volume)
	uuid := query[string](s, "SELECT uuid FROM backups WHERE id = ?", p.id)
	if len(left) != 1 || !strings.HasPrefix(left[0], "backup."+uuid+".snap.") {
		s.Fatalf("the snapshots %v are kept, and should be the one of backup %s", left, uuid)
	}
	return left[0]
}

// A second backup reads and stores what changed; each can be deleted first.
func TestAnIncrementReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int{"the oldest first": {0, 1, 2}, "the newest first": {2, 1, 0}, "from the middle": {1, 0, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := deploy(t, plan{smallPacks: true})
			m := s.manager("m1")
			source, _ := s.source(many)
			points := []point{s.point(source)}
			m.last("full")
			s.keptOf(source, points[0])
			for i := range 2 {
				fill(s, source, gib, dots(fmt.Sprint("change ", i), 3))
				points = append(points, s.point(source))
				one := m.last("changed")
				// What changed is three times 64 KiB, RBD tells it by objects of
				// 4 MiB at most; chunks have 256 KiB.
				if one.read > 3*4*mib || one.bytes > 3*256*kib {
					s.Errorf("an increment reads and stores %+v", one)
				}
				if n := s.storedBytes(points[i+1]); n != one.bytes || n == 0 {
					s.Errorf("the increment tells of %d bytes, its manager of %d", n, one.bytes)
				}
				s.keptOf(source, points[i+1])
			}
			s.comesBack(points...)
			s.settled()
			left := slices.Clone(points)
			for _, i := range order {
				s.gone(points[i].id)
				left = slices.DeleteFunc(left, func(p point) bool { return p == points[i] })
				s.comesBack(left...)
				s.settled()
			}
			if have := s.demo.objects(s.container); len(have) != 0 {
				s.Errorf("left in the container: %v", have)
			}
			if have := snapshots(s, source); len(have) != 0 {
				s.Errorf("left in the pool: %v", have)
			}
		})
	}
}

// Whoever removes the kept snapshot costs us time, and nothing else.
func TestABaseThatIsRemovedByHandCostsTime(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{smallPacks: true})
	m := s.manager("m1")
	source, _ := s.source(many)
	first := s.point(source)
	rbd(t, "snap", "rm", "--no-progress", image(t, source)+"@"+s.keptOf(source, first))
	fill(s, source, gib, dots("change", 3))
	second := s.point(source)
	if one := m.last("compared"); one.bytes > 3*256*kib {
		s.Errorf("what is compared stores %+v", one)
	}
	s.keptOf(source, second)
	fill(s, source, gib, dots("another", 2))
	third := s.point(source)
	m.last("changed")
	s.comesBack(first, second, third)
	s.gone(third.id)
	s.settled() // and the base with it
	fill(s, source, gib, dots("yet another", 1))
	fourth := s.point(source)
	m.last("compared")
	s.comesBack(second, fourth)
	for _, p := range []point{first, second, fourth} {
		s.gone(p.id)
	}
	s.settled()
}

// A kept snapshot is not in the way of a tenant who deletes his volume, and
// backups outlive it.
func TestAVolumeWithABaseIsDeleted(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{smallPacks: true})
	s.manager("m1")
	source, _ := s.source(many)
	first := s.point(source)
	s.keptOf(source, first)
	fill(s, source, gib, dots("change", 3))
	second := s.point(source)
	s.keptOf(source, second)
	s.demo.delete(source)
	if left := trashed(s, source); len(left) > 0 {
		s.Errorf("the volume is left in the trash: %v", left)
	}
	s.comesBack(first, second)
	s.gone(second.id)
	s.comesBack(first)
	s.gone(first.id)
	s.settled()
	if n := query[int](s, "SELECT COUNT(*) FROM bases"); n != 0 {
		s.Errorf("%d bases are remembered of volumes that are gone", n)
	}
	if have := s.demo.objects(s.container); len(have) != 0 {
		s.Errorf("left in the container: %v", have)
	}
}

// A volume that is restored to is another one afterwards; what changed is known
// all the same.
func TestAnIncrementAfterARestore(t *testing.T) {
	t.Parallel()
	s := deploy(t, plan{smallPacks: true})
	m := s.manager("m1")
	source, _ := s.source(many)
	first := s.point(source)
	fill(s, source, gib, dots("change", 30))
	second := s.point(source)
	s.restore(first.id, source)
	s.await(first.id, stowage.BackupAvailable)
	s.free(source)
	s.equal(source, first.want)
	third := s.point(source)
	m.last("changed")
	if third.want != first.want {
		t.Error("the volume is not as it was at first")
	}
	s.comesBack(first, second, third)
	for _, p := range []point{first, third, second} {
		s.gone(p.id)
	}
	s.settled()
}
