// Package soak plays random histories of volumes and their backups, and holds
// every restore against a model, byte for byte: thousands of short ones on file
// volumes in every run of the tests, long ones on a real Ceph with make soak.
package soak
