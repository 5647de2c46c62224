package service

import (
	"cmp"
	"context"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/cloud"
	"github.com/stowage/stowage/db"
)

// Task is a job as those see it who asked for it, with what it is about.
type Task struct {
	stowage.Job
	Entity   Entity          // what is protected
	Target   Entity          // restore: the volume written; else empty
	Backup   *stowage.Backup // nil: it is gone, or the job is about none
	Schedule Entity          // that asked for it; else empty
}

// Entity is a thing that is protected, by its id in the cloud.
type Entity struct{ ID, Name string }

// Tasks lists the scope's tasks, the newest first, and how many there are.
func (s *Service) Tasks(ctx context.Context, scope db.Scope, f db.TaskFilter, p db.Page) ([]Task, int, error) {
	jobs, total, err := s.DB.Tasks(ctx, scope, f, p)
	if err != nil {
		return nil, 0, err
	}
	tasks, err := s.tasks(ctx, jobs)
	return tasks, total, err
}

// Task gives one task of the scope.
func (s *Service) Task(ctx context.Context, scope db.Scope, id string) (Task, error) {
	j, err := s.DB.Task(ctx, scope, id)
	if err != nil {
		return Task{}, err
	}
	tasks, err := s.tasks(ctx, []stowage.Job{j})
	if err != nil {
		return Task{}, err
	}
	return tasks[0], nil
}

// tasks adds to jobs what they are about: two questions, however many there are.
func (s *Service) tasks(ctx context.Context, jobs []stowage.Job) ([]Task, error) {
	var backups []int64
	var entities []string
	for _, j := range jobs {
		if j.BackupID != 0 {
			backups = append(backups, j.BackupID)
		}
		entities = append(entities, j.EntityID, j.VolumeID)
	}
	rows, err := s.DB.BackupsByID(ctx, backups)
	if err != nil {
		return nil, err
	}
	names, err := s.DB.EntityNames(ctx, entities)
	if err != nil {
		return nil, err
	}
	var asking []string
	for _, j := range jobs {
		asking = append(asking, j.By.ScheduleID)
	}
	schedules, err := s.DB.ScheduleNames(ctx, asking)
	if err != nil {
		return nil, err
	}
	if err := s.addParts(ctx, jobs); err != nil {
		return nil, err
	}
	tasks := make([]Task, len(jobs))
	for i, j := range jobs {
		t := Task{Job: j, Entity: Entity{j.EntityID, names[j.EntityID]}, Schedule: Entity{j.By.ScheduleID, schedules[j.By.ScheduleID]}}
		if b, ok := rows[j.BackupID]; ok {
			t.Backup = &b
			if t.Entity.Name == "" {
				t.Entity.Name = b.Volume.Name
			}
		}
		if run := j.Params.Recovery; run != nil {
			t.Entity.Name = run.Plan
		}
		switch plan := j.Params.Rebuild; {
		case plan != nil:
			t.Target = Entity{cmp.Or(plan.ServerID, j.EntityID), plan.Name}
		case j.Kind == stowage.JobRestore:
			t.Target = Entity{j.VolumeID, names[j.VolumeID]}
		}
		tasks[i] = t
	}
	return tasks, nil
}

// Followers gives, for each of the tasks that one follows, that one.
func (s *Service) Followers(ctx context.Context, tasks []Task) (map[string]*Task, error) {
	var ids []string
	for _, t := range tasks {
		ids = append(ids, t.ID)
	}
	jobs, err := s.DB.Followers(ctx, ids)
	if err != nil {
		return nil, err
	}
	list, err := s.tasks(ctx, jobs)
	if err != nil {
		return nil, err
	}
	found := map[string]*Task{}
	for i := range list {
		found[list[i].ParentID] = &list[i]
	}
	return found, nil
}

// addParts tells of jobs that wait for others how those get on: that they are given
// back between two looks is nobody's business.
func (s *Service) addParts(ctx context.Context, jobs []stowage.Job) error {
	var parents []string
	of := func(j stowage.Job) string {
		if j.Kind == stowage.JobStore {
			return j.ParentID
		}
		return j.ID
	}
	for _, j := range jobs {
		if j.Waits() && !j.State.Ended() {
			parents = append(parents, of(j))
		}
	}
	progress, err := s.DB.PartProgress(ctx, parents)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		p, some := progress[of(j)]
		if !some || !j.Waits() || j.State.Ended() {
			continue
		}
		jobs[i].Percent, jobs[i].BytesDone, jobs[i].BytesAll = min(p.Percent, 99), p.Done, p.All
		if j.State == stowage.JobQueued && j.Attempt > 0 {
			jobs[i].State = stowage.JobRunning
		}
	}
	return nil
}

// HideTask takes a task off the list, and cancels it first if it has not ended:
// then it stays on the list until it has.
func (s *Service) HideTask(ctx context.Context, scope db.Scope, id string) error {
	j, err := s.DB.Task(ctx, scope, id)
	if err != nil {
		return err
	}
	if !j.State.Ended() {
		err := s.cancel(ctx, j, "")
		if stowage.CodeOf(err) != stowage.Conflict {
			return err
		}
		if now, look := s.DB.Task(ctx, scope, id); look != nil || !now.State.Ended() {
			return cmp.Or(look, err)
		}
	}
	_, err = s.DB.HideTasks(ctx, scope, db.TaskFilter{ID: id})
	return err
}

