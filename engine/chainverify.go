package engine

import (
	"context"
	"sync"

	"github.com/stowage/stowage/engine/cinderbackup"
)

// verifyChain looks whether a backup of cinder-backup's can be restored.
func (e *Engine) verifyChain(ctx context.Context, in VerifyInput) ([]Damage, error) {
	c, err := e.OpenChain(ctx, in.Store, in.Chain, in.Digest)
	if why, bad := DamageOf(err); bad {
		return []Damage{{in.Chain.Members[0].Prefix.Metadata(), why}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !in.Deep {
		found, _, err := c.LookAtChain(ctx, in.Progress)
		return found, err
	}
	found, _, err := c.LookAtChain(ctx, nil)
	if err != nil {
		return nil, err
	}
	in.Progress.all.Store(c.Bytes)
	r := &partReader{
		progress: in.Progress, bytes: c.Bytes, known: map[string]bool{},
		hashes: e.newBlockSums(ctx, in.Store, in.Chain.Members[0].Prefix),
	}
	defer r.hashes.stop()
	for _, d := range found {
		r.known[d.Name] = true
	}
	if err := e.newChainFetcher(in.Store, c).run(ctx, r); err != nil {
		return nil, err
	}
	return append(found, r.found...), nil
}

// partReader reads all objects of a chain for the sake of reading them.
type partReader struct {
	progress *Progress
	bytes    int64 // of the volume
	hashes   *blockSums

	mu    sync.Mutex
	known map[string]bool // objects that are told already
	found []Damage
}

func (r *partReader) next(p cinderbackup.Part) (sums, error) { return r.hashes.of(p) }

func (r *partReader) part(_ context.Context, p cinderbackup.Part, s sums, plain, _ []byte) error {
	r.count(p)
	for _, x := range p.Runs {
		if at, differs := s.differs(x, plain[x.Offset-p.Offset:][:x.Length], r.bytes); differs {
			r.tell(p.Name, wrong(at))
			break
		}
	}
	return nil
}

func (r *partReader) damaged(p cinderbackup.Part, err error) error {
	r.count(p)
	why, _ := DamageOf(err)
	r.tell(p.Name, why)
	return nil
}

func (r *partReader) tell(name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known[name] && len(r.found) < maxDamages {
		r.found = append(r.found, Damage{name, why})
	}
}

func (r *partReader) count(p cinderbackup.Part) {
	for _, x := range p.Runs {
		r.progress.done.Add(x.Length)
	}
}
