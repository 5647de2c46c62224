package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/stowage/stowage"
)

// Secret is a project's key. Printed or logged, it says nothing. Package fmt
// does not ask the values in unexported fields, though: a struct that holds a
// Secret in one of those must keep silent itself, as Master does.
type Secret [32]byte

func (Secret) String() string { return "(a key)" }

// Format keeps every verb from telling the bytes.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText keeps JSON, and with it structured logs, from telling them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Key is a project's key, and the same wrapped by a master key.
type Key struct {
	ID      KeyID
	Secret  Secret
	Wrapped []byte // WrappedBytes
}

// WrappedBytes is how long a wrapped key is.
const WrappedBytes = 1 + 8 + 12 + 32 + 16

// Master is the operator's master keys: the first wraps, all unwrap.
type Master struct{ keys []Secret }

// Format keeps every verb from telling the keys.
func (m Master) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "(%d master keys)", len(m.keys)) }

// ParseMaster reads a file of master keys: one a line, 32 bytes in base64.
// Lines that are empty or begin with # are skipped.
func ParseMaster(data []byte) (*Master, error) {
	m := &Master{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(key) != len(Secret{}) {
			return nil, stowage.Errorf(stowage.Invalid, "line %d is no master key: 32 bytes in base64 are wanted", n)
		}
		m.keys = append(m.keys, Secret(key))
	}
	if len(m.keys) == 0 {
		return nil, stowage.Errorf(stowage.Invalid, "there is no master key in it")
	}
	return m, nil
}

// NewMaster makes the content of a file with one new master key.
func NewMaster() []byte {
	var key Secret
	random(key[:])
	return []byte("# A master key of Stowage. Without it, no backup can be read: keep a copy elsewhere.\n" +
		base64.StdEncoding.EncodeToString(key[:]) + "\n")
}

// random fills b; it does not return without (crypto/rand promises that).
func random(b []byte) {
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
}

// NewSalt makes the salt of an attempt.
func NewSalt() (s Salt) { random(s[:]); return s }

// NewKey makes a key for a project, wrapped by the first master key.
func (m *Master) NewKey(project string) (Key, error) {
	var k Key
	random(k.ID[:])
	random(k.Secret[:])
	return m.Wrap(k, project)
}

// Wrap gives the key wrapped anew, by the first master key.
func (m *Master) Wrap(k Key, project string) (Key, error) {
	aead, err := gcm(m.keys[0][:])
	if err != nil {
		return Key{}, err
	}
	id := masterID(m.keys[0])
	var nonce [12]byte
	random(nonce[:])
	k.Wrapped = append(append([]byte{1}, id[:]...), nonce[:]...)
	k.Wrapped = aead.Seal(k.Wrapped, nonce[:], k.Secret[:], wrapData(k.ID, project))
	return k, nil
}

// Unwrap opens a wrapped key. Forbidden: no master key here wrapped it.
// Corrupt: it is not that project's key of that id.
func (m *Master) Unwrap(id KeyID, wrapped []byte, project string) (Key, error) {
	if len(wrapped) != WrappedBytes || wrapped[0] != 1 {
		return Key{}, stowage.Errorf(stowage.Corrupt, "a wrapped key of %d bytes is not known", len(wrapped))
	}
	for _, key := range m.keys {
		if masterID(key) != [8]byte(wrapped[1:9]) {
			continue
		}
		aead, err := gcm(key[:])
		if err != nil {
			return Key{}, err
		}
		secret, err := aead.Open(nil, wrapped[9:21], wrapped[21:], wrapData(id, project))
		if err != nil {
			return Key{}, stowage.Errorf(stowage.Corrupt, "the wrapped key was changed, or is another project's")
		}
		return Key{ID: id, Secret: Secret(secret), Wrapped: bytes.Clone(wrapped)}, nil
	}
	return Key{}, stowage.Errorf(stowage.Forbidden, "the key was wrapped by a master key that is not here, %x", wrapped[1:9])
}

func masterID(key Secret) [8]byte {
	sum := sha256.Sum256(append([]byte("stowage master key id"), key[:]...))
	return [8]byte(sum[:])
}

func wrapData(id KeyID, project string) []byte {
	return append(append([]byte("stowage project key"), id[:]...), project...)
}

// Derive gives a secret for another purpose, from each of the master keys: whoever
// knows it learns nothing of the key.
func (m *Master) Derive(purpose string) ([][32]byte, error) {
	var list [][32]byte
	for _, key := range m.keys {
		out, err := hkdf.Key(sha256.New, key[:], nil, "stowage "+purpose, 32)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		list = append(list, [32]byte(out))
	}
	return list, nil
}
