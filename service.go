package stowage

import (
	"slices"
	"strings"
	"time"
)

// ServiceManager is the kind of service that reports itself; APIs are found
// through the load balancer.
const ServiceManager = "stowage-manager"

// Service is one running program as operators see it.
type Service struct {
	Host           string
	Kind           string
	Instance       string // a UUID, another at every start
	Version        string
	Backends       []BackendReport
	Enabled        bool // the operator's word; a disabled manager takes no new work
	DisabledReason string
	StartedAt      time.Time
	LastSeen       time.Time
}

// BackendReport is a backend that a manager reaches.
type BackendReport struct {
	Key    string `json:"key"`
	Driver string `json:"driver"`
	// CinderHosts are host@backend or host@backend#pool of the Cinder volume
	// services whose volumes are there, where Cinder does not tell by itself.
	CinderHosts []string `json:"cinder_hosts,omitempty"`
}

// Serves reports whether a backend key is this backend's: its own, or one of
// the form cinder:<host@backend#pool> whose host it names, with or without the
// pool.
func (b BackendReport) Serves(key string) bool {
	if key == b.Key {
		return true
	}
	host, ok := strings.CutPrefix(key, "cinder:")
	if !ok {
		return false
	}
	backend, _, _ := strings.Cut(host, "#")
	return slices.Contains(b.CinderHosts, host) || slices.Contains(b.CinderHosts, backend)
}
