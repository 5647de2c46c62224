package mount

import (
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stowage/stowage"
)

// volumes are the names that libguestfs gives to disks, partitions and logical
// volumes; it has others, for parts of file systems.
var volumes = regexp.MustCompile(`^/dev/[A-Za-z0-9_.+][A-Za-z0-9_.+/-]{0,200}$`)

// maxFileSystems bounds what is looked at: a partition table may list thousands.
const maxFileSystems = 64

// notFiles are what libguestfs finds that holds no files.
var notFiles = []string{"swap", "unknown", "LVM2_member", "crypto_LUKS", "BitLocker", "linux_raid_member"}

// fileSystems finds those that can be mounted, by trying.
func (g *guest) fileSystems(log *slog.Logger) ([]stowage.FileSystem, error) {
	told, err := g.call("list-filesystems")
	if err != nil {
		return nil, err
	}
	var found []stowage.FileSystem
	for line := range strings.Lines(string(told)) {
		volume, kind, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || !volumes.MatchString(volume) || strings.Contains(volume, "..") || slices.Contains(notFiles, kind) {
			continue
		}
		if len(found) == maxFileSystems {
			log.Warn("a backup has more file systems than are looked at", "most", maxFileSystems)
			break
		}
		one := stowage.FileSystem{Volume: volume, Type: clip(kind, 32), Path: strings.TrimPrefix(volume, "/dev")}
		if one.Label, err = g.label(volume); err != nil { // before it is mounted: that of NTFS is not told afterwards
			return nil, err
		}
		if err := g.mount(volume); err != nil {
			if g.gone() {
				return nil, err
			}
			log.Info("a file system of a backup cannot be mounted", "volume", volume, "type", kind, "error", err)
			continue
		}
		if one.Size, err = g.number("blockdev-getsize64", volume); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

// gone reports whether the virtual machine has ended.
func (g *guest) gone() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// label is empty where there is none.
func (g *guest) label(volume string) (string, error) {
	told, err := g.call("vfs-label", volume)
	if err != nil && g.gone() {
		return "", err
	}
	return clip(text(strings.TrimSuffix(string(told), "\n")), 255), nil
}

func (g *guest) number(command string, args ...string) (int64, error) {
	told, err := g.call(command, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(told)), 10, 64)
}

// mount makes a file system the root of the virtual machine's tree.
func (g *guest) mount(volume string) error {
	if g.on == volume {
		return nil
	}
	if g.on != "" {
		if _, err := g.call("umount-all"); err != nil {
			g.end() // who knows what is mounted now
			return errDead
		}
		g.on = ""
	}
	if _, err := g.call("mount-ro", volume, "/"); err != nil {
		return err
	}
	g.on = volume
	return nil
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}
