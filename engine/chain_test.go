package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/engine/cinderbackup"
	"github.com/stowage/stowage/engine/cinderbackup/cindertest"
)

// cinders are the three states of a volume as cinder-backup stored them: a full
// backup and two increments.
type cinders struct {
	*testing.T
	*Engine
	store *memStore
	made  []*cindertest.Made
	names []string // as they were put
}

const cinderBytes = 500_123

// newCinders makes the backups, each with a compression of its own.
func newCinders(t *testing.T, o Options) *cinders {
	t.Helper()
	c := &cinders{T: t, Engine: New(o), store: newMemStore(t)}
	random := rand.NewChaCha8(sha256.Sum256([]byte(t.Name())))
	data := bytes.Repeat([]byte("cinder "), cinderBytes/7+1)[:cinderBytes]
	random.Read(data[70_000:140_000])
	clear(data[200_000:400_000])
	for j := range data[:230_000] { // some of the noise can be compressed away
		data[j] &= 0x5f
	}
	var parent *cindertest.Made
	for i, compression := range []string{"zlib", "zstd", "none"} {
		if i > 0 {
			random.Read(data[i*30_000 : i*30_000+20_000])
			random.Read(data[210_000:230_000])
			for j := range data[:230_000] {
				data[j] &= 0x5f
			}
			clear(data[100_000*i : 100_000*i+30_000])
			copy(data[cinderBytes-3:], []byte{9, 9, byte(i)})
		}
		parent = cindertest.Make(cindertest.Backup{
			ID: fmt.Sprintf("0000000%d-0000-4000-8000-000000000000", i+1), Parent: parent, Compression: compression,
			At: time.Date(2026, 11, 20+i, 12, 0, 0, 0, time.UTC),
		}, data, func(name string, data []byte) {
			c.names = append(c.names, name)
			if _, err := c.store.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
		})
		c.made = append(c.made, parent)
	}
	return c
}

// chain is that of a backup, 0 to 2.
func (c *cinders) chain(n int) *cinderbackup.Chain {
	c.Helper()
	chain := &cinderbackup.Chain{}
	for i := n; i >= 0; i-- {
		p, ok := cinderbackup.ParsePrefix(c.made[i].Prefix)
		if !ok {
			c.Fatalf("%s is no prefix", c.made[i].Prefix)
		}
		chain.Members = append(chain.Members, cinderbackup.Member{Prefix: p, Objects: c.made[i].Count()})
	}
	return chain
}

func (c *cinders) restore(n int, target drivers.Target, change func(*RestoreInput)) error {
	c.Helper()
	in := RestoreInput{Store: c.store, Chain: c.chain(n), Target: target, Progress: &Progress{}}
	if change != nil {
		change(&in)
	}
	err := c.Restore(c.Context(), in)
	if done, all := in.Progress.Get(); err == nil && (done != cinderBytes || all != cinderBytes) {
		c.Errorf("the progress ends at %d of %d", done, all)
	}
	c.whole()
	return err
}

// whole makes sure that everything that was lent was given back.
func (c *cinders) whole() {
	c.Helper()
	if c.reads.lent != 0 || !c.packs.TryAcquire(c.opts.PackBudget) || !c.chains.TryAcquire(maxChain) {
		c.Fatal("memory was not given back")
	}
	c.packs.Release(c.opts.PackBudget)
	c.chains.Release(maxChain)
}

func TestWhatCinderBackupStoredIsRestored(t *testing.T) {
	c := newCinders(t, Options{PackBudget: 8 << 20})
	for n, m := range c.made {
		fresh := &memTarget{t: t, data: make([]byte, cinderBytes), fresh: true}
		if err := c.restore(n, fresh, nil); err != nil || !bytes.Equal(fresh.data, m.Data) || fresh.zeroed != 0 {
			t.Errorf("backup %d to a new volume: %v, %d bytes made zeros", n, err, fresh.zeroed)
		}
		dirty := &memTarget{t: t, data: bytes.Repeat([]byte{7}, cinderBytes+5)}
		if err := c.restore(n, dirty, nil); err != nil || !bytes.Equal(dirty.data[:cinderBytes], m.Data) || !bytes.Equal(dirty.data[cinderBytes:], []byte{7, 7, 7, 7, 7}) {
			t.Errorf("backup %d to a volume with data: %v", n, err)
		}
	}
	equal := &memTarget{t: t, data: bytes.Clone(c.made[2].Data)}
	if err := c.restore(2, readableTarget{equal}, func(in *RestoreInput) { in.Compare = true }); err != nil || equal.wrote+equal.zeroed != 0 {
		t.Errorf("what the volume held already: %v, and %d bytes were written", err, equal.wrote+equal.zeroed)
	}
	if err := c.restore(2, &memTarget{t: t, data: make([]byte, cinderBytes-1)}, nil); stowage.CodeOf(err) != stowage.Invalid {
		t.Errorf("a volume that is too small: %v", err)
	}
}

