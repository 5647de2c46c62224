package manager

import (
	"context"
	"fmt"
	"sync"

	"github.com/stowage/stowage"
)

const (
	// askAtOnce is how many of those that a list lacks are asked for at a time.
	askAtOnce = 8
	// askInVain is how often in a look nobody may know before no more are asked for:
	// each question about a cell that is down takes Nova a minute.
	askInVain = 20
)

// unseen asks for each of those that a look at all of a kind did not find, and notes
// which are gone. A list is not to be believed in that: Nova leaves out the servers of a
// cell that is down, and retention removes the last backup of what is gone. Whatever
// nobody knows of stays as it was until the next look at all; the note is of those.
func (t *task) unseen(ctx context.Context, look int64, kind stowage.EntityKind, get func(context.Context, string) (stowage.Entity, error)) (note string, err error) {
	asked := asking{get: get}
	there := batch{t: t, look: look}
	for after := ""; ; {
		ids, err := t.DB.Unseen(ctx, look, kind, after, inBatches)
		if err != nil {
			return "", err
		}
		found, gone := asked.forAll(ctx, ids)
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("ask for what was not found: %w", err)
		}
		for _, e := range found {
			if err := there.add(ctx, e); err != nil {
				return "", err
			}
		}
		if err := t.DB.Gone(ctx, look, kind, gone, t.Now()); err != nil {
			return "", err
		}
		asked.there += len(found)
		if len(ids) < inBatches {
			break
		}
		after = ids[len(ids)-1]
	}
	if err := there.flush(ctx); err != nil {
		return "", err
	}
	if asked.there > 0 {
		t.log.WarnContext(ctx, "a list lacked what is there", "kind", kind, "lacked", asked.there)
	}
	if asked.unknown == 0 {
		return "", nil
	}
	t.log.WarnContext(ctx, "nobody knows whether what a list lacked is there, it stays", "kind", kind, "unknown", asked.unknown, "error", asked.why)
	return fmt.Sprintf("The list of all %ss lacks %d of which nobody knows whether they are there. They stay as they were.", kind, asked.unknown), nil
}

// asking is for entities, one by one.
type asking struct {
	get   func(context.Context, string) (stowage.Entity, error)
	there int // were there

	mu      sync.Mutex
	unknown int   // of so many nobody knows
	why     error // of the first of them
}

// forAll gives those that are there, and the ids of those that are not.
func (a *asking) forAll(ctx context.Context, ids []string) (found []stowage.Entity, gone []string) {
	var all sync.WaitGroup
	next := make(chan string)
	for range min(askAtOnce, len(ids)) {
		all.Go(func() {
			for id := range next {
				e, err := a.one(ctx, id)
				a.mu.Lock()
				switch {
				case err == nil:
					found = append(found, e)
				case stowage.CodeOf(err) == stowage.NotFound:
					gone = append(gone, id)
				default:
					if a.unknown++; a.why == nil {
						a.why = err
					}
				}
				a.mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	all.Wait()
	return found, gone
}

func (a *asking) one(ctx context.Context, id string) (stowage.Entity, error) {
	a.mu.Lock()
	enough := a.unknown >= askInVain
	a.mu.Unlock()
	if err := ctx.Err(); err != nil || enough {
		return stowage.Entity{}, stowage.Wrap(stowage.Unavailable, err, "It was not asked for.")
	}
	return a.get(ctx, id)
}
