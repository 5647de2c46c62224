// Package soak holds the long test of random histories on a real Ceph; see
// make soak.
package soak
