package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/file"
	"github.com/stowage/stowage/engine"
)

func restoreCommand() *cobra.Command {
	var o container
	var backup, to string
	var force bool
	cmd := &cobra.Command{
		Use: "restore", Short: "Restore a backup to a file, without the database", Args: cobra.NoArgs,
		Long: `Writes the volume as it was into a sparse file, from the container and the
master key alone. Every object is looked at before the first byte is written, and
every byte is checked before it is; what fails leaves no file. Tenants
restore to volumes through the API; this is for when there is none.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			defer func() { err = safe(err) }()
			id, err := parseBackup(backup)
			if err != nil {
				return err
			}
			c, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			ctx, began := cmd.Context(), time.Now()
			e, err := c.Find(ctx, o.volume, id)
			if err != nil {
				return err
			}
			err = writeImage(to, force, e.VolumeBytes, func(target drivers.Target) error {
				progress := &engine.Progress{}
				defer show(os.Stderr, progress, "Restoring")()
				return c.Restore(ctx, e, target, progress)
			})
			if err != nil {
				return fmt.Errorf("restore backup %s: %w", id, err)
			}
			fmt.Printf("Restored backup %s to %s: %d bytes in %s.\n", id, to, e.VolumeBytes, time.Since(began).Round(time.Second/10))
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&backup, "backup", "", "UUID of the backup")
	cmd.Flags().StringVar(&to, "to", "", "file to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it is there, once all is written")
	for _, name := range []string{"backup", "to"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

// writeImage makes a file of so many bytes for write to fill, and leaves
// nothing of it if that fails. A file that is there is kept, or, with force,
// replaced in one step at the end.
func writeImage(name string, force bool, bytes int64, write func(drivers.Target) error) error {
	temp := name
	seen, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !force:
		return fmt.Errorf("%s is there already: --force replaces it", name)
	case !seen.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", name)
	default:
		temp = filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text())
	}
	target, err := file.CreateImage(temp, bytes)
	if err != nil {
		return err
	}
	err = errors.Join(write(target), target.Close())
	if err == nil && temp != name {
		err = os.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the names in a directory durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
