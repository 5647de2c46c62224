package service

import (
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/db"
)

// RunView is a run with its entities.
type RunView struct {
	stowage.Run
	Entries []EntryView
}

// EntryView is an entity of a run, by name, and how far its backup is.
type EntryView struct {
	stowage.Entry
	Entity Entity
}

// Runs lists the runs of a schedule of the scope, the newest first, and how many
// there are.
func (s *Service) Runs(ctx context.Context, scope db.Scope, schedule string, p db.Page) ([]RunView, int, error) {
	if _, err := s.DB.Schedule(ctx, scope, schedule); err != nil {
		return nil, 0, err
	}
	runs, total, err := s.DB.Runs(ctx, schedule, p)
	if err != nil {
		return nil, 0, err
	}
	ids := make([]int64, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	entries, err := s.DB.RunEntries(ctx, ids)
	if err != nil {
		return nil, 0, err
	}
	var entities []string
	for _, list := range entries {
		for _, e := range list {
			entities = append(entities, e.EntityID)
		}
	}
	names, err := s.DB.EntityNames(ctx, entities)
	if err != nil {
		return nil, 0, err
	}
	views := make([]RunView, len(runs))
	for i, r := range runs {
		views[i].Run = r
		for _, e := range entries[r.ID] {
			views[i].Entries = append(views[i].Entries, EntryView{e, Entity{e.EntityID, names[e.EntityID]}})
		}
	}
	return views, total, nil
}