// object gives the name of one that a restore of the youngest reads.
func (c *cinders) object(t *testing.T, compression cinderbackup.Compression) string {
	t.Helper()
	opened, err := c.OpenChain(t.Context(), c.store, c.chain(2), "")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for i := range opened.Len() {
		if p := opened.Part(i); p.Compression == compression {
			return p.Name
		}
	}
	t.Fatal("there is none")
	return ""
}

// However an object is damaged: nothing of it is written, the verification names
// it, and nothing else is found.
func TestADamagedObjectOfCinderBackupsIsFound(t *testing.T) {
	for what, change := range damages {
		for kind, compression := range map[string]cinderbackup.Compression{"none": cinderbackup.None, "zlib": cinderbackup.Zlib, "zstd": cinderbackup.Zstd} {
			t.Run(what+", "+kind, func(t *testing.T) {
				c := newCinders(t, Options{PackBudget: 8 << 20})
				name := c.object(t, compression)
				var other []byte
				for _, n := range c.names {
					if n != name && strings.Contains(n, "-0000") {
						other = c.store.set(n, nil)
						c.store.set(n, other)
					}
				}
				whole := c.store.set(name, nil)
				changed := change(whole, other)
				if compression != cinderbackup.None && what == "made longer" {
					changed = nil // what follows a stream is not looked at
				}
				c.store.set(name, changed)
				was := bytes.Repeat([]byte{7}, cinderBytes)
				target := &memTarget{t: t, data: bytes.Clone(was)}
				err := c.restore(2, target, nil)
				if code := stowage.CodeOf(err); code != stowage.Corrupt && !(changed == nil && isMissing(err)) {
					t.Errorf("restored: %v", err)
				}
				for i, b := range target.data {
					if b != 7 && b != c.made[2].Data[i] {
						t.Fatalf("byte %d is of nothing that was ever stored", i)
					}
				}
				found, err := c.Verify(t.Context(), VerifyInput{Store: c.store, Chain: c.chain(2), Deep: true})
				if err != nil || len(found) != 1 || found[0].Name != name || found[0].Why == "" {
					t.Errorf("verified: %+v %v", found, err)
				}
				c.whole()
			})
		}
	}
}

func TestASoundBackupOfCinderBackupsIsFoundSound(t *testing.T) {
	c := newCinders(t, Options{PackBudget: 8 << 20})
	opened, err := c.OpenChain(t.Context(), c.store, c.chain(2), "")
	if err != nil {
		t.Fatal(err)
	}
	digest := opened.Digest
	opened.Close()
	for _, deep := range []bool{false, true} {
		progress := &Progress{}
		found, err := c.Verify(t.Context(), VerifyInput{Store: c.store, Chain: c.chain(2), Digest: digest, Deep: deep, Progress: progress})
		if done, all := progress.Get(); err != nil || len(found) != 0 || done != all || done == 0 {
			t.Errorf("deep %v: %+v %v, %d of %d", deep, found, err, done, all)
		}
	}
	// A _metadata that was written over is noticed, also an ancestor's.
	for _, m := range c.made {
		whole := c.store.set(m.Metadata(), nil)
		c.store.set(m.Metadata(), append([]byte(" "), whole...))
		found, err := c.Verify(t.Context(), VerifyInput{Store: c.store, Chain: c.chain(2), Digest: digest})
		if err != nil || len(found) != 1 || !strings.Contains(found[0].Why, "changed") {
			t.Errorf("%+v %v", found, err)
		}
		target := &memTarget{t: t, data: make([]byte, cinderBytes)}
		if err := c.restore(2, target, func(in *RestoreInput) { in.Digest = digest }); stowage.CodeOf(err) != stowage.Corrupt || target.wrote > 0 {
			t.Errorf("restored: %v", err)
		}
		c.store.set(m.Metadata(), nil)
		if found, err := c.Verify(t.Context(), VerifyInput{Store: c.store, Chain: c.chain(2), Digest: digest}); err != nil || len(found) != 1 || found[0].Why != gone {
			t.Errorf("%+v %v", found, err)
		}
		c.store.set(m.Metadata(), whole)
	}
}

