package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage/engine/seal"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Look after the master key that seals backups"}
	var s settings
	create := &cobra.Command{
		Use: "create [FILE]", Short: "Make a master key, in FILE or where the configuration has it", Args: cobra.MaximumNArgs(1),
		Long: `Makes a new master key in a file that only its owner can read. A file that is
there is left alone. All managers need the same file, and a copy of it belongs
where a fire in the machine room does not reach it: without the master key
nobody can read what was sealed with it.`,
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			} else {
				c, err := s.load()
				if err != nil {
					return err
				}
				name = c.Encryption.MasterKeyFile
			}
			if err := createMaster(name); err != nil {
				return err
			}
			fmt.Printf("Made %s. Give it to the user the managers run as, copy it to all of them, and keep a copy elsewhere.\n", name)
			return nil
		},
	}
	s.flags(create)
	cmd.AddCommand(create)
	return cmd
}

// createMaster makes a new master key. It never writes over one.
func createMaster(name string) error {
	temp, err := os.CreateTemp(filepath.Dir(name), ".master-*") // mode 0600
	if err != nil {
		return fmt.Errorf("make a master key: %w", err)
	}
	_, err = temp.Write(seal.NewMaster())
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Link(temp.Name(), name) // whole or not at all, and over nothing
	}
	if err = errors.Join(err, os.Remove(temp.Name())); err != nil {
		return fmt.Errorf("make a master key: %w", err)
	}
	return nil
}

// maxMaster bounds a file of master keys.
const maxMaster = 1 << 20

// loadMaster reads the master keys; nil if there is no such file.
func loadMaster(name string) (_ *seal.Master, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key %s: mode %04o lets others read it, it must be 0600", name, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxMaster))
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	master, err := seal.ParseMaster(data)
	if err != nil {
		return nil, fmt.Errorf("master key %s: %w", name, err)
	}
	return master, nil
}
