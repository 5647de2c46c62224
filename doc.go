// Package stowage holds the words every other package speaks, in the order a
// backup meets them:
//
//   - A Volume is a Cinder volume, known by its id, living on a Backend.
//   - A Backend is one pool of storage that managers can reach: a Ceph pool, an
//     LVM volume group on one host, a directory. Its key routes work.
//   - A Snapshot freezes a volume's contents; a backup reads a snapshot, never
//     the moving volume.
//   - An Extent is a run of bytes of a volume that holds data or is a hole.
//   - A Backup is one restorable point in time of a volume, kept as objects in
//     one container of the tenant's object store account.
//   - A Server's backup is a Backup, too, without objects of its own: it stands
//     for those of the server's volumes, of snapshots that one hand took.
//   - An Entity is what is protected as the inventory found it: a server, or a
//     volume, which is a disk of one or stands alone.
//   - A Mount is a backup whose files a manager serves without restoring it.
//   - A Job is one piece of manager work: make, restore, mount, verify or delete a
//     backup, or look at what the cloud holds.
//     Whoever holds its lease may work on it; its fencing token tells the
//     database which holder is the last one.
//   - An Error carries a Code that survives the way from a driver to the HTTP
//     answer.
//
// The package uses the standard library only and imports nothing of the
// project, so that every package can import it.
package stowage
