package service

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Destination is a container, and what the object store tells of it.
type Destination struct {
	db.Container
	cloud.Capacity
	Directory bool // it stands in a directory, not in Swift
}

// The object store is asked beside each page that shows destinations, so what it said
// is remembered, also that it said nothing; not more than so many are asked for at
// once, and not for longer than people wait.
const (
	spacesKept   = 10_000
	spacesFor    = 5 * time.Minute
	spacesAsked  = 100
	spacesAtOnce = 8
	spacesWithin = 3 * time.Second
)

type spaceKey struct{ project, container string }

type space struct {
	cloud.Capacity
	until time.Time
}

func newSpaces() *lru.Cache[spaceKey, space] {
	c, err := lru.New[spaceKey, space](spacesKept)
	if err != nil {
		panic(err) // of a size that is not positive only
	}
	return c
}

// Spaces adds to containers of a list what the object store tells of them. For his own
// the user is asked for with his token; for others', by the service's rights. What is
// not told now is left out.
func (s *Service) Spaces(ctx context.Context, user cloud.User, list []db.Container) []Destination {
	out := make([]Destination, len(list))
	within, cancel := context.WithTimeout(ctx, spacesWithin)
	defer cancel()
	var asking errgroup.Group
	asking.SetLimit(spacesAtOnce)
	asked := 0
	for i, c := range list {
		out[i] = Destination{Container: c, Directory: s.Directory}
		key := spaceKey{c.ProjectID, c.Name}
		known, ok := s.spaces.Get(key)
		if ok = ok && s.Now().Before(known.until); ok || s.Capacities == nil || asked == spacesAsked || within.Err() != nil {
			if ok {
				out[i].Capacity = known.Capacity
			}
			continue
		}
		asked++
		as := user
		if as.ProjectID != c.ProjectID {
			as = cloud.User{ProjectID: c.ProjectID, RequestID: user.RequestID}
		}
		asking.Go(func() error {
			told, err := s.Capacities.Capacity(within, as, c.Name)
			if err != nil && stowage.CodeOf(err) != stowage.NotFound && stowage.CodeOf(err) != stowage.Forbidden {
				s.Log.InfoContext(ctx, "the object store does not tell how much fits", "project", c.ProjectID, "container", c.Name, "error", err)
			}
			out[i].Capacity = told
			if ctx.Err() == nil {
				s.spaces.Add(key, space{told, s.Now().Add(spacesFor)})
			}
			return nil
		})
	}
	_ = asking.Wait() // none gives one
	return out
}
