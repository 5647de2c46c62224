// Package mount gives access to the files in a disk that is not there: a backup,
// read in pieces as they are needed.
//
//	ReaderAt -> HTTP on a Unix socket -> nbdkit -> NBD on a Unix socket -> qemu
//	                                                     guestfish -> its appliance
//
// What is in a backup is whatever a tenant wrote: file systems made to break
// whoever reads them, names with anything in them. So the host's kernel never
// mounts it. libguestfs does, in a virtual machine of its own with a kernel of its
// own, without a network, which sees the disk read-only (it writes, where a
// journal must be replayed, to a scratch file that goes with it). We talk to
// guestfish through pipes; no shell is between us. What it says is believed no
// further than the tenant's own data.
//
// guestfish does one thing at a time, so calls take turns. Each is short: a
// listing of one directory, or 4 MiB of a file. A client that is slow holds
// nobody up. A call that takes longer than CallTime ends the virtual machine, and
// the next call starts another one, a few times.
//
// All processes of a mount are in one process group. They end with the mount, and
// with the process that started them, however it ends.
//
// Names that are not UTF-8 are told as text that can be turned back (names.go).
package mount
