package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage/catalog"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/drivers"
	"github.com/stowage/stowage/drivers/dir"
	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/config"
)

// container is the flags of commands that work on a container alone.
type container struct {
	settings
	dataDir, masterKey         string
	project, container, volume string
	format                     string
}

func (o *container) flags(cmd *cobra.Command) {
	o.settings.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.project, "project", "", "id of the project whose container it is")
	f.StringVar(&o.container, "container", "", "name of the container")
	f.StringVar(&o.volume, "volume", "", "id of a volume: look at its backups only")
	f.StringVar(&o.format, "format", string(catalog.Stowage), "whose backups: stowage's own, or cinder-backup's")
	f.StringVar(&o.dataDir, "data-dir", "", "work on the directory of a standalone Stowage, not on Swift")
	f.StringVar(&o.masterKey, "master-key", "", "file with the master keys (default: as configured, or master.key of --data-dir)")
	for _, name := range []string{"project", "container"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
}

// opened is a container, ready to be looked at.
type opened struct {
	*catalog.Catalog
	config *config.Config // nil with --data-dir
	close  func() error
}

// open opens the container; nothing is reached yet.
func (o *container) open(ctx context.Context) (*opened, error) {
	if f := catalog.Format(o.format); f != catalog.Stowage && f != catalog.CinderBackup {
		return nil, fmt.Errorf("--format %s: it is %s or %s", o.format, catalog.Stowage, catalog.CinderBackup)
	}
	out := &opened{close: func() error { return nil }}
	var objects drivers.Stores
	var options engine.Options
	key, must := o.masterKey, o.masterKey != ""
	if o.dataDir != "" {
		standalone, err := dir.Open(dir.Options{Root: filepath.Join(o.dataDir, "objects")})
		if err != nil {
			return nil, err
		}
		objects, out.close = standalone, standalone.Close
		if key == "" {
			key = filepath.Join(o.dataDir, "master.key")
		}
	} else {
		c, err := o.load()
		if err != nil {
			return nil, err
		}
		if c.Swift.AuthURL == "" {
			return nil, fmt.Errorf("[keystone_authtoken] or [swift] auth_url must be set (read: %v), or give --data-dir", c.Files)
		}
		hash, err := chunk.ParseAlgorithm(c.Engine.ChunkHash)
		if err != nil {
			return nil, fmt.Errorf("[engine] chunk_hash: %w", err)
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if objects, err = stores(c, log); err != nil {
			return nil, err
		}
		if out.config, options = c, engineOptions(c.Engine, hash); key == "" {
			key = c.Encryption.MasterKeyFile
		}
	}
	master, err := o.master(key, must)
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	store, err := objects.Open(ctx, o.project, o.container)
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	out.Catalog = &catalog.Catalog{
		Store: store, Engine: engine.New(options), Master: master, Project: o.project, Container: o.container,
		Format: catalog.Format(o.format),
	}
	return out, nil
}

// master reads the master keys. One that is not there is missed when something
// is sealed, unless it was asked for.
func (o *container) master(name string, must bool) (*seal.Master, error) {
	master, err := loadMaster(name)
	if err == nil && master == nil && must {
		err = fmt.Errorf("--master-key: there is no %s", name)
	}
	return master, err
}

// base opens the database that belongs to the container, and takes care that
// nobody else writes to a standalone's.
func (o *container) base(ctx context.Context, c *config.Config) (_ *db.DB, _ func() error, err error) {
	if c != nil {
		if err := needs(c, map[string]bool{"[database] connection": true}); err != nil {
			return nil, nil, err
		}
		d, err := openDB(c)
		if err != nil {
			return nil, nil, err
		}
		if err := d.CheckVersion(ctx); err != nil {
			return nil, nil, errors.Join(err, d.Close())
		}
		return d, d.Close, nil
	}
	unlock, err := lockFile(filepath.Join(o.dataDir, "lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("data directory %s: %w", o.dataDir, err)
	}
	d, err := db.Open(db.Options{Dialect: db.SQLite, Path: filepath.Join(o.dataDir, "stowage.sqlite")})
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	if _, err := d.Sync(ctx); err != nil {
		return nil, nil, errors.Join(err, d.Close(), unlock())
	}
	return d, func() error { return errors.Join(d.Close(), unlock()) }, nil
}

// plain makes text of strangers fit for a terminal: what is no character to be
// seen is written out, and nothing is obeyed.
func plain(s string) string {
	var out strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			out.WriteRune(r)
		} else {
			out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return out.String()
}

// safe makes an error plain: what a container holds may be quoted in it.
func safe(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(plain(err.Error()))
}

// asciiJSON gives one line of JSON in which, as in plain, nothing is obeyed:
// encoding/json lets pass what some terminals do.
func asciiJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	out := make([]byte, 0, len(data))
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch data = data[n:]; {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return string(out), nil
}
