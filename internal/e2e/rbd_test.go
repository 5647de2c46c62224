//go:build stack

package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/stowage/stowage/internal/stacktest"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// rbdCommand is the rbd command with what it needs to reach the pool.
func rbdCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command("rbd", append([]string{
		"--conf", stacktest.Env(t, "CEPH_CONF"), "--id", stacktest.Env(t, "CEPH_USER"), "--keyring", stacktest.Env(t, "CEPH_KEYRING"),
	}, args...)...)
}

func rbd(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := rbdCommand(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("rbd %v: %v: %s", args, err, errs.String())
	}
	return out.String()
}

// image is the name of a volume's image.
func image(t testing.TB, volume string) string {
	t.Helper()
	return stacktest.Env(t, "CEPH_POOL") + "/volume-" + volume
}

// piece is a run of bytes at an offset.
type piece struct {
	at   int64
	data []byte
}

// fill writes pieces to a volume, in the format of rbd import-diff.
func fill(t testing.TB, volume string, size int64, pieces iter.Seq[piece]) {
	t.Helper()
	cmd := rbdCommand(t, "import-diff", "--no-progress", "-", image(t, volume))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	fatal(t, err)
	fatal(t, cmd.Start())
	w := bufio.NewWriterSize(in, 1<<20)
	put := func(tag byte, numbers ...int64) {
		w.WriteByte(tag) //nolint:errcheck // Flush tells
		for _, n := range numbers {
			binary.Write(w, binary.LittleEndian, n) //nolint:errcheck // Flush tells
		}
	}
	w.WriteString("rbd diff v1\n") //nolint:errcheck // Flush tells
	put('s', size)
	for p := range pieces {
		put('w', p.at, int64(len(p.data)))
		w.Write(p.data) //nolint:errcheck // Flush tells
	}
	put('e')
	fatal(t, w.Flush())
	fatal(t, in.Close())
	if err := cmd.Wait(); err != nil {
		t.Fatalf("fill %s: %v: %s", volume, err, errs.String())
	}
}

// dots are 128 KiB of random bytes in each of so many pieces of 4 MiB: much to
// do for little data.
func dots(seed string, n int) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		random := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
		for i := range int64(n) {
			data := make([]byte, 128*kib)
			random.Read(data)
			if !yield(piece{i*4*mib + i%60*64*kib, data}) {
				return
			}
		}
	}
}

// noise is random bytes from the beginning.
func noise(seed string, size int64) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		random := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
		data := make([]byte, 4*mib)
		for at := int64(0); at < size; at += int64(len(data)) {
			random.Read(data)
			if !yield(piece{at, data}) {
				return
			}
		}
	}
}

// mixed is half text, a quarter random bytes and a quarter never written.
func mixed(seed string, size int64) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		random := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
		words := strings.Fields("the volume of a tenant holds text logs tables and pictures that nobody else has a copy of")
		data := make([]byte, 4*mib)
		for at := int64(0); at < size; at += int64(len(data)) {
			switch at / (16 * mib) % 4 {
			case 0, 1:
				text := data[:0]
				for len(text) < 256<<10 {
					text = append(append(text, words[random.Uint64()%uint64(len(words))]...), ' ')
				}
				text = text[:256<<10]
				for len(text) < cap(data) {
					text = append(text, text[:256<<10]...)
				}
				copy(text, fmt.Sprintf("at %d:", at))
			case 2:
				random.Read(data)
			case 3:
				continue
			}
			if !yield(piece{at, data}) {
				return
			}
		}
	}
}

