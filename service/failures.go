package service

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// failures counts failed logins: a bucket for each name, which failures empty
// and time fills. Names nobody failed under for long fall out, and so do the
// oldest when there are too many.
type failures struct {
	mu      sync.Mutex
	buckets *lru.Cache[string, *rate.Limiter]
}

// bound is how many failures there may be at once, and how often one more.
type bound struct {
	burst int
	every time.Duration
}

// A user mistypes; a place with many users has many who do.
var (
	failuresOfUser  = bound{5, 30 * time.Second}
	failuresOfPlace = bound{100, time.Second}
)

const failuresKept = 10000

func newFailures() *failures {
	buckets, err := lru.New[string, *rate.Limiter](failuresKept)
	if err != nil { // of a size that is not positive, only
		panic(err)
	}
	return &failures{buckets: buckets}
}

// tooMany reports whether the name's bucket is empty.
func (f *failures) tooMany(name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.buckets.Get(name)
	return ok && b.TokensAt(now) < 1
}

// note takes one out of the name's bucket.
func (f *failures) note(name string, now time.Time, most bound) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.buckets.Get(name)
	if !ok {
		b = rate.NewLimiter(rate.Every(most.every), most.burst)
		f.buckets.Add(name, b)
	}
	b.AllowN(now, 1)
}
