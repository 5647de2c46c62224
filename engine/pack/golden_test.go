package pack

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/stowage/stowage/engine/codec"
	"github.com/stowage/stowage/engine/seal"
)

var update = flag.String("update", "", "write the golden packs, as of this encoder: libzstd or pure")

// golden is what the golden packs hold; their headers are open and closed.
func golden() []one { return []one{{5, noise(9, 300)}, {6, text(3000)}, {1 << 40, []byte("stowage")}} }

// Packs of either encoder, written once: every build must read them for ever.
// They are not compared with what is written today: another encoder, or the
// next version of it, makes other frames.
func TestGoldenPacksAreRead(t *testing.T) {
	for name, h := range map[string]seal.Header{"open": open, "sealed": closed} {
		for _, encoder := range []string{"libzstd", "pure"} {
			path := "testdata/" + name + "-" + encoder + ".pack"
			if *update == encoder {
				if err := os.WriteFile(path, build(t, h, golden()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			object, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
				continue
			}
			if got, err := seal.ParseHeader(seal.Pack, object); err != nil || got != h {
				t.Errorf("%s: %+v, %v", path, got, err)
			}
			entries, out, err := read(t, h, object)
			if err != nil || !reflect.DeepEqual(out, golden()) || entries[1].Codec != codec.Zstd {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// What has no frame in it is the same bytes whoever writes it: the header and
// chunks that stay raw, sealed or not.
func TestRawChunksAreWrittenToTheByte(t *testing.T) {
	for name, h := range map[string]seal.Header{"open": open, "sealed": closed} {
		object, err := os.ReadFile("testdata/" + name + "-pure.pack")
		if err != nil {
			t.Fatal(err)
		}
		raw := build(t, h, golden()[:1])
		n := seal.HeaderBytes + 300 + boxesOf(t, h).Overhead()
		if !bytes.Equal(raw[:n], object[:n]) {
			t.Errorf("%s: it is\n%x, not\n%x", name, raw[:n], object[:n])
		}
	}
}

// The index by doc/design.md: what is in it, and where.
func TestAnIndexIsWhatThePageSays(t *testing.T) {
	object := build(t, open, []one{{0x010203040506, []byte("stowage")}})
	tail, err := ParseTrailer(object[len(object)-TrailerBytes:], int64(len(object)))
	if err != nil || tail.IndexOffset != 64+7 || tail.Count != 1 || tail.IndexPlain != 53 {
		t.Fatalf("%+v, %v", tail, err)
	}
	got := make([]byte, 53)
	if err := newCodec(t).Decompress(got, object[tail.IndexOffset:][:tail.IndexStored]); err != nil {
		t.Fatal(err)
	}
	hash := open.Hash.Sum([]byte("stowage"))
	want := append([]byte{0, 0, 1, 2, 3, 4, 5, 6, 1, 0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 0}, hash[:]...)
	if !bytes.Equal(got, want) {
		t.Errorf("it is\n%x, not\n%x", got, want)
	}
}
