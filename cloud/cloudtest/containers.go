package cloudtest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Containers runs the suite for cloud.Containers.
func Containers(t *testing.T, f ContainersFixture) {
	t.Run("made once, kept afterwards", f.testPrepare)
	t.Run("names of all kinds", f.testNames)
	t.Run("none there", f.testNone)
	t.Run("everybody has his own", f.testOwn)
	t.Run("who may not is told so", f.testRefused)
}

func (f ContainersFixture) newName(t *testing.T, suffix string) string {
	name := "stowage-test-" + uuid.NewString() + suffix
	t.Cleanup(func() { f.Remove(t, name) })
	return name
}

func (f ContainersFixture) testPrepare(t *testing.T) {
	name := f.newName(t, "")
	for _, what := range []string{"first", "again"} {
		must(t, f.Containers.Prepare(t.Context(), f.Owner, name), "prepare "+what)
		f.ServiceCan(t, f.Owner.ProjectID, name)
		must(t, f.Containers.Serve(t.Context(), f.Owner.ProjectID, name), "serve "+what)
		must(t, f.Containers.MayRead(t.Context(), f.Owner, name), "may read "+what)
		must(t, f.Containers.MayDelete(t.Context(), f.Owner, name), "may delete "+what)
	}
}

func (f ContainersFixture) testNames(t *testing.T) {
	for _, suffix := range []string{" with space", "-%2F?#&", "-ä日本", "..", "-\"'"} {
		name := f.newName(t, suffix)
		must(t, f.Containers.Prepare(t.Context(), f.Owner, name), "prepare "+name)
		f.ServiceCan(t, f.Owner.ProjectID, name)
		must(t, f.Containers.MayRead(t.Context(), f.Owner, name), "may read "+name)
	}
}

func (f ContainersFixture) testNone(t *testing.T) {
	name := f.newName(t, "")
	wantCode(t, f.Containers.MayRead(t.Context(), f.Owner, name), stowage.NotFound, "may read")
	must(t, f.Containers.MayDelete(t.Context(), f.Owner, name), "may delete")
	wantCode(t, f.Containers.MayRead(t.Context(), f.Owner, name), stowage.NotFound, "may read afterwards")
}

func (f ContainersFixture) testOwn(t *testing.T) {
	name := f.newName(t, "")
	must(t, f.Containers.Prepare(t.Context(), f.Owner, name), "prepare")
	wantCode(t, f.Containers.MayRead(t.Context(), f.Stranger, name), stowage.NotFound, "a stranger reads")
	must(t, f.Containers.MayDelete(t.Context(), f.Stranger, name), "a stranger deletes in a container he has not")
}

func (f ContainersFixture) testRefused(t *testing.T) {
	name := f.newName(t, "")
	if f.Reader.Token == "" && f.Intruder.Token == "" {
		t.Skip("nobody to refuse here")
	}
	if f.Reader.Token != "" {
		wantCode(t, f.Containers.Prepare(t.Context(), f.Reader, name), stowage.Forbidden, "a reader prepares a new one")
	}
	must(t, f.Containers.Prepare(t.Context(), f.Owner, name), "prepare")
	if f.Reader.Token != "" {
		wantCode(t, f.Containers.Prepare(t.Context(), f.Reader, name), stowage.Forbidden, "a reader prepares")
		wantCode(t, f.Containers.MayRead(t.Context(), f.Reader, name), stowage.Forbidden, "a reader reads")
		wantCode(t, f.Containers.MayDelete(t.Context(), f.Reader, name), stowage.Forbidden, "a reader deletes")
	}
	if f.Intruder.Token != "" {
		wantCode(t, f.Containers.Prepare(t.Context(), f.Intruder, name), stowage.Unauthorized, "an intruder prepares")
		wantCode(t, f.Containers.MayRead(t.Context(), f.Intruder, name), stowage.Unauthorized, "an intruder reads")
		wantCode(t, f.Containers.MayDelete(t.Context(), f.Intruder, name), stowage.Unauthorized, "an intruder deletes")
	}
}
