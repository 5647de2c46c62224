package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stowage/stowage"
	"github.com/stowage/stowage/auth"
	"github.com/stowage/stowage/db"
	"github.com/stowage/stowage/internal/config"
)

// withDB makes a command that needs the database only.
func withDB(cmd *cobra.Command, run func(context.Context, *config.Config, *db.DB, []string) error) *cobra.Command {
	s := &settings{}
	s.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c, err := s.load()
		if err == nil {
			err = needs(c, map[string]bool{"[database] connection": true})
		}
		if err != nil {
			return err
		}
		d, err := openDB(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
		return run(cmd.Context(), c, d, args)
	}
	return cmd
}

func dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look after the database's schema"}
	cmd.AddCommand(withDB(&cobra.Command{Use: "sync", Short: "Bring the schema up to date", Args: cobra.NoArgs},
		func(ctx context.Context, _ *config.Config, d *db.DB, _ []string) error {
			v, err := d.Sync(ctx)
			if err == nil {
				fmt.Printf("The schema has version %d.\n", v)
			}
			return err
		}))
	cmd.AddCommand(withDB(&cobra.Command{Use: "version", Short: "Tell the schema's version", Args: cobra.NoArgs},
		func(ctx context.Context, _ *config.Config, d *db.DB, _ []string) error {
			have, want, err := d.Version(ctx)
			if err == nil {
				fmt.Printf("The schema has version %d; this program needs version %d.\n", have, want)
			}
			return err
		}))
	return cmd
}

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "service", Short: "See and steer the managers"}
	cmd.AddCommand(withDB(&cobra.Command{Use: "list", Short: "List the managers that ever reported", Args: cobra.NoArgs}, listServices))
	for _, verb := range []struct {
		name, short string
		enabled     bool
	}{
		{"enable", "Let a manager take new work", true},
		{"disable", "Let a manager finish its work and take no new", false},
	} {
		reason := ""
		sub := withDB(&cobra.Command{Use: verb.name + " HOST", Short: verb.short, Args: cobra.ExactArgs(1)},
			func(ctx context.Context, _ *config.Config, d *db.DB, args []string) error {
				return d.EnableService(ctx, args[0], stowage.ServiceManager, verb.enabled, reason)
			})
		if !verb.enabled {
			sub.Flags().StringVar(&reason, "reason", "", "why, for the list")
		}
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(withDB(&cobra.Command{Use: "remove HOST", Short: "Forget a manager that is down and will not come back", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *config.Config, d *db.DB, args []string) error {
			err := d.RemoveService(ctx, args[0], stowage.ServiceManager, time.Now().Add(-c.Default.ServiceDownTime))
			if stowage.CodeOf(err) == stowage.Conflict {
				return fmt.Errorf("there is no manager on host %s that is down", args[0])
			}
			return err
		}))
	return cmd
}

func listServices(ctx context.Context, c *config.Config, d *db.DB, _ []string) error {
	list, err := d.Services(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tSTATE\tSTATUS\tVERSION\tLAST SEEN\tBACKENDS\tREASON")
	for _, s := range list {
		state, status := "up", "enabled"
		if time.Since(s.LastSeen) > c.Default.ServiceDownTime {
			state = "down"
		}
		if !s.Enabled {
			status = "disabled"
		}
		var keys []string
		for _, b := range s.Backends {
			keys = append(keys, b.Key)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Host, state, status, s.Version,
			s.LastSeen.Format(time.RFC3339), strings.Join(keys, ","), s.DisabledReason)
	}
	return w.Flush()
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	cmd.AddCommand(&cobra.Command{
		Use: "sample", Short: "Print a configuration file with every option and its default", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return config.Sample(os.Stdout) },
	})
	var s settings
	check := &cobra.Command{
		Use: "check", Short: "Read the configuration as the services would, and say what is wrong", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.load()
			if err == nil {
				_, err = backends(c, slog.New(slog.DiscardHandler))
			}
			if err != nil {
				return err
			}
			for _, w := range c.Warnings {
				fmt.Println("warning:", w)
			}
			// It need not be here, or not be ours to read, where no manager runs.
			if _, err := managersMaster(c); err != nil && len(c.Backends) > 0 {
				fmt.Printf("warning: a manager would not start here: %v\n", err)
			}
			fmt.Printf("Read %s. Nothing is wrong.\n", strings.Join(c.Files, ", "))
			return nil
		},
	}
	s.flags(check)
	cmd.AddCommand(check)
	return cmd
}

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Look at the rules of who may do what"}
	cmd.AddCommand(&cobra.Command{
		Use: "sample", Short: "Print a policy.yaml with every rule and its default", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return auth.Sample(os.Stdout) },
	})
	return cmd
}
