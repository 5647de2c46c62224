package webhook

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"

	"github.com/stowage/stowage"
)

// Secrets are sealed by API servers, which have no master key, and opened by managers,
// which do: with HPKE (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM), to a key that is
// derived from the master key. Its public half lies in the database. A secret is bound
// to its webhook's id.

var (
	kem  = hpke.DHKEM(ecdh.X25519())
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

func bound(id string) []byte { return []byte("stowage webhook secret " + id) }

// SealSecret seals a webhook's secret to the managers' public key.
func SealSecret(public []byte, id string, secret []byte) ([]byte, error) {
	to, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("the managers' public key: %w", err)
	}
	return hpke.Seal(to, kdf, aead, bound(id), secret)
}

// Box opens secrets.
type Box struct{ keys []hpke.PrivateKey }

// NewBox makes a box of seeds of 32 bytes, the first of which is the one in use.
func NewBox(seeds ...[32]byte) (*Box, error) {
	if len(seeds) == 0 {
		return nil, errors.New("there is no seed for the keys of webhooks' secrets")
	}
	b := &Box{}
	for _, s := range seeds {
		k, err := kem.DeriveKeyPair(s[:])
		if err != nil {
			return nil, fmt.Errorf("derive a key for webhooks' secrets: %w", err)
		}
		b.keys = append(b.keys, k)
	}
	return b, nil
}

// Format keeps every verb from telling the keys.
func (b *Box) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "(%d keys)", len(b.keys)) }

// Public is the key that secrets are to be sealed to.
func (b *Box) Public() []byte { return b.keys[0].PublicKey().Bytes() }

// Open opens a webhook's secret. Forbidden: no key here does.
func (b *Box) Open(id string, sealed []byte) ([]byte, error) {
	for _, k := range b.keys {
		if secret, err := hpke.Open(k, kdf, aead, bound(id), sealed); err == nil {
			return secret, nil
		}
	}
	return nil, stowage.Errorf(stowage.Forbidden, "The secret was sealed to a key that is not here.")
}
