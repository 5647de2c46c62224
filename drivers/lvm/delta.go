package lvm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
)

// delta is which blocks of two snapshots of a thin volume differ: those of
// which the pool has another copy now, has one only now, or has none any more.
// A block that both have the same copy of is the same in both, for a pool
// never writes to a copy that a snapshot has.
type delta struct {
	was, is         *lv
	wasSize, isSize int64
	changed         *blockSet

	sectors int64 // of a block
	last    int64 // the first block behind the last record
	mapped  int64 // blocks the younger one has
	ended   int   // 1: behind the comparison; 2: behind everything
}

// newDelta compares a base with a younger snapshot, which is active.
func (v *Volumes) newDelta(ctx context.Context, was, is *lv) (*delta, error) {
	d := &delta{was: was, is: is}
	var err error
	if d.wasSize, err = was.bytes(); err != nil {
		return nil, err
	}
	if d.isSize, err = is.bytes(); err != nil {
		return nil, err
	}
	if err = v.withMetadata(ctx, is.Pool, func(device string) error {
		return v.stream(ctx, v.o.ThinDelta, []string{"--metadata-snap", "--snap1", was.ThinID, "--snap2", is.ThinID, device}, d.parse)
	}); err != nil {
		return nil, err
	}
	if err = v.counted(ctx, d); err != nil {
		return nil, err
	}
	return d, d.grown()
}

// counted holds the list against what the kernel counts: "thin <mapped sectors>
// <the highest>". A list that lacks a block is no list.
func (v *Volumes) counted(ctx context.Context, d *delta) error {
	fields, err := v.status(ctx, "status", deviceName(v.o.VolumeGroup, d.is.Name))
	if err != nil {
		return err
	}
	if len(fields) < 2 || fields[0] != "thin" || fields[1] != strconv.FormatInt(d.mapped*d.sectors, 10) {
		return fmt.Errorf("thin_delta gave %d blocks of %d sectors, and device-mapper says %q", d.mapped, d.sectors, fields)
	}
	return nil
}

// grown adds what lies behind the end of a shorter base, in its last block:
// that was no part of the volume, and nobody knows what it held.
func (d *delta) grown() error {
	if d.wasSize >= d.isSize || d.wasSize%d.changed.blockBytes == 0 {
		return nil
	}
	return d.changed.add(d.wasSize/d.changed.blockBytes, 1)
}

// parse reads what thin_delta writes, a tag on each line. It must be whole:
// one comparison, of these two, in ascending order, and the end.
func (d *delta) parse(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if err := d.line(line); err != nil {
			return fmt.Errorf("thin_delta wrote %.200q: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read from thin_delta: %w", err)
	}
	if d.ended != 2 {
		return fmt.Errorf("thin_delta did not come to an end")
	}
	return nil
}

func (d *delta) line(line []byte) error {
	name, _, _ := bytes.Cut(line, []byte(" "))
	switch tag := string(name); tag {
	case "":
		return nil
	case "<superblock":
		return d.begin(line)
	case "<diff":
		return d.pair(line)
	case "<same", "<different", "<left_only", "<right_only":
		return d.record(tag, line)
	case "</diff>", "</superblock>":
		if (tag == "</superblock>") != (d.ended == 1) || d.last < 0 {
			return fmt.Errorf("an end out of place")
		}
		d.ended++
		return nil
	}
	return fmt.Errorf("an unknown tag")
}

// begin learns how large a block is. The set has room for the longer of both:
// what a volume that has shrunk lost is listed as well.
func (d *delta) begin(line []byte) (err error) {
	if d.changed != nil {
		return fmt.Errorf("a second pool")
	}
	if d.sectors, err = attribute(line, "data_block_size"); err != nil {
		return err
	}
	d.changed, err = newBlockSet(max(d.wasSize, d.isSize), d.sectors)
	d.last = -1
	return err
}

// pair wants the comparison to be the one that was asked for.
func (d *delta) pair(line []byte) error {
	if d.changed == nil || d.last >= 0 {
		return fmt.Errorf("a comparison out of place")
	}
	for key, want := range map[string]string{"left": d.was.ThinID, "right": d.is.ThinID} {
		if id, err := attribute(line, key); err != nil || strconv.FormatInt(id, 10) != want {
			return fmt.Errorf("not of device %s", want)
		}
	}
	d.last = 0
	return nil
}

func (d *delta) record(tag string, line []byte) error {
	if d.changed == nil || d.last < 0 || d.ended > 0 {
		return fmt.Errorf("a record out of place")
	}
	begin, err := attribute(line, "begin")
	if err != nil {
		return err
	}
	n, err := attribute(line, "length")
	if err != nil {
		return err
	}
	// Two records of one block would contradict one another.
	if begin < d.last || n < 1 || n > int64(len(d.changed.bits))*64-begin {
		return fmt.Errorf("behind block %d, of %d bytes", d.last, d.changed.size)
	}
	d.last = begin + n
	if tag != "<left_only" {
		d.mapped += n
	}
	if tag == "<same" {
		return nil
	}
	return d.changed.add(begin, n)
}
