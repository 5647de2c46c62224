package manifest

import (
	"reflect"
	"testing"

	"github.com/stowage/stowage/engine/seal"
)

func TestARootComesBackAsItWasWritten(t *testing.T) {
	for _, f := range []seal.Format{open, sealed} {
		c := newCodec(t)
		want := sample(f)
		data, err := want.Encode(secret, c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseRoot(data)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a root may be opened again
			got, err := s.Open(secret, c)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
	}
}
