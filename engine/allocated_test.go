package engine_test

import (
	"syscall"
	"testing"
)

// allocated gives the bytes a file takes on disk.
func allocated(t *testing.T, name string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
