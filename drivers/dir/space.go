package dir

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space tells how many bytes the file system of the directory has, used or not.
func (s *Stores) Space() (int64, error) {
	f, err := s.root.Open(".")
	if err != nil {
		return 0, fmt.Errorf("look at the directory of objects: %w", err)
	}
	defer f.Close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &stat); err != nil {
		return 0, fmt.Errorf("look at the file system of the objects: %w", err)
	}
	return int64(stat.Blocks) * stat.Bsize, nil
}
