package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// Ticket is what a client of a login session holds: 256 random bits. Nobody
// keeps it but the client. What is kept is its hash, to find the session again,
// and the user's token sealed with a key that only the ticket gives: whoever has
// the table has neither sessions nor tokens.
type Ticket struct{ bits [32]byte }

// ticketInfo parts the sealing key from all else that might be made of a ticket.
const ticketInfo = "stowage login session: token"

// NewTicket makes one of the randomness given.
func NewTicket(random io.Reader) (Ticket, error) {
	var t Ticket
	if _, err := io.ReadFull(random, t.bits[:]); err != nil {
		return t, fmt.Errorf("make a ticket: %w", err)
	}
	return t, nil
}

// ParseTicket reads what Reveal gave.
func ParseTicket(s string) (Ticket, error) {
	var t Ticket
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != len(t.bits) {
		return t, errors.New("no ticket")
	}
	copy(t.bits[:], raw)
	return t, nil
}

// Reveal gives the ticket as text, for the client alone.
func (t Ticket) Reveal() string { return base64.RawURLEncoding.EncodeToString(t.bits[:]) }

// Format keeps tickets out of logs.
func (t Ticket) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Hash is what a ticket is found by.
func (t Ticket) Hash() [sha256.Size]byte { return sha256.Sum256(t.bits[:]) }

// Seal seals a token so that only the ticket opens it.
func (t Ticket) Seal(token Secret, random io.Reader) ([]byte, error) {
	aead, err := t.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("seal a token: %w", err)
	}
	hash := t.Hash()
	return aead.Seal(nonce, nonce, []byte(token.Reveal()), hash[:]), nil
}

// Open gives back what Seal sealed with this ticket.
func (t Ticket) Open(sealed []byte) (Secret, error) {
	aead, err := t.aead()
	if err != nil {
		return Secret{}, err
	}
	if len(sealed) < aead.NonceSize() {
		return Secret{}, errors.New("open a sealed token: it is too short")
	}
	hash := t.Hash()
	token, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], hash[:])
	if err != nil {
		return Secret{}, fmt.Errorf("open a sealed token: %w", err)
	}
	return NewSecret(string(token)), nil
}

func (t Ticket) aead() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, t.bits[:], nil, ticketInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a ticket: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a ticket: %w", err)
	}
	return cipher.NewGCM(block)
}