// read gives what rbd export gives, up to a length.
func read(t testing.TB, volume string, length int64, to io.Writer) {
	t.Helper()
	cmd := rbdCommand(t, "export", "--no-progress", image(t, volume), "-")
	out, err := cmd.StdoutPipe()
	fatal(t, err)
	fatal(t, cmd.Start())
	r := bufio.NewReaderSize(out, 4<<20)
	n, err := io.CopyN(to, r, length)
	if err != nil {
		t.Errorf("export %s: %d bytes: %v", volume, n, err)
	}
	_, _ = io.Copy(io.Discard, r) // rbd wants to be listened to till the end
	if err := cmd.Wait(); err != nil {
		t.Fatalf("export %s: %v", volume, err)
	}
}

// sum is the SHA-256 of the first bytes of a volume.
func sum(t testing.TB, volume string, length int64) string {
	t.Helper()
	h := sha256.New()
	read(t, volume, length, h)
	return hex.EncodeToString(h.Sum(nil))
}

// contents is like sum, and quicker where there is little but zeros.
func contents(t testing.TB, volume string) string {
	t.Helper()
	d := &digest{}
	read(t, volume, gib, d)
	return d.String()
}

// digest hashes what is not zero, and where it is.
type digest struct {
	block []byte
	at    int64
	sum   []byte
}

var zeros = make([]byte, 4096)

func (d *digest) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(len(p), len(zeros)-len(d.block))
		d.block, p = append(d.block, p[:take]...), p[take:]
		if len(d.block) == len(zeros) {
			if !bytes.Equal(d.block, zeros) {
				h := sha256.New()
				fmt.Fprintf(h, "%x %d ", d.sum, d.at)
				h.Write(d.block)
				d.sum = h.Sum(nil)
			}
			d.block, d.at = d.block[:0], d.at+int64(len(zeros))
		}
	}
	return n, nil
}

func (d *digest) String() string { return hex.EncodeToString(d.sum) }

// used is how many bytes of the image and its snapshots are there.
func used(t testing.TB, volume string) int64 {
	t.Helper()
	var got struct {
		Images []struct {
			Used int64 `json:"used_size"`
		}
	}
	fatal(t, json.Unmarshal([]byte(rbd(t, "du", "--format", "json", image(t, volume))), &got))
	if len(got.Images) == 0 {
		t.Fatalf("rbd du says nothing of %s", volume)
	}
	sum := int64(0)
	for _, i := range got.Images {
		sum += i.Used
	}
	return sum
}

// parts is how many pieces of an image's data can be told apart.
func parts(t testing.TB, volume string) int {
	t.Helper()
	return strings.Count(rbd(t, "diff", image(t, volume)), "\n")
}

// snapshots are the names of the volume's snapshots.
func snapshots(t testing.TB, volume string) (names []string) {
	t.Helper()
	var got []struct{ Name string }
	fatal(t, json.Unmarshal([]byte(rbd(t, "snap", "ls", "--format", "json", image(t, volume))), &got))
	for _, s := range got {
		names = append(names, s.Name)
	}
	return names
}

// trashed gives the ids of the images in the trash that were this volume.
func trashed(t testing.TB, volume string) (ids []string) {
	t.Helper()
	var got []struct{ ID, Name string }
	fatal(t, json.Unmarshal([]byte(rbd(t, "trash", "ls", "--format", "json", stacktest.Env(t, "CEPH_POOL"))), &got))
	for _, e := range got {
		if e.Name == "volume-"+volume {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// unearth removes what is left of a volume that Cinder has forgotten.
func unearth(t testing.TB, volume string) {
	t.Helper()
	pool := stacktest.Env(t, "CEPH_POOL")
	for _, id := range trashed(t, volume) {
		t.Logf("volume %s was left in the trash", volume)
		if out, err := rbdCommand(t, "snap", "purge", "--no-progress", "-p", pool, "--image-id", id).CombinedOutput(); err != nil {
			t.Errorf("purge %s: %v: %s", id, err, out)
		}
		if out, err := rbdCommand(t, "trash", "rm", "--no-progress", pool+"/"+id).CombinedOutput(); err != nil {
			t.Errorf("remove %s: %v: %s", id, err, out)
		}
	}
}
