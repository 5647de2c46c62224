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
	"github.com/stowage/stowage/engine"
)

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalog", Short: "Work with a container alone, when the database is lost",
		Long: `A container and the master key are enough to list, verify and restore every
backup in the container. Objects are read with the rights of the service, as
configured in [swift], or from the directory of a standalone Stowage. Backups that
Cinder's own service made are listed, restored and imported likewise.`,
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
their snapshots, and of which server's backup one is part. With --verify, each is verified besides: quick looks at every
object, deep reads all that a restore reads. It ends with an error if anything
is wrong.

With --format cinder-backup it lists the backups that Cinder's own service made.`,
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
	if e.Set != uuid.Nil {
		fmt.Fprintf(s.out, "    part of %s, the backup of server %s %s\n", e.Set, e.ServerID, strconv.Quote(e.ServerName))
	}
	if e.SetFault != "" {
		fmt.Fprintf(s.out, "    what it says of its server is not believed: %s\n", plain(e.SetFault))
	}
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

	// Of a backup that is part of a server's.
	Set        uuid.UUID `json:"set,omitzero"`
	Server     string    `json:"server,omitempty"`
	ServerName string    `json:"server_name,omitempty"`
	SetFault   string    `json:"set_fault,omitempty"`
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
		Set: e.Set, Server: e.ServerID, ServerName: e.ServerName, SetFault: e.SetFault,
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
