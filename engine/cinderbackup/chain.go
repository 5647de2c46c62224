package cinderbackup

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"

	"github.com/stowage/stowage"
)

// Member is one backup of a chain: all its objects' names can be made from it.
type Member struct {
	Prefix  Prefix
	Objects int // how many data objects it has
}

// Names calls fn with the names of all objects of the member, the _metadata
// first: without it no reader takes the others for a backup. It stops with the
// first error, and gives it.
func (m Member) Names(fn func(name string) error) error {
	if err := fn(m.Prefix.Metadata()); err != nil {
		return err
	}
	for n := range m.Objects {
		if err := fn(m.Prefix.Object(n + 1)); err != nil {
			return err
		}
	}
	return fn(m.Prefix.Hashes())
}

// Chain is what a restore of a backup needs: the backup itself, its parent, and
// so on down to a full one. It is the set of objects the backup reaches.
type Chain struct {
	Members []Member
	// Taken: Stowage owns the objects, and removes those that nobody needs when
	// the backup is deleted. Else they are cinder-backup's, and stay.
	Taken bool
}

// MaxMembers bounds a chain.
const MaxMembers = 4096

// Minus gives the members that are not in any of the others.
func (c *Chain) Minus(others []*Chain) (rest []Member) {
	needed := map[string]bool{}
	for _, o := range others {
		for _, m := range o.Members {
			needed[m.Prefix.String()] = true
		}
	}
	for _, m := range c.Members {
		if !needed[m.Prefix.String()] {
			rest = append(rest, m)
		}
	}
	return rest
}

// Of makes the chain of backups that were read, the newest first. Corrupt: they
// are none.
func Of(list []*Metadata) (*Chain, error) {
	if len(list) == 0 || len(list) > MaxMembers {
		return nil, corrupt("%d backups are no chain", len(list))
	}
	c, seen := &Chain{}, map[uuid.UUID]bool{}
	for i, m := range list {
		if m.Prefix.VolumeID != list[0].Prefix.VolumeID {
			return nil, corrupt("backup %s is of another volume than its child", m.Prefix.BackupID)
		}
		if seen[m.Prefix.BackupID] {
			return nil, corrupt("backup %s is its own ancestor", m.Prefix.BackupID)
		}
		seen[m.Prefix.BackupID] = true
		if last := i == len(list)-1; last != (m.Parent == uuid.Nil) {
			return nil, corrupt("the chain of backup %s does not end with a full backup", list[0].Prefix.BackupID)
		}
		c.Members = append(c.Members, Member{m.Prefix, len(m.Objects)})
	}
	return c, nil
}

// The blob: 1 byte version, u32 CRC-32C of all that follows, and JSON. The
// version is none of manifest.Objects', beside which it stands in tables.
const (
	chainVersion  = 2
	maxChainBytes = 8 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type chainJSON struct {
	Format  string       `json:"format"`
	Taken   bool         `json:"taken"`
	Members []memberJSON `json:"chain"`
}

type memberJSON struct {
	Prefix  string `json:"prefix"`
	Objects int    `json:"objects"`
}

const formatName = "cinder-backup"

// IsChain tells the bytes of a chain from those of another set of objects.
func IsChain(data []byte) bool { return len(data) > 0 && data[0] == chainVersion }

// MarshalBinary gives the chain's bytes.
func (c *Chain) MarshalBinary() ([]byte, error) {
	j := chainJSON{Format: formatName, Taken: c.Taken, Members: []memberJSON{}}
	for _, m := range c.Members {
		j.Members = append(j.Members, memberJSON{m.Prefix.String(), m.Objects})
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode a chain: %w", err)
	}
	if len(text) > maxChainBytes {
		return nil, stowage.Errorf(stowage.OverLimit, "a chain of %d backups takes %d bytes", len(c.Members), len(text))
	}
	out := binary.BigEndian.AppendUint32([]byte{chainVersion}, crc32.Checksum(text, castagnoli))
	return append(out, text...), nil
}

// UnmarshalBinary makes c the chain that MarshalBinary gave the bytes of.
func (c *Chain) UnmarshalBinary(data []byte) error {
	if len(data) < 5 || len(data) > maxChainBytes+5 || !IsChain(data) {
		return corrupt("%d bytes are no chain of a known version", len(data))
	}
	if binary.BigEndian.Uint32(data[1:]) != crc32.Checksum(data[5:], castagnoli) {
		return corrupt("a chain was damaged")
	}
	var j chainJSON
	if err := json.Unmarshal(data[5:], &j); err != nil || j.Format != formatName {
		return corrupt("a chain has not the form of one")
	}
	read := Chain{Taken: j.Taken}
	for _, m := range j.Members {
		p, ok := ParsePrefix(m.Prefix)
		if !ok || m.Objects < 0 {
			return corrupt("a chain has a member %q", clip(m.Prefix, 64))
		}
		read.Members = append(read.Members, Member{p, m.Objects})
	}
	*c = read
	return nil
}
