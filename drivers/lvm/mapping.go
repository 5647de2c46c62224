package lvm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/stowage/stowage"
)

// mapping is which blocks of a thin LV its pool has mapped. It is found out
// once, when first asked for: a snapshot's does not change. Ours are read-only;
// Cinder's are not, and Cinder writes to none.
type mapping struct {
	v    *Volumes
	lv   *lv
	size int64

	// turn is held while the mapping is found out.
	turn   chan struct{}
	known  bool
	blocks *blockSet // nil: all counts as mapped
}

// newMapping looks whether what is not mapped reads as zeros at all: not with
// an external origin, which shows through.
func (v *Volumes) newMapping(ctx context.Context, l *lv) (*mapping, error) {
	zeros, err := v.zerosUnmapped(ctx, l)
	if err != nil || !zeros {
		return nil, err
	}
	size, err := l.bytes()
	return &mapping{v: v, lv: l, size: size, turn: make(chan struct{}, 1)}, err
}

// zerosUnmapped reads the table of an active thin LV: "thin <pool> <id>", and
// behind it the external origin, if it has one.
func (v *Volumes) zerosUnmapped(ctx context.Context, l *lv) (bool, error) {
	fields, err := v.status(ctx, "table", deviceName(v.o.VolumeGroup, l.Name))
	if err != nil {
		return false, err
	}
	return len(fields) == 3 && fields[0] == "thin" && fields[2] == l.ThinID, nil
}

// walk calls fn for each run of mapped blocks.
func (m *mapping) walk(ctx context.Context, offset, length int64, fn func(stowage.Extent) error) error {
	if err := m.load(ctx); err != nil {
		return err
	}
	if length == 0 {
		return nil
	}
	if m.blocks == nil {
		return fn(stowage.Extent{Offset: offset, Length: length})
	}
	return m.blocks.walk(ctx, offset, length, fn)
}

// load finds the mapping out. Only an ended context is an error: with anything
// else in the way, all counts as mapped.
func (m *mapping) load(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("list extents: %w", ctx.Err())
	}
	defer func() { <-m.turn }()
	if m.known {
		return nil
	}
	err := m.v.withMetadata(ctx, m.lv.Pool, func(device string) error { return m.dump(ctx, device) })
	if ctx.Err() != nil {
		return fmt.Errorf("list extents: %w", ctx.Err())
	}
	if err != nil {
		m.blocks = nil
		m.v.o.Log.WarnContext(ctx, "thin snapshot is read whole", "lv", m.lv.Name, "pool", m.lv.Pool, "error", err)
	}
	m.known = true
	return nil
}

// dump has the frozen metadata listed.
func (m *mapping) dump(ctx context.Context, device string) error {
	m.blocks = nil
	return m.v.stream(ctx, m.v.o.ThinDump, []string{"--format", "xml", "--metadata-snap", "--dev-id", m.lv.ThinID, device}, m.parse)
}

// stream runs a tool and has what it writes read while it comes.
func (v *Volumes) stream(ctx context.Context, path string, args []string, parse func(io.Reader) error) error {
	out, in := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := parse(out)
		_ = out.CloseWithError(err) // ends the tool, if it has not ended
		read <- err
	}()
	err := v.o.Runner.Run(ctx, Command{Path: path, Timeout: dumpTimeout, Args: args}, in)
	_ = in.Close()
	return errors.Join(err, <-read)
}

// parse reads what thin_dump writes, a tag on each line. It must be whole: the
// one device, as many blocks as that has, and the end.
func (m *mapping) parse(r io.Reader) error {
	lines := bufio.NewScanner(r)
	var found, promised int64 = 0, -1
	ended := false
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		name, _, _ := bytes.Cut(line, []byte(" "))
		var err error
		switch string(name) {
		case "<superblock":
			err = m.begin(line)
		case "<device":
			var id int64
			id, err = attribute(line, "dev_id")
			if err == nil && (promised >= 0 || strconv.FormatInt(id, 10) != m.lv.ThinID) {
				err = fmt.Errorf("another device")
			}
			if err == nil {
				promised, err = attribute(line, "mapped_blocks")
			}
		case "<single_mapping":
			found++
			err = m.add(line, "origin_block", 1)
		case "<range_mapping":
			var n int64
			if n, err = attribute(line, "length"); err == nil {
				found += n
				err = m.add(line, "origin_begin", n)
			}
		case "</superblock>":
			ended = true
		case "</device>", "":
		default:
			err = fmt.Errorf("an unknown tag")
		}
		if err != nil {
			return fmt.Errorf("thin_dump wrote %.200q: %w", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read from thin_dump: %w", err)
	}
	if !ended || found != promised {
		return fmt.Errorf("thin_dump gave %d of %d blocks of device %s", found, promised, m.lv.ThinID)
	}
	return nil
}

// begin learns how large a block is, which is told in sectors.
func (m *mapping) begin(line []byte) error {
	sectors, err := attribute(line, "data_block_size")
	if err != nil {
		return err
	}
	if m.blocks != nil {
		return fmt.Errorf("a second pool")
	}
	m.blocks, err = newBlockSet(m.size, sectors)
	return err
}

func (m *mapping) add(line []byte, key string, n int64) error {
	b, err := attribute(line, key)
	if err != nil {
		return err
	}
	if m.blocks == nil {
		return fmt.Errorf("no pool before it")
	}
	return m.blocks.add(b, n)
}
