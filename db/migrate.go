package db

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/stowage/stowage"
)

// Each dialect has its own files under the same numbers. A migration that has
// been released is never edited; MySQL commits each statement by itself, so
// every statement must be able to run again after a crash.
//
//go:embed migrations
var migrations embed.FS

// Sync brings the schema up to the newest version and gives that version.
// Running it again, or on several machines in turn, changes nothing more.
func (d *DB) Sync(ctx context.Context) (int64, error) {
	p, err := d.provider()
	if err != nil {
		return 0, err
	}
	if _, err := p.Up(ctx); err != nil {
		return 0, fmt.Errorf("bring the database schema up to date: %w", unavailable(err))
	}
	return p.GetDBVersion(ctx)
}

// Version gives the version the schema has and the newest this program knows.
func (d *DB) Version(ctx context.Context) (have, want int64, err error) {
	p, err := d.provider()
	if err != nil {
		return 0, 0, err
	}
	have, want, err = p.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the database schema's version: %w", unavailable(err))
	}
	return have, want, nil
}

// CheckVersion refuses a schema that this program does not know.
func (d *DB) CheckVersion(ctx context.Context) error {
	have, want, err := d.Version(ctx)
	if err != nil {
		return err
	}
	if have != want {
		return stowage.Errorf(stowage.Conflict,
			"the database schema has version %d, this program needs %d: run stowage db sync", have, want)
	}
	return nil
}

func (d *DB) provider() (*goose.Provider, error) {
	dialect := goose.DialectMySQL
	if d.dialect == SQLite {
		dialect = goose.DialectSQLite3
	}
	dir, err := fs.Sub(migrations, "migrations/"+d.dialect)
	if err != nil {
		return nil, fmt.Errorf("open the embedded migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, d.sql, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return p, nil
}