// Objects may be whole and still not be what the backup is of: then the hashes
// that cinder-backup stored tell.
func TestAWholeObjectThatIsNotTheRightOneIsFound(t *testing.T) {
	c := newCinders(t, Options{PackBudget: 8 << 20})
	verify := func(n int) []Damage {
		t.Helper()
		found, err := c.Verify(t.Context(), VerifyInput{Store: c.store, Chain: c.chain(n), Deep: true})
		if err != nil {
			t.Fatal(err)
		}
		c.whole()
		return found
	}
	// The full backup is made anew, of other data.
	data := bytes.Clone(c.made[0].Data)
	data[cinderBytes/2]++
	full := c.made[0].Backup
	cindertest.Make(full, data, func(name string, data []byte) {
		if !strings.HasSuffix(name, "_sha256file") {
			c.store.set(name, data)
		}
	})
	found := verify(2)
	if len(found) != 1 || !strings.HasPrefix(found[0].Name, c.made[0].Prefix+"-") || !strings.Contains(found[0].Why, "not what was backed up") {
		t.Errorf("found %+v", found)
	}
	// Without the hashes, or with a list that is none, nothing is wrong.
	for _, list := range [][]byte{nil, []byte("{")} {
		c.store.set(c.made[2].Prefix+"_sha256file", list)
		if found := verify(2); len(found) != 0 {
			t.Errorf("found %+v", found)
		}
	}
}

func TestAnObjectThatDoesNotFitIntoMemoryIsRefused(t *testing.T) {
	c := newCinders(t, Options{})
	c.Engine = New(Options{})
	c.Engine.opts.PackBudget = 40_000
	if _, err := c.OpenChain(t.Context(), c.store, c.chain(0), ""); stowage.CodeOf(err) != stowage.OverLimit || !strings.Contains(err.Error(), "pack_memory_mb") {
		t.Errorf("it is opened: %v", err)
	}
	if !c.chains.TryAcquire(maxChain) {
		t.Error("the bound was not given back")
	}
}

func TestRestoresOfCinderBackupsAtOnceShareTheMemory(t *testing.T) {
	c := newCinders(t, Options{PackBudget: smallestPack, ReadBudget: readBytes, Fetches: 4})
	ended := make(chan error)
	for range 6 {
		go func() {
			target := &memTarget{t: t, data: make([]byte, cinderBytes)}
			err := c.Restore(t.Context(), RestoreInput{Store: c.store, Chain: c.chain(2), Target: target})
			if err == nil && !bytes.Equal(target.data, c.made[2].Data) {
				err = fmt.Errorf("it is not equal")
			}
			ended <- err
		}()
	}
	for range 6 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	c.whole()
}

func TestDeletingABackupOfCinderBackupsTakesItsObjectsAndNoOthers(t *testing.T) {
	c := newCinders(t, Options{})
	first := ""
	store := &watched{c.store, func(name string) {
		if first == "" {
			first = name
		}
	}}
	chain := c.chain(1)
	for range 2 { // what is gone already is no error
		if err := c.DeleteMember(t.Context(), store, chain.Members[0], nil); err != nil {
			t.Fatal(err)
		}
	}
	if first != c.made[1].Metadata() {
		t.Errorf("first went %s", first)
	}
	for _, name := range c.store.names("") {
		if strings.HasPrefix(name, c.made[1].Prefix) {
			t.Errorf("left: %s", name)
		}
	}
	if err := c.restore(0, &memTarget{t: t, data: make([]byte, cinderBytes)}, nil); err != nil {
		t.Errorf("the full one: %v", err)
	}
}

// watched tells what is deleted.
type watched struct {
	*memStore
	deletes func(name string)
}

func (w *watched) Delete(ctx context.Context, name string) error {
	w.mu.Lock()
	w.deletes(name)
	w.mu.Unlock()
	return w.memStore.Delete(ctx, name)
}
