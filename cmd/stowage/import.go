package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/engine/cinderbackup"
)

// importOptions is what catalog import is asked for.
type importOptions struct {
	container
	backup, record string
	unsealed, take bool
}

func importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import", Short: "Write the backups in a container into the database", Args: cobra.NoArgs,
		Long: `Writes every backup in the container, or one, into the database as an available
one, so that its project sees it and restores it as before. All its objects are
looked at first: a damaged one is refused. What is in the database already is
left as it is, so this can be run again.

A backup that is part of a server's brings that back, too: with it comes what the
server was, so that it can be built again. Until the last of its parts is imported,
the server's backup is in error, and says which are not there.

Backups share objects, and a delete removes what no backup in the database needs.
So import all of a container before anybody can delete one of its backups.

With --format cinder-backup it imports what Cinder's own service made. Deleting
such a backup in Stowage only forgets it, and Cinder keeps it, unless its volume was
imported with --take: then the objects are Stowage's, and Cinder's records of them
should go.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			defer func() { err = safe(err) }()
			return o.run(cmd.Context())
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.backup, "backup", "", "UUID of the one backup to import")
	f.BoolVar(&o.unsealed, "unsealed", false, "import backups that are not encrypted, too: whoever can write to the container may have made them")
	f.StringVar(&o.record, "record", "", "cinder-backup: file with records of Cinder's (openstack volume backup record export -f json): import these")
	f.BoolVar(&o.take, "take", false, "cinder-backup: the objects become Stowage's, and go with the backups that need them")
	return cmd
}

func (o *importOptions) run(ctx context.Context) (err error) {
	id, err := parseBackup(o.backup)
	if err != nil {
		return err
	}
	if (o.take || o.record != "") && catalog.Format(o.format) != catalog.CinderBackup {
		return fmt.Errorf("--take and --record are for --format %s", catalog.CinderBackup)
	}
	c, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if c.Records, err = o.records(); err != nil {
		return err
	}
	d, closeDB, err := o.base(ctx, c.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	c.Unsealed = o.unsealed
	i := newImports(c.Catalog, d)
	if err := i.all(ctx, o.volume, id); err != nil {
		return err
	}
	if o.take {
		return errors.Join(i.end(), i.take(ctx))
	}
	return i.end()
}

// records reads the file with Cinder's records, if one was named.
func (o *importOptions) records() ([]cinderbackup.Record, error) {
	if o.record == "" {
		return nil, nil
	}
	f, err := os.Open(o.record)
	if err != nil {
		return nil, err
	}
	list, err := cinderbackup.ReadRecords(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("--record %s: %w", o.record, err)
	}
	return list, nil
}

// take takes over the objects of the volumes that were seen.
func (i *imports) take(ctx context.Context) error {
	var errs []error
	for _, volume := range slices.Sorted(maps.Keys(i.volumes)) {
		n, err := i.Take(ctx, i.db, volume)
		if err != nil {
			errs = append(errs, fmt.Errorf("volume %s is not taken: %w", volume, err))
			continue
		}
		fmt.Printf("volume %s: %d backups are Stowage's now\n", volume, n)
	}
	return errors.Join(errs...)
}
