package stowage

import (
	"context"
	"io"
	"time"
)

// FileKind is what an entry of a directory is.
type FileKind string

// What else a directory may hold (devices, sockets, pipes) is not shown: there is
// nothing in it that a backup could give back as a file.
const (
	FileRegular    FileKind = "file"
	FileDirectory  FileKind = "directory"
	FileLink       FileKind = "link"
	FileBrokenLink FileKind = "broken-link" // leads to nothing of the same file system
)

// File is an entry of a directory in a backup.
type File struct {
	Name     string // its bytes as text; see package mount for those that are none
	Kind     FileKind
	Size     int64
	Modified time.Time
	Owner    int64
	Group    int64
	Mode     uint32 // the nine permission bits
}

// Listing is a directory in a backup, by name.
type Listing struct {
	Files []File
	Total int // how many there are; more than are listed: the directory is too large
}

// Download is a file of a backup, or several as one archive, about to be read.
type Download struct {
	Name string // proposed
	Zip  bool
	Size int64 // in bytes; -1: not known before the end
	// Copy writes it, once. An error means that what was written is not whole.
	Copy func(ctx context.Context, w io.Writer) error
	// Close gives up what is not copied. It may be called again.
	Close func() error
}
