package stowage

import (
	"errors"
	"fmt"
	"testing"
)

func TestBackupsMoveOnlyAlongTheTable(t *testing.T) {
	all := []BackupStatus{BackupCreating, BackupAvailable, BackupRestoring, BackupDeleting, BackupError}
	allowed := map[string]bool{
		"creating>available": true, "creating>error": true,
		"available>restoring": true, "available>deleting": true, "available>error": true,
		"restoring>available": true, "restoring>error": true,
		"deleting>error": true, "error>deleting": true,
	}
	for _, from := range all {
		for _, to := range all {
			if got, want := from.May(to), allowed[fmt.Sprintf("%s>%s", from, to)]; got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
		}
		if !from.Known() {
			t.Errorf("%s is not known", from)
		}
	}
	if BackupStatus("deleted").Known() {
		t.Error("a status nobody defined is known")
	}
}

func TestEndedJobsNeverMove(t *testing.T) {
	all := []JobState{JobQueued, JobRunning, JobFinished, JobFailed, JobCancelled}
	for _, from := range all {
		ended := from == JobFinished || from == JobFailed || from == JobCancelled
		if from.Ended() != ended {
			t.Errorf("%s: ended is %v", from, from.Ended())
		}
		for _, to := range all {
			if from.May(to) && (ended || from == to) {
				t.Errorf("%s may move to %s", from, to)
			}
		}
	}
	if !JobRunning.May(JobQueued) || JobQueued.May(JobFinished) {
		t.Error("a job given back, or one that finished without having run")
	}
}

func TestErrorsKeepTheirCodeUnderwayAndTheirCauseForTheLog(t *testing.T) {
	cause := errors.New("dial 10.0.0.1")
	err := fmt.Errorf("store: %w", Wrap(Unavailable, cause, "The store is away."))
	if CodeOf(err) != Unavailable || MessageOf(err) != "The store is away." || !errors.Is(err, cause) {
		t.Errorf("%v has code %s and message %q", err, CodeOf(err), MessageOf(err))
	}
	outer := Wrap(Corrupt, err, "The backup is damaged.")
	if CodeOf(outer) != Corrupt || !Is(outer, Unavailable) || !Is(outer, Corrupt) || Is(outer, Invalid) {
		t.Errorf("codes of %v", outer)
	}
	if CodeOf(cause) != Internal || MessageOf(cause) != "" {
		t.Error("an uncoded error is not for users")
	}
}

func TestSizesAreRoundedUpToGiB(t *testing.T) {
	for bytes, want := range map[int64]int64{0: 0, 1: 1, GiB: 1, GiB + 1: 2} {
		if got := SizeGiB(bytes); got != want {
			t.Errorf("%d bytes are %d GiB, want %d", bytes, got, want)
		}
	}
}
