package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stowage/stowage"
)

// line is a line with a master key of 32 times b.
func line(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) + "\n"
}

func master(t testing.TB, file string) *Master {
	t.Helper()
	m, err := ParseMaster([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAKeyIsWrappedAndUnwrapped(t *testing.T) {
	m := master(t, line(1))
	k, err := m.NewKey("project")
	if err != nil || len(k.Wrapped) != WrappedBytes || k.ID == (KeyID{}) || k.Secret == (Secret{}) {
		t.Fatalf("%d bytes, %v", len(k.Wrapped), err)
	}
	other, err := m.NewKey("project")
	if err != nil || other.ID == k.ID || other.Secret == k.Secret {
		t.Fatalf("the next key is the same: %v", err)
	}
	wrapped := bytes.Clone(k.Wrapped)
	got, err := m.Unwrap(k.ID, wrapped, "project")
	if err != nil || got.Secret != k.Secret || got.ID != k.ID || !bytes.Equal(got.Wrapped, k.Wrapped) {
		t.Fatalf("unwrapped: %v", err)
	}
	clear(wrapped)
	if !bytes.Equal(got.Wrapped, k.Wrapped) {
		t.Error("the key keeps what it was unwrapped from")
	}
}

func TestAWrappedKeyIsOneProjectsAndOneIDs(t *testing.T) {
	m := master(t, line(1))
	k, err := m.NewKey("project")
	if err != nil {
		t.Fatal(err)
	}
	for _, project := range []string{"", "Project", "project2", "projec"} {
		_, err := m.Unwrap(k.ID, k.Wrapped, project)
		corrupt(t, "project "+project, err)
	}
	id := k.ID
	id[15]++
	_, err = m.Unwrap(id, k.Wrapped, "project")
	corrupt(t, "another id", err)
	// What ends one and begins the other may not move between them.
	moved := KeyID(append(append([]byte{}, k.ID[1:]...), 'p'))
	_, err = m.Unwrap(moved, k.Wrapped, "roject")
	corrupt(t, "an id that begins the project", err)
	for i := range len(k.Wrapped) * 8 {
		bad := bytes.Clone(k.Wrapped)
		bad[i/8] ^= 1 << (i % 8)
		_, err := m.Unwrap(k.ID, bad, "project")
		want := stowage.Corrupt
		if i/8 >= 1 && i/8 < 9 { // the master key's id
			want = stowage.Forbidden
		}
		if stowage.CodeOf(err) != want {
			t.Errorf("bit %d: %v", i, err)
		}
	}
	for n := range k.Wrapped {
		_, err := m.Unwrap(k.ID, k.Wrapped[:n], "project")
		corrupt(t, fmt.Sprintf("%d bytes", n), err)
	}
	_, err = m.Unwrap(k.ID, append(k.Wrapped, 0), "project")
	corrupt(t, "a byte more", err)
}

func TestTheMasterKeyRotates(t *testing.T) {
	before := master(t, line(1))
	k, err := before.NewKey("project")
	if err != nil {
		t.Fatal(err)
	}
	during, after := master(t, line(2)+line(1)), master(t, line(2))
	got, err := during.Unwrap(k.ID, k.Wrapped, "project")
	if err != nil || got.Secret != k.Secret {
		t.Fatalf("with the old key second: %v", err)
	}
	if _, err := after.Unwrap(k.ID, k.Wrapped, "project"); stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("without the old key: %v", err)
	}
	again, err := during.Wrap(got, "project")
	if err != nil || again.ID != k.ID || again.Secret != k.Secret {
		t.Fatalf("wrapped anew: %v", err)
	}
	if got, err := after.Unwrap(k.ID, again.Wrapped, "project"); err != nil || got.Secret != k.Secret {
		t.Errorf("by the new key: %v", err)
	}
	if _, err := before.Unwrap(k.ID, again.Wrapped, "project"); stowage.CodeOf(err) != stowage.Forbidden {
		t.Errorf("by the old key alone: %v", err)
	}
	if once, err := during.Wrap(got, "project"); err != nil || bytes.Equal(once.Wrapped, again.Wrapped) {
		t.Errorf("wrapped twice, it is the same: a nonce was used again (%v)", err)
	}
}

// golden is secret, wrapped once by the master key of line(7) for "a project".
func golden(t testing.TB) []byte {
	t.Helper()
	wrapped, err := hex.DecodeString("01bc099b6ecb047057c35e36863d4ce199c4968b4edc856390ac391dd0845678883bf" +
		"542b5610a49c799d1b604625d2e0772c82e0e585a07c1b7ac0019f7fcbcb017f2bf08")
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

// Bytes once written must unwrap for ever.
func TestGoldenWrappedKey(t *testing.T) {
	k, err := master(t, line(7)).Unwrap(sealed().KeyID, golden(t), "a project")
	if err != nil || k.Secret != *secret() {
		t.Errorf("they do not: %v", err)
	}
}

// Written from doc/design.md alone, as a restore tool would.
func TestAKeyUnwrapsByThePage(t *testing.T) {
	w, key := golden(t), bytes.Repeat([]byte{7}, 32)
	id := sha256.Sum256(append([]byte("stowage master key id"), key...))
	if w[0] != 1 || !bytes.Equal(w[1:9], id[:8]) || len(w) != 1+8+12+48 {
		t.Errorf("it begins with %x", w[:9])
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	keyID := sealed().KeyID
	plain, err := aead.Open(nil, w[9:21], w[21:], []byte("stowage project key"+string(keyID[:])+"a project"))
	if err != nil || !bytes.Equal(plain, secret()[:]) {
		t.Errorf("%x, %v", plain, err)
	}
}

func TestMasterFiles(t *testing.T) {
	m := master(t, "# the keys\r\n\n  "+strings.TrimSpace(line(1))+" \r\n#"+line(9)+"\t\n"+strings.TrimSpace(line(2)))
	if len(m.keys) != 2 || m.keys[0][0] != 1 || m.keys[1][0] != 2 {
		t.Errorf("%d keys", len(m.keys))
	}
	if m := master(t, string(NewMaster())); len(m.keys) != 1 || bytes.Equal(NewMaster(), NewMaster()) {
		t.Errorf("a new file has %d keys", len(m.keys))
	}
	for name, file := range map[string]string{
		"empty":          "",
		"comments":       "# nothing\n\n",
		"short":          base64.StdEncoding.EncodeToString(make([]byte, 31)),
		"long":           base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"very long":      line(1) + strings.Repeat("A", 1<<20),
		"no base64":      "not a key",
		"URL base64":     strings.Repeat("_", 43) + "=",
		"no padding":     strings.TrimRight(line(1), "=\n"),
		"loose bits":     strings.Repeat("A", 42) + "B=",
		"a good one too": line(1) + "x\n",
	} {
		_, err := ParseMaster([]byte(file))
		if stowage.CodeOf(err) != stowage.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: the error tells the key", name)
		}
	}
}

// Whatever prints a key, its bytes are not in it.
func TestKeysSayNothing(t *testing.T) {
	m := master(t, line(0xab))
	k := Key{Secret: m.keys[0]}
	b := boxes(t, sealed(), &k.Secret)
	type inside struct {
		Name string
		Key  Key
		P    *Secret
		M    *Master
		V    Master
		Any  any
		List []Secret
		Map  map[string]Secret
	}
	all := inside{"x", k, &k.Secret, m, *m, k.Secret, m.keys, map[string]Secret{"k": k.Secret}}
	var said strings.Builder
	for _, v := range []any{k.Secret, &k.Secret, k, &k, m, *m, m.keys, b, *b, all, &all, []any{all}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%e"} {
			fmt.Fprintf(&said, verb+"\n", v)
		}
		fmt.Fprintln(&said, v)
		text, err := json.Marshal(v)
		fmt.Fprintln(&said, string(text), err)
		slog.New(slog.NewTextHandler(&said, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&said, nil)).Info("m", "v", v)
	}
	low := strings.ToLower(said.String())
	// Three of the bytes in a row, in any notation; an address may look like one.
	for _, is := range []string{"abababab", "ab ab ab", "0xab, 0xab", "0xab 0xab", "171 171", "171,171", "171, 171",
		"253 253", "10101011 10101011", "\u00ab", "\xab", "\\xab", "u+00ab", "q6urq6ur"} {
		if at := strings.Index(low, is); at >= 0 {
			t.Errorf("a key is told, as %q: %s", is, low[max(0, at-100):min(len(low), at+50)])
		}
	}
	if !strings.Contains(low, "(a key)") {
		t.Error("nothing was printed at all")
	}
}

// Whatever the bytes, there is a key at least, or it is Invalid.
func FuzzParseMaster(f *testing.F) {
	f.Add([]byte(line(1)))
	f.Add([]byte("# x\n\n" + line(1) + line(2)))
	f.Add(NewMaster())
	f.Add([]byte("AAAA\r\n\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := ParseMaster(file)
		if err != nil {
			if stowage.CodeOf(err) != stowage.Invalid {
				t.Fatalf("error %v has another code", err)
			}
			return
		}
		k, err := m.NewKey("p")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Unwrap(k.ID, k.Wrapped, "p"); err != nil || got.Secret != k.Secret {
			t.Fatalf("its keys do not work: %v", err)
		}
	})
}

// Whatever the bytes, nothing unwraps that was not wrapped here.
func FuzzUnwrap(f *testing.F) {
	m := master(f, line(1)+line(7))
	id := sealed().KeyID
	f.Add(id[:], golden(f), "a project")
	f.Add(id[:], golden(f)[:9], "a project")
	f.Add(make([]byte, 16), make([]byte, WrappedBytes), "")
	f.Fuzz(func(t *testing.T, id, wrapped []byte, project string) {
		if len(id) != 16 {
			return
		}
		got, err := m.Unwrap(KeyID(id), wrapped, project)
		if code := stowage.CodeOf(err); err != nil && code != stowage.Corrupt && code != stowage.Forbidden {
			t.Fatalf("error %v has another code", err)
		}
		if err == nil && (got.Secret != *secret() || project != "a project") {
			t.Fatal("what nobody wrapped unwraps")
		}
	})
}

func TestADerivedKeyIsAnotherForEachPurposeAndMaster(t *testing.T) {
	lines := append(NewMaster(), NewMaster()...)
	m, err := ParseMaster(lines)
	if err != nil {
		t.Fatal(err)
	}
	one, err := m.Derive("one purpose")
	if err != nil || len(one) != 2 || one[0] == one[1] || Secret(one[0]) == m.keys[0] {
		t.Fatalf("%d keys, %v", len(one), err)
	}
	again, err := m.Derive("one purpose")
	if err != nil || again[0] != one[0] || again[1] != one[1] {
		t.Errorf("they are others the second time: %v", err)
	}
	if other, err := m.Derive("another"); err != nil || other[0] == one[0] {
		t.Errorf("another purpose has the same: %v", err)
	}
}
