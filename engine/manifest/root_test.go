package manifest

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stowage/stowage/engine/codec"
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

// body gives a root's body as it would be written, without a look at it.
func body(t testing.TB, r *Root) []byte {
	t.Helper()
	info, err := json.Marshal(r.Info)
	if err != nil {
		t.Fatal(err)
	}
	return r.appendBody(nil, info, slices.SortedFunc(maps.Keys(r.Salts), Attempt.Compare))
}

// forge gives the bytes of a root with this body, whatever it is.
func forge(t testing.TB, h seal.Header, wrapped, body []byte) []byte {
	t.Helper()
	frame, err := newCodec(t).Compress(make([]byte, 0, codec.Bound(len(body))), body)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := seal.New(h, secret)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.BigEndian.AppendUint32(h.Append(nil), uint32(len(wrapped)))
	out = binary.BigEndian.AppendUint32(append(out, wrapped...), uint32(len(body)))
	return boxes.Seal(out, frame, seal.BodyBox)
}

func reopen(data []byte, key *seal.Secret, c *codec.Codec) (*Root, error) {
	s, err := ParseRoot(data)
	if err != nil {
		return nil, err
	}
	return s.Open(key, c)
}

// What a tenant with a project key could write is neither read nor written.
func TestHostileRootsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Root){
		"another format":              func(r *Root) { r.Info.Format = "restic" },
		"no backup":                   func(r *Root) { r.Info.Volume.ID = "" },
		"a volume that is a path":     func(r *Root) { r.Info.Volume.ID = "../x" },
		"a negative volume":           func(r *Root) { r.Info.VolumeBytes = -1 },
		"a huge volume":               func(r *Root) { r.Info.VolumeBytes = MaxVolumeBytes + 1 },
		"a fence that is none":        func(r *Root) { r.Info.Fence = 1 << 63; r.Self.Fence = 1 << 63 },
		"another salt of its own":     func(r *Root) { r.Salts[r.Self] = salt(77) },
		"too many layers":             func(r *Root) { many(r, MaxLayers+1) },
		"a map object 0":              func(r *Root) { r.Layers[0][0].Number = 0 },
		"a map object of 2^31":        func(r *Root) { r.Layers[0][0].Number = 1 << 31 },
		"an empty map object":         func(r *Root) { r.Layers[0][0].Bytes = minMapBytes - 1 },
		"a huge map object":           func(r *Root) { r.Layers[0][0].Bytes = MaxMapBytes + 1 },
		"a negative map object":       func(r *Root) { r.Layers[0][0].Bytes = -1 },
		"no entries":                  func(r *Root) { r.Layers[0][0].Entries = 0 },
		"more entries than chunks":    func(r *Root) { r.Layers[0][0].Entries = 96 },
		"more entries than any has":   func(r *Root) { r.Layers[0][0].Entries = 1 << 40 },
		"entries behind the volume":   func(r *Root) { r.Layers[1][1].Last = 40960 },
		"entries out of this world":   func(r *Root) { r.Layers[1][1].Last = 1<<64 - 1 },
		"last before first":           func(r *Root) { r.Layers[0][0].First = 100 },
		"objects overlap":             func(r *Root) { r.Layers[1][1].First = 9 },
		"objects out of order":        func(r *Root) { slices.Reverse(r.Layers[1]) },
		"an object twice":             func(r *Root) { r.Layers[1][1].Place = r.Layers[0][0].Place },
		"a pack 0":                    func(r *Root) { r.Packs[0].Number = 0 },
		"a pack of 2^31":              func(r *Root) { r.Packs[2].Number = 1 << 31 },
		"a pack twice":                func(r *Root) { r.Packs[1].Number = 1 },
		"packs out of order":          func(r *Root) { slices.Reverse(r.Packs) },
		"an empty pack":               func(r *Root) { r.Packs[0].Bytes = 1 },
		"a huge pack":                 func(r *Root) { r.Packs[0].Bytes = MaxPackBytes + 1 },
		"a negative pack":             func(r *Root) { r.Packs[0].Bytes = -1 },
		"a pack nothing is alive of":  func(r *Root) { r.Packs[0].Alive = 0 },
		"more alive than a pack has":  func(r *Root) { r.Packs[0].Alive = MaxPackChunks + 1 },
		"more alive than entries":     func(r *Root) { r.Packs[0].Alive = 112 },
		"more bytes alive than bytes": func(r *Root) { r.Packs[0].AliveBytes = r.Packs[0].Bytes + 1 },
		"less bytes alive than seals": func(r *Root) { r.Packs[0].AliveBytes = 90 * 16 },
		"negative bytes alive":        func(r *Root) { r.Packs[0].AliveBytes = -1 },
		"no wrapped key":              func(r *Root) { r.Wrapped = nil },
		"a long wrapped key":          func(r *Root) { r.Wrapped = append(r.Wrapped, 1) },
		"too much to tell":            func(r *Root) { r.Info.Description = strings.Repeat("x", MaxInfoBytes) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCodec(t)
			r := sample(sealed)
			change(r)
			_, err := reopen(forge(t, r.header(), r.Wrapped, body(t, r)), secret, c)
			mustBeCorrupt(t, err)
			if name == "another format" {
				return // which Encode sets
			}
			if _, err := r.Encode(secret, c); err == nil {
				t.Error("it can be written")
			}
		})
	}
}

// many gives a root so many layers.
func many(r *Root, n int) {
	one := r.Layers[0][0]
	r.Layers = nil
	for i := range n {
		one.Number = uint64(i + 1)
		r.Layers = append(r.Layers, Layer{one})
	}
}

