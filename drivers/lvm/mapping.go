package lvm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"

	"github.com/stowage/stowage"
)

// mapping is which blocks of a thin LV its pool has mapped. It is found out
// once, when first asked for: a snapshot's does not change, as it is read-only.
type mapping struct {
	v    *Volumes
	lv   *lv
	size int64

	// turn is held while the mapping is found out.
	turn  chan struct{}
	known bool
	// blockBytes is 0, and blocks is nil, where all counts as mapped.
	blockBytes int64
	blocks     []uint64 // a bit each: 32 MiB for 16 TiB in blocks of 64 KiB
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
	end := offset + length
	last := (end + m.blockBytes - 1) / m.blockBytes
	for b := m.next(offset/m.blockBytes, true); b < last; b = m.next(b, true) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list extents: %w", err)
		}
		to := m.next(b, false)
		start, stop := max(offset, b*m.blockBytes), min(end, to*m.blockBytes)
		if err := fn(stowage.Extent{Offset: start, Length: stop - start}); err != nil {
			return err
		}
		b = to
	}
	return nil
}

// next gives the first block at or behind b that is mapped, or is not; the
// number of bits if there is none.
func (m *mapping) next(b int64, mapped bool) int64 {
	for i := b / 64; i < int64(len(m.blocks)); i++ {
		word := m.blocks[i]
		if !mapped {
			word = ^word
		}
		if i == b/64 {
			word &= ^uint64(0) << (b % 64)
		}
		if word != 0 {
			return i*64 + int64(bits.TrailingZeros64(word))
		}
	}
	return int64(len(m.blocks)) * 64
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
		m.blockBytes, m.blocks = 0, nil
		m.v.o.Log.WarnContext(ctx, "thin snapshot is read whole", "lv", m.lv.Name, "pool", m.lv.Pool, "error", err)
	}
	m.known = true
	return nil
}

// dump has the frozen metadata listed, and reads the list while it comes.
func (m *mapping) dump(ctx context.Context, device string) error {
	m.blockBytes, m.blocks = 0, nil
	out, in := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := m.parse(out)
		_ = out.CloseWithError(err) // ends the tool, if it has not ended
		read <- err
	}()
	c := Command{
		Path: m.v.o.ThinDump, Timeout: dumpTimeout,
		Args: []string{"--format", "xml", "--metadata-snap", "--dev-id", m.lv.ThinID, device},
	}
	err := m.v.o.Runner.Run(ctx, c, in)
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
	if m.blocks != nil || sectors < 1 || sectors > 1<<22 {
		return fmt.Errorf("blocks of %d sectors, or a second pool", sectors)
	}
	m.blockBytes = sectors * 512
	blocks := (m.size + m.blockBytes - 1) / m.blockBytes
	m.blocks = make([]uint64, (blocks+63)/64)
	return nil
}

func (m *mapping) add(line []byte, key string, n int64) error {
	b, err := attribute(line, key)
	if err != nil {
		return err
	}
	if m.blocks == nil || n < 1 || b > int64(len(m.blocks))*64-n {
		return fmt.Errorf("not within %d bytes", m.size)
	}
	for ; n > 0; b, n = b+1, n-1 {
		m.blocks[b/64] |= 1 << (b % 64)
	}
	return nil
}

// attribute reads a number of a tag, not negative.
func attribute(line []byte, key string) (int64, error) {
	_, rest, ok := bytes.Cut(line, []byte(" "+key+`="`))
	text, _, closed := bytes.Cut(rest, []byte(`"`))
	n, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || !closed || err != nil || n < 0 {
		return 0, fmt.Errorf("no number %s", key)
	}
	return n, nil
}
