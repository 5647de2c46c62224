package cinderbackup

import (
	"io"
)

// minBlock and maxBlock bound the length of a block; the default is 32 KiB.
const minBlock, maxBlock = 512, 1 << 30

// ReadHashes reads the _sha256file object of a backup, and calls fn with the
// SHA-256 of each block of the volume, in order. Corrupt: it is none, or another
// backup's. Cinder writes the keys in order, so the length of blocks is known
// before the first hash; where it is not, that is Corrupt, too.
func ReadHashes(r io.Reader, p Prefix, fn func(blockBytes int64, sum [32]byte) error) error {
	j := newReader(r)
	var block int64
	var seen int
	err := j.object(func(key string) error {
		var err error
		switch key {
		case "version":
			seen |= 1
			return j.is("version", version)
		case "backup_id":
			seen |= 2
			return j.is("backup_id", p.BackupID.String())
		case "volume_id":
			seen |= 4
			return j.is("volume_id", p.VolumeID)
		case "chunk_size":
			seen |= 8
			block, err = j.number(minBlock, maxBlock)
			return err
		case "sha256s":
			if block == 0 || seen&16 != 0 {
				return corrupt("its hashes have no length of blocks before them, or come twice")
			}
			seen |= 16
			return j.array(func() error {
				var sum [32]byte
				if err := j.hash(sum[:]); err != nil {
					return err
				}
				return fn(block, sum)
			})
		}
		return j.skip()
	})
	if err == nil {
		err = j.end()
	}
	if err == nil && seen != 31 {
		err = corrupt("it is no list of hashes")
	}
	return wrap(err, p.Hashes())
}