func TestBodiesThatAreNoneAreRefused(t *testing.T) {
	good := sample(sealed)
	plain := body(t, good)
	info := binary.BigEndian.Uint32(plain) + 4
	table := func(b []byte) []byte { return b[info:] }
	for name, change := range map[string]func([]byte) []byte{
		"nothing":              func([]byte) []byte { return []byte{0} },
		"one byte more":        func(b []byte) []byte { return append(b, 0) },
		"one byte less":        func(b []byte) []byte { return b[:len(b)-1] },
		"no JSON":              func(b []byte) []byte { b[4] = 'x'; return b },
		"JSON of 4 GiB":        func(b []byte) []byte { binary.BigEndian.PutUint32(b, 1<<32-1); return b },
		"attempts not there":   func(b []byte) []byte { table(b)[0] = 127; return b },
		"attempts unordered":   func(b []byte) []byte { swap(table(b)[1:49], table(b)[49:97]); return b },
		"an attempt twice":     func(b []byte) []byte { copy(table(b)[1:49], table(b)[49:97]); return b },
		"an attempt unknown":   func(b []byte) []byte { table(b)[97+2] = 2; return b },
		"2^18 layers":          func(b []byte) []byte { return insert(b, int(info)+97, 0x80, 0x80, 0x10) },
		"an empty layer":       func(b []byte) []byte { table(b)[97+1] = 0; return b },
		"a number in two ways": func(b []byte) []byte { table(b)[97] |= 0x80; return insert(b, int(info)+98, 0) },
		"a number too long": func(b []byte) []byte {
			return insert(b, int(info)+97, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := reopen(forge(t, good.header(), good.Wrapped, change(slices.Clone(plain))), secret, newCodec(t))
			mustBeCorrupt(t, err)
		})
	}
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

func insert(b []byte, at int, more ...byte) []byte { return slices.Insert(b, at, more...) }

func TestABombOfARootIsRefusedBeforeItGoesOff(t *testing.T) {
	r := sample(open)
	r.Layers, r.Packs = nil, nil
	data := forge(t, r.header(), nil, append(body(t, r), make([]byte, 200<<20)...))
	before := allocated()
	_, err := reopen(data, nil, newCodec(t))
	mustBeCorrupt(t, err)
	if made := allocated() - before; made > 1<<20 {
		t.Errorf("%d bytes of root took %d bytes of memory", len(data), made)
	}
}

// allocated is how many bytes of heap were ever taken.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestARootHasTheSaltsItNeedsAndNoMore(t *testing.T) {
	c := newCodec(t)
	r := sample(sealed)
	r.Salts[attempt(9)] = salt(9)
	delete(r.Salts, r.Self) // which the root knows by itself
	data, err := r.Encode(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := reopen(data, secret, c)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Salts, sample(sealed).Salts) {
		t.Errorf("it has %v", got.Salts)
	}
	if _, here := r.Salts[attempt(9)]; !here {
		t.Error("writing a root changed it")
	}
	r.Kept = []Attempt{attempt(9), attempt(9), attempt(4)}
	data, err = r.Encode(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = reopen(data, secret, c); err != nil {
		t.Fatal(err)
	}
	if got.Salts[attempt(9)] != salt(9) || len(got.Salts) != 3 {
		t.Errorf("of what is kept it has %v", got.Salts)
	}
	delete(r.Salts, attempt(4))
	if _, err := r.Encode(secret, c); err == nil {
		t.Error("a root was written that leads to what nobody could open")
	}
}

func TestARootBelongsWhereItsNameSays(t *testing.T) {
	r := sample(open)
	if err := r.CheckName(RootName("0b1c", r.Self)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{
		"", RootName("0b1d", r.Self), RootName("0b1c", attempt(4)),
		RootName("0b1c", Attempt{r.Self.Backup, r.Self.Fence + 1}), PackName("0b1c", Place{r.Self, 1}),
	} {
		mustBeCorrupt(t, r.CheckName(name))
	}
}

// A root says what a reader does not know yet, and more.
func TestKeysOfLaterTimesAreSkipped(t *testing.T) {
	r := sample(open)
	b := &Root{Format: open, Salt: r.Salt}
	plain := body(t, r)
	n := binary.BigEndian.Uint32(plain)
	info := append([]byte(`{"colour":{"of":["it"]},`), plain[5:4+n]...)
	plain = append(append(binary.BigEndian.AppendUint32(nil, uint32(len(info))), info...), plain[4+n:]...)
	if err := b.parseBody(plain); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b, r) {
		t.Errorf("got %+v", b)
	}
}

// All the way to the volume's bytes nothing is believed: every bit counts.
func TestEveryBitOfASealedRootCounts(t *testing.T) {
	c := newCodec(t)
	master, err := seal.ParseMaster([]byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := master.NewKey("p")
	if err != nil {
		t.Fatal(err)
	}
	r := sample(sealed)
	r.Wrapped, r.Format.KeyID = key.Wrapped, key.ID
	data, err := r.Encode(&key.Secret, c)
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		s, err := ParseRoot(data)
		if err != nil {
			return err
		}
		k, err := master.Unwrap(s.Header.KeyID, s.Wrapped, "p")
		if err != nil {
			return err
		}
		_, err = s.Open(&k.Secret, c)
		return err
	}
	if err := read(data); err != nil {
		t.Fatal(err)
	}
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		if read(data) == nil {
			t.Errorf("bit %d may be either way", bit)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
	for n := range data {
		if read(data[:n]) == nil {
			t.Errorf("%d bytes of it are enough", n)
		}
	}
	if read(append(data, 0)) == nil {
		t.Error("a byte may follow it")
	}
}
