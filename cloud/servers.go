package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/stowage/stowage"
)

// ServerRequest asks for a server. What is empty is left to Nova.
type ServerRequest struct {
	Name     string
	FlavorID string
	ImageID  string // empty: it boots from the first volume
	Zone     string
	KeyName  string
	Metadata map[string]string
	Tags     []string
	Config   bool // a config drive
	Volumes  []stowage.ServerDisk
	Ports    []stowage.ServerPort // ID is not looked at
	// Mark is a UUID that finds the server and its ports again, whatever becomes of
	// the answer. One mark is one server.
	Mark string
}

// ServerState is how a server that was asked for gets on.
type ServerState struct {
	ID     string
	Status string // as Nova says: BUILD, ACTIVE, ERROR, ...
	Fault  string // why it is in ERROR, as Nova says
}

// The statuses of a server that are looked for.
const (
	ServerBuild  = "BUILD"
	ServerActive = "ACTIVE"
	ServerError  = "ERROR"
)

// Snapshot is one that Cinder has of a volume.
type Snapshot struct {
	ID, VolumeID string
	Mark         string // that it was taken for; empty: it is not known as ours
}

// SecurityGroup is one that ports can have.
type SecurityGroup struct{ ID, Name string }

// Servers is what Stowage asks of Nova and Neutron to protect whole servers. What
// it builds it builds with the service's own rights in the server's project, which
// the operator gives it there, and with the project's quota: Forbidden, with a
// message, where it has none.
type Servers interface {
	// Server gives any server, with the service's eyes, and all that is needed to
	// build it again. NotFound: there is none, or it was deleted.
	Server(ctx context.Context, id string) (stowage.ServerRecord, error)

	// BuildServer asks for a server and returns while it is being built. The ports are
	// made first, with their hardware addresses, addresses and security groups as far
	// as they are to be had; notes tell the user what was not (an address that is
	// another's, a security group or a keypair that is gone). Nothing is made a second
	// time for the same mark: what an earlier call made is gone on with. Invalid,
	// OverLimit: Nova or Neutron refuse; what was made until then stays for
	// RemoveServer.
	BuildServer(ctx context.Context, projectID string, req ServerRequest) (id string, notes []string, err error)

	// ServerState tells how a server gets on: NotFound if there is none.
	ServerState(ctx context.Context, id string) (ServerState, error)

	// RemoveServer removes what BuildServer made for the mark, server and ports, and
	// detaches its volumes, which stay, whatever DeleteWithServer says. It returns when the
	// server is gone and its volumes are free: Unavailable while they are not. Nothing there is no error.
	RemoveServer(ctx context.Context, projectID, mark string) error

	// SnapshotServer has Nova take snapshots of all volumes of a server that runs and
	// boots from a volume, in the project, and returns when they can be read: volumes
	// with the ids that Cinder gave. Nova quiesces the guest meanwhile if an agent in it
	// answers, and does not tell whether one did. The mark finds them again, for
	// RemoveServerSnapshots; whatever the error is, some may have been taken.
	SnapshotServer(ctx context.Context, projectID, id, mark string) (map[string]string, error)

	// RemoveServerSnapshots has Cinder remove the snapshots of a mark that are of the
	// volumes for which of says so, and returns when they are gone: Unavailable while
	// they are not. Nothing there is no error.
	RemoveServerSnapshots(ctx context.Context, projectID, mark string, of func(volumeID string) bool) error

	// SnapshotVolumes has Cinder take snapshots of the project's volumes, whatever uses
	// them, one right behind the other, and returns when they can be read: volumes with
	// the ids that Cinder gave. For the same mark each is taken once; whatever the error
	// is, some may have been taken. NotFound: a volume is none of the project's.
	// OverLimit: its quota.
	SnapshotVolumes(ctx context.Context, projectID string, volumes []string, mark string) (map[string]string, error)

	// ListSnapshots lists all snapshots of the project, whoever took them.
	ListSnapshots(ctx context.Context, projectID string) ([]Snapshot, error)

	// RemoveSnapshots has Cinder remove snapshots of the project by their ids, and
	// returns when they are gone: Unavailable while they are not. Gone is no error.
	RemoveSnapshots(ctx context.Context, projectID string, ids []string) error

	// SecurityGroups lists those that the project's ports can have: its own, and what
	// others share with all. Nothing where the cloud has no Neutron.
	SecurityGroups(ctx context.Context, projectID string) ([]SecurityGroup, error)

	// Console gives the end of what the server wrote on its console, at most some
	// hundred lines. Unavailable: there is none yet.
	Console(ctx context.Context, id string) (string, error)

	// CreateTestNetwork makes a network in the project with the subnets of another, so
	// that its addresses can be had in it, and without a router: it leads nowhere. The
	// mark finds it again; for the same mark and network it is made once. NotFound: there
	// is no such network.
	CreateTestNetwork(ctx context.Context, projectID, like, mark string) (id string, err error)

	// RemoveTestNetworks removes the networks of a mark. Gone is no error. Conflict: a
	// port is in one.
	RemoveTestNetworks(ctx context.Context, projectID, mark string) error

	// CreateVolume makes a volume in the project, as Volumes.CreateUserVolume does
	// with a user's token, and RemoveVolume deletes one that nobody uses; gone is no error.
	CreateVolume(ctx context.Context, projectID string, req VolumeRequest) (Volume, error)
	RemoveVolume(ctx context.Context, projectID, id string) error
}

// agentProperty is the property of an image, and so of a volume made of it, by which
// Nova knows that QEMU's guest agent answers in its guests.
const agentProperty = "hw_qemu_guest_agent"

// GuestAgent reports whether the image metadata of what a server boots from says that
// the guest agent is in it, in the words that OpenStack takes for true.
func GuestAgent(image map[string]string) bool {
	says := strings.ToLower(strings.TrimSpace(image[agentProperty]))
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, says)
}
