//go:build ceph

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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

// text makes something that compresses about as well as text does.
func text(buf []byte, seed uint64) {
	random, words := rand.New(rand.NewPCG(seed, 1)), [4096][]byte{}
	for i := range words {
		words[i] = make([]byte, 2+i%9)
		for j := range words[i] {
			words[i][j] = byte('a' + random.IntN(26))
		}
	}
	for n := 0; n < len(buf); {
		n += copy(buf[n:], words[int(random.ExpFloat64()*300)%len(words)])
		if n < len(buf) {
			buf[n] = ' '
			n++
		}
	}
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
			text(buf, uint64(at))
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
