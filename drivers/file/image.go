package file

import (
	"errors"
	"os"

	"github.com/stowage/stowage/drivers"
)

// CreateImage makes a file that nobody has yet, one hole of so many bytes, as
// the target of a restore outside of any backend.
// It is not locked: nobody knows of it before it is finished.
func CreateImage(name string, bytes int64) (drivers.Target, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, coded(err, "make %s", name)
	}
	if err := f.Truncate(bytes); err != nil {
		return nil, errors.Join(coded(err, "make %s", name), f.Close(), os.Remove(name))
	}
	return &target{f: f, name: name, size: bytes}, nil
}
