// Package cloud talks to the services beside us: Cinder for volumes, Swift for
// the tenant's containers, and Nova, Neutron and Keystone for the inventory of
// what there is to protect and for building servers again. The real ones are
// reached through gophercloud (package cloud/openstack); cloud/embedded stands in
// for them in standalone mode and in tests, and passes the same suite
// (cloud/cloudtest).
//
// Calls with a User act with that tenant's own token, so that his rights,
// policies and quota decide. All other calls use the service's credentials; those
// of Servers that make something in a project use them inside that project.
// No token leaves this package, is stored or logged.
package cloud

import (
	"context"
	"time"

	"github.com/stowage/stowage"
)

// User is the tenant on whose behalf a call is made.
type User struct {
	ProjectID string
	UserID    string
	Token     string // never log
	RequestID string // passed on as X-Openstack-Request-Id (global request id)
}

// Volume is a volume as Cinder tells it.
type Volume struct {
	ID               string
	ProjectID        string
	Name             string
	Description      string
	Status           string
	SizeGiB          int64
	Type             string // name of the volume type
	AvailabilityZone string
	Bootable         bool
	Encrypted        bool
	Multiattach      bool
	Metadata         map[string]string
	ImageMetadata    map[string]string
	Attachments      int    // how many servers it is attached to
	ServerID, Device string // one of them, and what it is called there
	CreatedAt        time.Time

	// Seen with the service's credentials only:
	Host            string // host@backend#pool
	NameID          string // the id in the backend's name if it is not ID
	MigrationStatus string
}

// VolumeRequest asks for a new volume.
type VolumeRequest struct {
	Name             string
	Description      string
	SizeGiB          int64
	Type             string // empty: Cinder's default
	AvailabilityZone string // empty: Cinder's choice
	Metadata         map[string]string
}

// Volumes is what Stowage asks of Cinder.
type Volumes interface {
	// UserVolume gives a volume that the user may see: NotFound otherwise.
	UserVolume(ctx context.Context, user User, id string) (Volume, error)

	// CreateUserVolume makes a volume in the user's project and returns while
	// it is still being made. OverLimit with Cinder's message: his quota.
	// Invalid: Cinder refuses it so (type or zone are gone, for instance).
	CreateUserVolume(ctx context.Context, user User, req VolumeRequest) (Volume, error)

	// Volume gives any volume, with the service's eyes: NotFound if there is none.
	Volume(ctx context.Context, id string) (Volume, error)

	// FindVolumes gives the project's volumes whose metadata has this pair. Keys
	// are what Cinder takes: ^[a-zA-Z0-9-_:. /]{1,255}$.
	FindVolumes(ctx context.Context, projectID, key, value string) ([]Volume, error)

	// Locate says which backend a volume (as Volume gave it) is on and what it
	// is called there. Unavailable: Cinder does not tell (its volume service
	// is away and was never seen).
	Locate(ctx context.Context, vol Volume) (stowage.VolumeLocation, error)

	// Reserve takes the volume for the owner (a UUID) if and only if it is
	// available, in one atomic step, and gives the id of the attachment that
	// stands for the lock. Conflict: it was not available, be it that this very
	// owner has it. Invalid as Cinder says. Any other error: look with Lock before you claim anything.
	Reserve(ctx context.Context, volumeID, owner string) (attachment string, err error)

	// Lock finds the attachment the owner holds on the volume: NotFound if none,
	// or no such volume. Should he hold several, the others are released.
	Lock(ctx context.Context, volumeID, owner string) (attachment string, err error)

	// Release gives the lock back, which makes the volume available. Gone
	// already is no error.
	Release(ctx context.Context, attachment string) error

	// SetStatus sets the volume's status blindly: call it only for a volume
	// whose lock is ours, or to set error_restoring on one we have spoilt.
	SetStatus(ctx context.Context, volumeID, status string) error

	// SetMetadata replaces the user metadata, adds to the image metadata, and
	// sets the bootable flag of a restored volume. Cinder takes it in three
	// calls; after an error it may be called again.
	SetMetadata(ctx context.Context, volumeID string, meta, image map[string]string, bootable bool) error
}

// Server is a server as Nova tells it.
type Server struct {
	ID, ProjectID, Name string
	Status              string
	Deleted             bool
	Zone, Host          string
	FlavorID            string
	Tags                []string
	Metadata            map[string]string
	Networks            []stowage.EntityNetwork
	Volumes             []string // ids
	CreatedAt           time.Time
}

// Inventory is what there is in all projects, with the service's eyes. A
// service that the cloud does not have has nothing.
type Inventory interface {
	// EachServer calls fn for every server, or for those that changed after since
	// if that is not zero: then the deleted ones are among them. An error of fn's
	// ends it.
	EachServer(ctx context.Context, since time.Time, fn func(Server) error) error
	// EachVolume calls fn for every volume. An error of fn's ends it.
	EachVolume(ctx context.Context, fn func(Volume) error) error
	// Server and Volume give one alone. A list may lack what is there, as Nova's does
	// while a cell is down. NotFound is the service's own word that there is none;
	// whatever else goes wrong, nobody knows.
	Server(ctx context.Context, id string) (Server, error)
	Volume(ctx context.Context, id string) (Volume, error)
	// Resources lists what there is of a kind.
	Resources(ctx context.Context, kind stowage.ResourceKind) ([]stowage.Resource, error)
}

// Containers is what the API asks of the object store with the user's own
// token, before the service's credentials take over. A container's name that
// is empty, ., .. or has a slash is Invalid.
type Containers interface {
	// Prepare makes sure that the container exists in the user's account
	// (creating it), that he may write to it, and that the service may:
	// Forbidden with a message if not.
	Prepare(ctx context.Context, user User, container string) error

	// Serve makes sure that the service may use the container of the project by its
	// own rights, no user being there: Forbidden with a message if not.
	Serve(ctx context.Context, projectID, container string) error

	// MayRead checks that the user may read the container: NotFound if there
	// is no such container, Forbidden if he may not.
	MayRead(ctx context.Context, user User, container string) error

	// MayDelete checks that the user may delete objects of the container. A
	// container that does not exist has nothing to protect: no error.
	MayDelete(ctx context.Context, user User, container string) error
}
