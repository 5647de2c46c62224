package db

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stowage/stowage"
)

func TestManagersThatMakeTheFirstKeyAtOnceGetTheSame(t *testing.T) {
	each(t, func(t *testing.T, d *DB) {
		_, err := d.ProjectKey(t.Context(), "p")
		wantCode(t, err, stowage.NotFound)
		var got [8]ProjectKey
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				k, err := d.AddProjectKey(context.Background(),
					ProjectKey{ProjectID: "p", ID: [16]byte{byte(i), 1: 0xff, 15: 0}, Wrapped: []byte{1, byte(i), 0}, CreatedAt: noon})
				if err != nil {
					t.Error(err)
				}
				got[i] = k
			})
		}
		wg.Wait()
		for _, k := range got {
			if fmt.Sprint(k) != fmt.Sprint(got[0]) || k.ID[1] != 0xff || k.Wrapped[1] != k.ID[0] {
				t.Fatalf("got %v", got)
			}
		}
		for _, read := range []ProjectKey{must(d.ProjectKey(t.Context(), "p"))(t), must(d.ProjectKeyByID(t.Context(), "p", got[0].ID))(t)} {
			if fmt.Sprint(read) != fmt.Sprint(got[0]) {
				t.Errorf("got %v, want %v", read, got[0])
			}
		}
		_, err = d.ProjectKeyByID(t.Context(), "p", [16]byte{99})
		wantCode(t, err, stowage.NotFound)
		_, err = d.ProjectKeyByID(t.Context(), "q", got[0].ID)
		wantCode(t, err, stowage.NotFound)
		// Another project's first key is its own.
		other := ProjectKey{ProjectID: "q", ID: got[0].ID, Wrapped: []byte{9}, CreatedAt: noon}
		if k := must(d.AddProjectKey(t.Context(), other))(t); fmt.Sprint(k) != fmt.Sprint(other) {
			t.Errorf("got %v, want %v", k, other)
		}
	})
}
