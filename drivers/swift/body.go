package swift

import (
	"errors"
	"io"
	"sync"
)

// body reads the caller's bytes until they are given back.
type body struct {
	mu       sync.Mutex
	data     []byte
	released bool
}

var errReleased = errors.New("the request is over")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released {
		return 0, errReleased
	}
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// release waits for a read under way; later ones fail.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data, b.released = nil, true
}
