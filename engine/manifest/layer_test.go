package manifest

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/stowage/stowage/engine/seal"
)

func TestLayersOfEveryLengthComeBack(t *testing.T) {
	for _, f := range []seal.Format{open, sealed} {
		for _, n := range []int{0, 1, 1023, 1024, 1025, 5000} {
			t.Run(fmt.Sprint(f.Cipher, n), func(t *testing.T) {
				c := newContainer(t, keys(f, 20))
				want := entries(rand.New(rand.NewSource(int64(n))), n, 20, 3)
				layer := c.write(attempt(0), limits{}, want)
				if n == 0 && layer != nil {
					t.Errorf("a layer of nothing is %v", layer)
				}
				if layer.Entries() != uint64(n) {
					t.Errorf("the layer says it has %d entries", layer.Entries())
				}
				got, err := c.walk(layer)
				if err != nil {
					t.Fatal(err)
				}
				mustEqual(t, got, want)
			})
		}
	}
}
