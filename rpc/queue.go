package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// AnyQueue is the queue of jobs that every manager can do.
const AnyQueue = "stowage.any"

const (
	backendPrefix = "stowage.backend."
	// maxQueueName is AMQP's limit: names are short strings of 255 bytes.
	maxQueueName = 255
)

// BackendQueue names the queue of the jobs that must run beside a backend.
// Different keys give different names. Bytes that mean something elsewhere (in
// patterns, paths, shells) are written %XX; a name that would become too long
// ends in a hash of the whole key instead.
func BackendQueue(key string) string {
	var b strings.Builder
	b.WriteString(backendPrefix)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxQueueName {
		return b.String()
	}
	sum := sha256.Sum256([]byte(key))
	// The ~ occurs in no escaped name, so long and short names never meet.
	tail := "~" + hex.EncodeToString(sum[:])
	return b.String()[:maxQueueName-len(tail)] + tail
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-_.:@", c) >= 0
}
