package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/engine"
)

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalog", Short: "Work with a container alone, when the database is lost",
		Long: `A container and the master key are enough to list, verify and restore every
backup in the container. Objects are read with the rights of the service, as
configured in [swift], or from the directory of a standalone Stowage.`,
	}
	cmd.AddCommand(scanCommand(), importCommand())
	return cmd
}

func scanCommand() *cobra.Command {
	var o container
	var verify string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "scan", Short: "List, and verify, the backups in a container", Args: cobra.NoArgs,
		Long: `Lists every backup whose root is in the container, a volume's in the order of
their snapshots. With --verify, each is verified besides: quick looks at every
object, deep reads every byte. It ends with an error if anything is wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			defer func() { err = safe(err) }()
			if verify != "" && verify != "quick" && verify != "deep" {
				return fmt.Errorf("--verify %s: it is quick or deep", verify)
			}
			c, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.close()) }()
			return (&scan{opened: c, out: os.Stdout, verify: verify, json: asJSON}).run(cmd.Context(), o.volume)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&verify, "verify", "", "quick or deep")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// scan lists a container.
type scan struct {
	*opened
	out    io.Writer
	verify string
	json   bool

	all, bad int
}

// row is the format of a line.
const row = "%-20s  %-36s  %-36s  %8s  %-11s  %-6s  %-8s  %s\n"

func (s *scan) run(ctx context.Context, volume string) error {
	err := s.Scan(ctx, volume, func(e catalog.Entry) error {
		var damages []engine.Damage
		if s.verify != "" && e.Good() {
			var err error
			if damages, err = s.look(ctx, &e); err != nil {
				return err
			}
		}
		if s.all++; !e.Good() {
			s.bad++
		}
		if s.json {
			return s.line(e, damages)
		}
		s.tell(e, damages)
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case s.bad > 0:
		return fmt.Errorf("found %d, and %d of them cannot be restored as they are", s.all, s.bad)
	case s.json:
	case s.verify == "":
		fmt.Fprintf(s.out, "Found %d. Their roots can be read; --verify looks at the rest.\n", s.all)
	default:
		fmt.Fprintf(s.out, "Found %d. Nothing is wrong.\n", s.all)
	}
	return nil
}

// look verifies a backup, and shows how far it is if it takes long.
func (s *scan) look(ctx context.Context, e *catalog.Entry) ([]engine.Damage, error) {
	deep, progress := s.verify == "deep", &engine.Progress{}
	if deep {
		defer show(os.Stderr, progress, "Verifying "+e.Backup.String())()
	}
	return s.Verify(ctx, e, deep, progress)
}

func (s *scan) tell(e catalog.Entry, damages []engine.Damage) {
	if s.all == 1 {
		fmt.Fprintf(s.out, row, "SNAPSHOT", "BACKUP", "VOLUME", "GIB", "KIND", "SEALED", "STATE", "NAME")
	}
	at, gib, kind, sealed, name := "-", "-", "-", "-", ""
	if e.VolumeBytes > 0 || e.Good() {
		at, gib = e.SnapshotAt.UTC().Format(time.RFC3339), fmt.Sprint(stowage.SizeGiB(e.VolumeBytes))
		kind, sealed, name = "full", "no", strconv.Quote(e.Name)
		if e.Incremental {
			kind = "incremental"
		}
		if e.Sealed {
			sealed = "yes"
		}
	}
	fmt.Fprintf(s.out, row, at, e.Backup, e.VolumeID, gib, kind, sealed, e.State, name)
	for _, d := range damages {
		fmt.Fprintf(s.out, "    %s: %s\n", plain(d.Name), plain(d.Why))
	}
	if len(damages) == 0 && !e.Good() {
		fmt.Fprintf(s.out, "    %s: %s\n", e.Root, plain(e.Why))
	}
}

// listed is a backup as --json prints it.
type listed struct {
	Backup      uuid.UUID     `json:"backup"`
	Volume      string        `json:"volume"`
	Root        string        `json:"root"`
	State       catalog.State `json:"state"`
	Why         string        `json:"why,omitempty"`
	Damages     []damage      `json:"damages,omitempty"`
	Name        string        `json:"name,omitempty"`
	Description string        `json:"description,omitempty"`
	VolumeName  string        `json:"volume_name,omitempty"`
	SnapshotAt  time.Time     `json:"snapshot_at,omitzero"`
	CreatedAt   time.Time     `json:"created_at,omitzero"`
	VolumeBytes int64         `json:"volume_bytes"`
	StoredBytes int64         `json:"stored_bytes"`
	Objects     int64         `json:"objects"`
	Incremental bool          `json:"incremental"`
	Sealed      bool          `json:"sealed"`
}

type damage struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

func (s *scan) line(e catalog.Entry, damages []engine.Damage) error {
	l := listed{
		Backup: e.Backup, Volume: e.VolumeID, Root: e.Root, State: e.State, Why: e.Why, Name: e.Name, Description: e.Description,
		VolumeName: e.VolumeName, SnapshotAt: e.SnapshotAt, CreatedAt: e.CreatedAt, VolumeBytes: e.VolumeBytes,
		StoredBytes: e.StoredBytes, Objects: e.Objects, Incremental: e.Incremental, Sealed: e.Sealed,
	}
	for _, d := range damages {
		l.Damages = append(l.Damages, damage{d.Name, d.Why})
	}
	text, err := asciiJSON(l)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, text)
	return err
}

func importCommand() *cobra.Command {
	var o container
	var backup string
	var unsealed bool
	cmd := &cobra.Command{
		Use: "import", Short: "Write the backups in a container into the database", Args: cobra.NoArgs,
		Long: `Writes every backup in the container, or one, into the database as an available
one, so that its project sees it and restores it as before. All its objects are
looked at first: a damaged one is refused. What is in the database already is
left as it is, so this can be run again.

Backups share objects, and a delete removes what no backup in the database needs.
So import all of a container before anybody can delete one of its backups.`,
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
			d, closeDB, err := o.base(cmd.Context(), c.config)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeDB()) }()
			c.Unsealed = unsealed
			return importAll(cmd.Context(), c.Catalog, d, o.volume, id)
		},
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&backup, "backup", "", "UUID of the one backup to import")
	cmd.Flags().BoolVar(&unsealed, "unsealed", false, "import backups that are not encrypted, too: whoever can write to the container may have made them")
	return cmd
}

// parseBackup reads a UUID; "" is none.
func parseBackup(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, fmt.Errorf("--backup %q: it is no UUID of a backup", text)
	}
	return id, nil
}

func importAll(ctx context.Context, c *catalog.Catalog, d *db.DB, volume string, backup uuid.UUID) error {
	var added, there, refused int
	one := func(e catalog.Entry) error {
		done, err := false, error(nil)
		switch {
		case !e.Good():
			err = fmt.Errorf("it is %s: %s", e.State, e.Why)
		default:
			done, err = c.Import(ctx, d, e, time.Now())
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			refused++
			fmt.Printf("%s of volume %s: not imported: %s\n", e.Backup, e.VolumeID, plain(err.Error()))
		case done:
			added++
			fmt.Printf("%s of volume %s: imported\n", e.Backup, e.VolumeID)
		default:
			there++
			fmt.Printf("%s of volume %s: there already\n", e.Backup, e.VolumeID)
		}
		return nil
	}
	var err error
	if backup != uuid.Nil {
		var e catalog.Entry
		if e, err = c.Find(ctx, volume, backup); err == nil {
			err = one(e)
		}
	} else {
		err = c.Scan(ctx, volume, one)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d imported, %d there already, %d refused.\n", added, there, refused)
	if refused > 0 {
		return fmt.Errorf("%d backups were not imported: deleting others of their volumes takes what they share with those", refused)
	}
	return nil
}
