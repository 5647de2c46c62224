package main

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// corpus is the lines of programs that any machine with OpenStack has.
func corpus() ([][]byte, error) {
	var lines [][]byte
	size := int64(0)
	err := filepath.WalkDir("/usr/lib/python3", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case size > 16*mib:
			return fs.SkipAll
		case !d.Type().IsRegular() || filepath.Ext(name) != ".py":
			return nil
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
}

// fill writes a volume, of which half is text, in runs of lines that never
// come again in this order, a quarter random and a quarter never written.
func fill(device string, size int64) error {
	lines, err := corpus()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	random, key := rand.New(rand.NewPCG(uint64(size), 1)), rand.NewChaCha8([32]byte{1})
	buf := make([]byte, 16*mib)
	for at := int64(0); at < size && err == nil; at += int64(len(buf)) {
		switch at / int64(len(buf)) % 4 {
		case 3:
			continue
		case 1:
			_, err = key.Read(buf)
		default:
			for n := 0; n < len(buf); {
				from := random.IntN(len(lines))
				for range 1 + random.IntN(12) {
					n += copy(buf[n:], lines[from%len(lines)])
					from++
				}
			}
		}
		if err == nil {
			_, err = f.WriteAt(buf[:min(int64(len(buf)), size-at)], at)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// dirty writes over so many percent of a volume, in pieces of 64 KiB anywhere.
func dirty(device string, size, percent int64, seed uint64) error {
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	random, key := rand.New(rand.NewPCG(seed, 2)), rand.NewChaCha8([32]byte{byte(seed), 2})
	buf := make([]byte, 64<<10)
	places := size / int64(len(buf))
	for range places * percent / 100 {
		if _, err = key.Read(buf); err == nil {
			_, err = f.WriteAt(buf, random.Int64N(places)*int64(len(buf)))
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
