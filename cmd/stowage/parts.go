package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/stowage/stowage/cloud/openstack"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/rpc"
)

// parts are what an API server and a manager have in common.
type parts struct {
	log       *slog.Logger
	base      *db.DB
	transport rpc.Transport
	volumes   *openstack.Volumes
	closers   []func() error
}

// openParts opens the log, and the rest once the database answers. hup is run
// on SIGHUP.
func openParts(ctx context.Context, c *config.Config, program string, hup func() error) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	log, closeLog, err := openLog(ctx, c, program, hup)
	if err != nil {
		return nil, err
	}
	p.log, p.closers = log, append(p.closers, closeLog)
	if p.base, err = openDB(c); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.base.Close)
	if err := awaitDB(ctx, c, p.base, log); err != nil {
		return nil, err
	}
	if p.transport, err = openTransport(c, program+":"+c.Default.Host, log); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.transport.Close)
	if p.volumes, err = cinder(c, log); err != nil {
		return nil, err
	}
	return p, nil
}

// close closes what was opened, the last first.
func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	return errors.Join(errs...)
}
