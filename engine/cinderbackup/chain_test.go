package cinderbackup

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// member is the backup of a chain with this number, from 1 for the full one.
func member(n int, objects ...Object) *Metadata {
	m := &Metadata{Prefix: Prefix{VolumeID: volume, At: time.Unix(int64(n), 0).UTC(), Zone: "nova", BackupID: uuid.UUID{0: 9, 15: byte(n)}}, Objects: objects}
	if n > 1 {
		m.Parent = uuid.UUID{0: 9, 15: byte(n - 1)}
	}
	return m
}

func extent(from, to int64) Object { return Object{Offset: from, Length: to - from} }

// Whatever overlaps whatever: each byte comes from the newest backup that has
// it, and no object is read twice.
func TestEachByteComesFromTheNewestBackupThatHasIt(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		const size = 200
		var list []*Metadata
		owner := make([]*Metadata, size)
		for n := range 1 + random.IntN(6) {
			m := member(n + 1)
			for at := int64(0); at < size; {
				if n > 0 {
					at += int64(random.IntN(40))
				}
				end := min(at+1+int64(random.IntN(50)), size)
				if at >= size {
					break
				}
				m.Objects = append(m.Objects, extent(at, end))
				for i := at; i < end; i++ {
					owner[i] = m
				}
				at = end
			}
			list = append([]*Metadata{m}, list...)
		}
		image, err := NewImage(list)
		if err != nil || image.Bytes != size {
			t.Fatal(err)
		}
		seen, last := map[string]bool{}, int64(-1)
		for i := range image.Len() {
			p := image.Part(i)
			if seen[p.Name] || p.Offset < last || len(p.Runs) == 0 {
				t.Fatalf("seed %d: %+v", seed, p)
			}
			seen[p.Name], last = true, p.Offset
			for _, r := range p.Runs {
				for at := r.Offset; at < r.End(); at++ {
					if at < p.Offset || at >= p.End() || owner[at] == nil || !strings.HasPrefix(p.Name, owner[at].Prefix.String()+"-") || p.Own != (owner[at] == list[0]) {
						t.Fatalf("seed %d: byte %d comes from %s", seed, at, p.Name)
					}
					owner[at] = nil
				}
			}
		}
		for at, m := range owner {
			if m != nil {
				t.Fatalf("seed %d: byte %d comes from nowhere", seed, at)
			}
		}
	}
}

func TestWhatIsNoChain(t *testing.T) {
	full, second, third := member(1, extent(0, 10)), member(2, extent(2, 4)), member(3)
	other := member(1, extent(0, 10))
	other.Prefix.VolumeID = "7b1b1a52-2ef1-4f5b-9d7b-1d2c3b4a5f60"
	for name, list := range map[string][]*Metadata{
		"nothing":           {},
		"no full one":       {third, second},
		"a full one amidst": {second, full, full},
		"twice the same":    {third, third, full},
		"of another volume": {second, other},
		"beyond the end":    {member(2, extent(8, 11)), full},
		"far too many":      make([]*Metadata, MaxMembers+1),
	} {
		if image, err := NewImage(list); stowage.CodeOf(err) != stowage.Corrupt {
			t.Errorf("%s: %+v %v", name, image, err)
		}
	}
	if image, err := NewImage([]*Metadata{third, second, full}); err != nil || image.Len() != 2 || image.SizeGiB() != 1 {
		t.Errorf("a chain: %+v %v", image, err)
	}
}

func TestAChainKnowsItsObjects(t *testing.T) {
	chain, err := Of([]*Metadata{member(2, extent(2, 4)), member(1, extent(0, 10), extent(10, 12))})
	if err != nil {
		t.Fatal(err)
	}
	chain.Taken = true
	data, err := chain.MarshalBinary()
	if err != nil || !IsChain(data) {
		t.Fatal(err)
	}
	var back Chain
	if err := back.UnmarshalBinary(data); err != nil || !reflect.DeepEqual(&back, chain) {
		t.Errorf("%+v comes back as %+v: %v", chain, back, err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if err := back.UnmarshalBinary(bad); stowage.CodeOf(err) != stowage.Corrupt {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
	}
	var names []string
	full := chain.Members[1]
	if err := full.Names(func(name string) error { names = append(names, name); return nil }); err != nil {
		t.Fatal(err)
	}
	p := full.Prefix.String()
	if want := []string{p + "_metadata", p + "-00001", p + "-00002", p + "_sha256file"}; !reflect.DeepEqual(names, want) {
		t.Errorf("its objects are %q", names)
	}
	if rest := chain.Minus([]*Chain{{Members: []Member{full}}}); len(rest) != 1 || rest[0].Prefix != chain.Members[0].Prefix {
		t.Errorf("without the full one it is %+v", rest)
	}
	if rest := chain.Minus(nil); len(rest) != 2 {
		t.Errorf("alone it is %+v", rest)
	}
}

func TestHashesThatAreNoneAreCorrupt(t *testing.T) {
	p, _ := ParsePrefix(first)
	sum := strings.Repeat("ab", 32)
	text := `{"backup_description": null, "backup_id": "00000001-0000-4000-8000-000000000000", "backup_name": "x", "chunk_size": 4096,
		"created_at": "x", "sha256s": ["` + sum + `", "` + sum + `"], "version": "1.0.0", "volume_id": "` + volume + `"}`
	read := func(text string) (n int, err error) {
		err = ReadHashes(strings.NewReader(text), p, func(int64, [32]byte) error { n++; return nil })
		return n, err
	}
	if n, err := read(text); n != 2 || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	for name, change := range map[string][2]string{
		"another backup":      {`"00000001-`, `"00000002-`},
		"another version":     {`1.0.0`, `1.0.1`},
		"another volume":      {`"` + volume, `"x`},
		"no length of blocks": {`"chunk_size": 4096,`, ""},
		"blocks of nothing":   {`4096`, `0`},
		"blocks too small":    {`4096`, `16`},
		"a hash that is none": {sum, "zz" + sum[2:]},
		"a hash cut off":      {sum, sum[2:]},
		"hashes twice":        {`"version"`, `"sha256s": [], "version"`},
		"no hashes":           {`"sha256s"`, `"sums"`},
		"cut off":             {text, text[:len(text)/2]},
	} {
		if _, err := read(strings.Replace(text, change[0], change[1], 1)); stowage.CodeOf(err) != stowage.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}
