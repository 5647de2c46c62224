// Package mounttest makes disks with file systems on them, for tests, in
// libguestfs's virtual machine: the host's kernel mounts nothing.
package mounttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cache is where the appliance is kept between tests, so that it is made once.
func Cache(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("stowage-appliance-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Guestfish runs a script on a disk. Tests that need it fail where it is missing.
func Guestfish(t testing.TB, disk, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "guestfish", "--rw", "--format=raw", "-a", disk)
	cmd.Env = append(cmd.Environ(), "LIBGUESTFS_BACKEND=direct", "LIBGUESTFS_BACKEND_SETTINGS=force_tcg", "LIBGUESTFS_CACHEDIR="+Cache(t))
	cmd.Stdin = strings.NewReader("run\n" + script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("guestfish: %v\n%s", err, out)
	}
	return string(out)
}

// Noise is bytes that do not compress, always the same for a name.
func Noise(name string, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(data)
	return data
}

// Empty makes a sparse disk.
func Empty(t testing.TB, file string, size int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// Volumes are those of the disk that Whole makes, with the types of their file
// systems. Each has the label of the type in capitals, where it has one, and the
// files readme.txt and dir/big.bin, whose bytes Readme and Noise give for the type.
var Volumes = []struct{ Volume, Type, Label string }{
	{"/dev/sda1", "ext4", "EXT"},
	{"/dev/sda2", "xfs", "XFS"},
	{"/dev/sda3", "vfat", "FAT"},
	{"/dev/sda4", "ntfs", "NTFS"},
	{"/dev/vg0/root", "ext4", "LVMROOT"},
}

// BigBytes is how long dir/big.bin is: more than one piece of a download.
const BigBytes = 5<<20 + 17

// Readme is readme.txt of a volume.
func Readme(volume string) []byte { return []byte("This is " + volume + ".\n") }

// Whole makes a disk of 1 GiB with a partition table, partitions of ext4, XFS, FAT
// and NTFS, and one with LVM, in which there is ext4.
func Whole(t testing.TB, disk string) {
	t.Helper()
	Empty(t, disk, 1<<30)
	dir := t.TempDir()
	var s strings.Builder
	s.WriteString("part-init /dev/sda gpt\n")
	at := 2048
	for _, sectors := range []int{160 << 11, 340 << 11, 64 << 11, 96 << 11, 128 << 11} {
		fmt.Fprintf(&s, "part-add /dev/sda p %d %d\n", at, at+sectors-1)
		at += sectors
	}
	s.WriteString(`mkfs ext4 /dev/sda1 label:EXT
mkfs xfs /dev/sda2 label:XFS
mkfs vfat /dev/sda3 label:FAT
mkfs ntfs /dev/sda4
set-label /dev/sda4 NTFS
pvcreate /dev/sda5
vgcreate vg0 /dev/sda5
lvcreate root vg0 100
mkfs ext4 /dev/vg0/root label:LVMROOT
`)
	for i, v := range Volumes {
		for name, data := range map[string][]byte{"readme": Readme(v.Volume), "big": Noise(v.Volume, BigBytes)} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(name, i)), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&s, "mount %s /\nmkdir /dir\nupload %s/readme%d /readme.txt\nupload %s/big%d /dir/big.bin\numount-all\n", v.Volume, dir, i, dir, i)
	}
	Guestfish(t, disk, s.String())
}
