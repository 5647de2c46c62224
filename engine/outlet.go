package engine

import (
	"fmt"

	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/chunk"
)

// outlet is where a restore writes to.
type outlet struct {
	target   drivers.Target
	holds    drivers.ReadableTarget // nil: what the target holds is not looked at
	fresh    bool                   // it holds nothing
	progress *Progress
}

// zeroRun is the grain at which zeros within data become holes.
const zeroRun = 64 << 10

// put writes data, its runs of zeros as zeros.
func (o *outlet) put(at int64, plain []byte) error {
	for len(plain) > 0 {
		n := 0
		empty := chunk.IsZero(plain[:min(zeroRun, len(plain))])
		for n < len(plain) && chunk.IsZero(plain[n:min(n+zeroRun, len(plain))]) == empty {
			n = min(n+zeroRun, len(plain))
		}
		if empty {
			if err := o.zero(at, int64(n)); err != nil {
				return err
			}
		} else if _, err := o.target.WriteAt(plain[:n], at); err != nil {
			return fmt.Errorf("write %d bytes at %d: %w", n, at, err)
		}
		plain, at = plain[n:], at+int64(n)
	}
	return nil
}

// zero makes a run of the target zeros; a fresh target is zeros already.
func (o *outlet) zero(at, length int64) error {
	if o.fresh || length == 0 {
		return nil
	}
	if err := o.target.WriteZeroes(at, length); err != nil {
		return fmt.Errorf("write %d zeros at %d: %w", length, at, err)
	}
	return nil
}
