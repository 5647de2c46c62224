package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage/mount"
)

func mountCommand() *cobra.Command {
	var o container
	var backup, socket string
	cmd := &cobra.Command{
		Use: "mount", Short: "Serve a backup by NBD, read-only, without the database", Args: cobra.NoArgs,
		Long: `Serves the volume as it was on a Unix socket, by NBD and read-only, from the
container and the master key alone, until it is interrupted. What is read is
fetched and checked then; nothing is restored. nbdkit must be installed.

A backup holds what a tenant wrote: have its file systems read by a kernel that has
nothing to lose (guestfish --ro --format=raw -a 'nbd:///?socket=SOCKET'), not by
this host's.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			defer func() { err = safe(err) }()
			id, err := parseBackup(backup)
			if err != nil {
				return err
			}
			if socket, err = filepath.Abs(socket); err != nil {
				return err
			}
			c, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			ctx := cmd.Context()
			e, err := c.Find(ctx, o.volume, id)
			if err != nil {
				return err
			}
			image, err := c.Reader(ctx, e)
			if err != nil {
				return fmt.Errorf("open backup %s: %w", id, err)
			}
			defer func() { err = errors.Join(err, image.Close()) }()
			dir, err := os.MkdirTemp("", "stowage-mount-")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			disk, err := mount.ServeDisk(ctx, log, image, dir, socket)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, disk.Close()) }()
			fmt.Printf("Backup %s, %d bytes, is served at nbd+unix:///?socket=%s\n", id, image.Size(), socket)
			select {
			case <-ctx.Done():
				return nil
			case <-disk.Ended():
				return errors.New("nbdkit ended")
			}
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&backup, "backup", "", "UUID of the backup")
	cmd.Flags().StringVar(&socket, "socket", "", "Unix socket to serve it on; it must not be there")
	for _, name := range []string{"backup", "socket"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}