// HideFlow takes off the list what has ended of a task and of those that follow it.
func (s *Service) HideFlow(ctx context.Context, scope db.Scope, id string) error {
	if _, err := s.DB.Task(ctx, scope, id); err != nil {
		return err
	}
	_, err := s.DB.HideTasks(ctx, scope, db.TaskFilter{Flow: id})
	return err
}

// HideTasks takes all tasks of the scope that have ended off the list.
func (s *Service) HideTasks(ctx context.Context, scope db.Scope) error {
	_, err := s.DB.HideTasks(ctx, scope, db.TaskFilter{})
	return err
}

// CancelTasks cancels all tasks of the scope in a state, but for those that
// cannot be: they go their way.
func (s *Service) CancelTasks(ctx context.Context, scope db.Scope, state stowage.JobState) error {
	f := db.TaskFilter{States: []stowage.JobState{state}}
	const atOnce = 1000
	tried := map[string]bool{}
	for {
		jobs, _, err := s.DB.Tasks(ctx, scope, f, db.Page{Offset: 0, Limit: len(tried) + atOnce})
		if err != nil {
			return err
		}
		before := len(tried)
		for _, j := range jobs {
			if tried[j.ID] {
				continue
			}
			tried[j.ID] = true
			err := s.cancel(ctx, j, "")
			if err != nil && stowage.CodeOf(err) != stowage.Conflict {
				return err
			}
		}
		if len(tried) == before {
			return nil
		}
	}
}

// CancelTask stops a task of the scope. One that nobody has begun ends at once;
// one under way, within seconds, when whoever does it has heard of it. A backup
// that is cancelled becomes one in error and leaves nothing behind; a volume that
// was being restored to is shown to hold neither the old nor the new. A deletion
// cannot be cancelled: what is left of the backup could not be told.
func (s *Service) CancelTask(ctx context.Context, scope db.Scope, id, why string) error {
	j, err := s.DB.Task(ctx, scope, id)
	if err != nil {
		return err
	}
	return s.cancel(ctx, j, why)
}

func (s *Service) cancel(ctx context.Context, j stowage.Job, why string) error {
	reason := stowage.Cancelled(why)
	switch {
	case j.State.Ended():
		return stowage.Errorf(stowage.Conflict, "Task %s has ended.", j.ID)
	case j.Kind == stowage.JobDelete:
		return stowage.Errorf(stowage.Conflict, "A deletion cannot be cancelled.")
	case j.State == stowage.JobQueued && j.Attempt == 0 && !j.Stepwise():
		ctx, done := finish(ctx, s.HoldTime/2)
		defer done()
		err := s.endUnclaimed(ctx, j, reason)
		if stowage.CodeOf(err) != stowage.Conflict {
			return err
		}
		// It has been claimed, or handed on, since it was looked at.
	}
	err := s.DB.WantCancel(ctx, j, reason)
	if stowage.CodeOf(err) == stowage.Conflict {
		return stowage.Wrap(stowage.Conflict, err, "Task %s has ended.", j.ID)
	}
	if err == nil {
		s.Log.InfoContext(ctx, "job is to be cancelled", "job", j.ID, "kind", j.Kind, "backup", j.BackupID)
	}
	return err
}

// endUnclaimed ends a job that nobody has claimed, and gives back what it holds.
// Conflict: somebody has.
func (s *Service) endUnclaimed(ctx context.Context, j stowage.Job, reason string) error {
	end := db.JobEnd{State: stowage.JobCancelled, Error: reason, Now: s.Now()}
	switch j.Kind {
	case stowage.JobBackup:
		end.Move = &db.BackupMove{ID: j.BackupID, From: stowage.BackupCreating, To: stowage.BackupError, FailReason: reason, Now: s.Now()}
	case stowage.JobExport:
		end.Move = endSet(j.BackupID, reason, s.Now())
	case stowage.JobRestore:
		end.Move = &db.BackupMove{
			ID: j.BackupID, From: stowage.BackupRestoring, To: stowage.BackupAvailable, FailReason: "Restore: " + reason, Now: s.Now(),
		}
	}
	if err := s.DB.End(ctx, j, end); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "job cancelled before it began", "job", j.ID, "kind", j.Kind, "backup", j.BackupID)
	if j.Lock != stowage.LockHeld || j.Params.NewVolume {
		return nil // a sweep looks for what may be locked yet, and marks a new volume
	}
	j.State = stowage.JobCancelled
	if _, err := cloud.FreeVolume(ctx, s.Volumes, j.VolumeID, j.ID, j.AttachmentID); err != nil {
		s.Log.WarnContext(ctx, "volume not freed, a sweep will", "job", j.ID, "volume", j.VolumeID, "error", err)
		return nil
	}
	j.Lock = stowage.LockReleased
	if err := s.DB.Tidied(ctx, j, s.Now()); err != nil {
		s.Log.WarnContext(ctx, "freed volume not noted", "job", j.ID, "error", err)
	}
	return nil
}
