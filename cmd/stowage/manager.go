package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/stowage/stowage/engine"
	"github.com/stowage/stowage/engine/chunk"
	"github.com/stowage/stowage/engine/seal"
	"github.com/stowage/stowage/internal/config"
	"github.com/stowage/stowage/manager"
	"github.com/stowage/stowage/service"
)

func managerCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "manager", Short: "Do the work, beside the volumes of this host", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load()
			if err == nil {
				err = needs(c, map[string]bool{
					"[database] connection": true, "[DEFAULT] transport_url": true, "[keystone_authtoken] auth_url": true,
					"[DEFAULT] enabled_backends": true,
				})
			}
			if err != nil {
				return err
			}
			return runManager(cmd.Context(), c)
		},
	}
	s.flags(cmd)
	return cmd
}

func runManager(ctx context.Context, c *config.Config) (err error) {
	// What an earlier process of this host held is ours at once, so that one
	// must be gone for certain.
	if err := os.MkdirAll(c.Default.StatePath, 0o750); err != nil {
		return fmt.Errorf("[DEFAULT] state_path: %w", err)
	}
	unlock, err := lockFile(filepath.Join(c.Default.StatePath, "manager-"+url.PathEscape(c.Default.Host)+".lock"))
	if err != nil {
		return fmt.Errorf("[DEFAULT] state_path and host: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for _, b := range c.Backends { // config check may run elsewhere; here it must be
		if _, err := os.Stat(b.CephConf); b.VolumeDriver == "rbd" && err != nil {
			return fmt.Errorf("[%s] rbd_ceph_conf: %w", b.Name, err)
		}
	}
	master, err := managersMaster(c)
	if err != nil {
		return err
	}
	hash, err := chunk.ParseAlgorithm(c.Engine.ChunkHash)
	if err != nil {
		return fmt.Errorf("[engine] chunk_hash: %w", err)
	}
	p, err := openParts(ctx, c, "stowage-manager", func() error { return nil })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	list, err := backends(c, p.log)
	if err != nil {
		return err
	}
	objects, err := stores(c, p.log)
	if err != nil {
		return err
	}
	looks, err := inventory(c, p.volumes, p.log)
	if err != nil {
		return err
	}
	swift, err := containers(c, p.log)
	if err != nil {
		return err
	}
	whole, err := servers(c, p.volumes, p.log)
	if err != nil {
		return err
	}
	post, err := mailer(c)
	if err != nil {
		return err
	}
	calls, err := guard(c)
	if err != nil {
		return err
	}
	box, err := secretBox(master)
	if err != nil {
		return err
	}
	verbs := service.New(service.Options{ // of schedules and policies, on the service's own rights
		DB: p.base, Transport: p.transport, Volumes: p.volumes, Servers: whole, Containers: swift, Mail: post, Now: time.Now, NewID: uuid.NewString, Log: p.log,
		DownTime: c.Default.ServiceDownTime, CreateTimeout: c.Cinder.CreateTimeout, FollowAgain: c.Default.SweepInterval,
		ServerTime: p.base.ServerTime,
	})
	// The heap is large buffers that live as long as a job: letting it double
	// before it is collected would cost their size again.
	debug.SetGCPercent(30)
	d := c.Default
	p.log.Info("starting", "host", d.Host, "version", version)
	open, err := mounter(c, p.log)
	if err != nil {
		return err
	}
	work := manager.New(manager.Options{
		DB: p.base, Transport: p.transport, Volumes: p.volumes, Inventory: looks, Verbs: verbs, InventoryInterval: c.Vendor.InventoryInterval,
		DailyReportHour: time.Duration(c.Mail.ReportHour) * time.Hour, Stores: objects, Backends: list, Log: p.log,
		Engine: engine.New(engineOptions(c.Engine, hash)),
		Keys:   &manager.Keys{DB: p.base, Master: master, Seal: c.Encryption.Enabled, Now: time.Now},
		Host:   d.Host, Instance: uuid.NewString(), Version: version, Now: time.Now, NewID: uuid.NewString,
		Box: box, Caller: caller(calls, c.Webhooks.Timeout), DeliveryTime: c.Webhooks.Retry, DeliveryLog: c.Webhooks.Log,
		KeepBases: d.KeepBases, VerifyInterval: d.VerifyInterval, VerifyDeep: d.VerifyDeep,
		MaxJobs: d.MaxJobs, MaxAttempts: d.MaxAttempts, Lease: d.LeaseTime, ReportInterval: d.ReportInterval,
		SweepInterval: d.SweepInterval, QueueTimeout: d.QueueTimeout, GraceTime: grace(c),
		OpenImage: open, MaxMounts: c.Mounts.MaxMounts, MountCache: int64(c.Mounts.CacheMB) << 20, MountEndpoint: endpoint(c.Mounts),
	})
	if open == nil {
		return work.Run(ctx)
	}
	closeDoor, err := openDoor(c, work, p.log)
	if err != nil {
		return err
	}
	return errors.Join(work.Run(ctx), closeDoor())
}

// managersMaster reads the master keys; without them nothing can be sealed.
func managersMaster(c *config.Config) (*seal.Master, error) {
	master, err := loadMaster(c.Encryption.MasterKeyFile)
	if err == nil && master == nil && c.Encryption.Enabled {
		err = fmt.Errorf("there is no %s: make it with 'stowage keys create'", c.Encryption.MasterKeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("[encryption] master_key_file: %w", err)
	}
	return master, nil
}

func engineOptions(e config.Engine, hash chunk.Algorithm) engine.Options {
	return engine.Options{
		Hash: hash, ChunkBytes: e.ChunkSizeKB << 10, PackBytes: e.ObjectSizeMB << 20,
		Readers: e.Readers, Fetches: e.Fetches, CPUs: e.CPUs, JobCPUs: e.JobCPUs,
		PackBudget: int64(e.PackMemoryMB) << 20, ReadBudget: int64(e.ReadMemoryMB) << 20,
		BytesPerSecond: e.BandwidthMB << 20, JobBytesPerSecond: e.JobBandwidth << 20,
	}
}
