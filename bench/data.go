//go:build ceph

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// fill makes random bytes that cannot be compressed.
func fill(buf []byte, seed uint64) {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	if _, err := rand.NewChaCha8(key).Read(buf); err != nil {
		panic(err) // it says it never fails
	}
}

// corpus is the lines of programs that any machine with OpenStack has.
var corpus = sync.OnceValues(func() ([][]byte, error) {
	var lines [][]byte
	size := int64(0)
	err := filepath.WalkDir("/usr/lib/python3", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(name) != ".py" || size > 64*mib {
			return err
		}
		data, err := os.ReadFile(name)
		size += int64(len(data))
		lines = append(lines, bytes.SplitAfter(data, []byte("\n"))...)
		return err
	})
	if err == nil && len(lines) < 1000 {
		err = errors.New("there is no text in /usr/lib/python3")
	}
	return lines, err
})

// text makes something like the source of programs: runs of real lines, in an
// order that never comes again, so that nobody finds whole blocks twice.
func text(buf []byte, seed uint64) error {
	lines, err := corpus()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for n := 0; n < len(buf); {
		at := random.IntN(len(lines))
		for range 1 + random.IntN(12) {
			n += copy(buf[n:], lines[at%len(lines)])
			at++
		}
	}
	return nil
}

// mixed makes a file of which half is text, a quarter random, and a quarter
// never written, in runs of 16 MiB.
func mixed(name string, size int64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return err
	}
	buf := make([]byte, 16*mib)
	for at := int64(0); at < size; at += int64(len(buf)) {
		switch kind := at / int64(len(buf)) % 4; kind {
		case 3:
			continue
		case 1:
			fill(buf, uint64(at))
		default:
			if err := text(buf, uint64(at)); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(buf[:min(int64(len(buf)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// ext4 makes a file system of 8 GiB with what a machine has in /usr.
func ext4(ctx context.Context, name string) error {
	for _, line := range []string{
		`truncate -s 8G "$1" && mke2fs -q -t ext4 -d /usr/lib "$1"`,
	} {
		if out, err := exec.CommandContext(ctx, "sh", "-c", line, "sh", name).CombinedOutput(); err != nil {
			return fmt.Errorf("make a file system: %w: %.500s", err, out)
		}
	}
	return nil
}
