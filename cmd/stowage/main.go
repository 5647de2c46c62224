// Command stowage backs up the volumes of an OpenStack cloud into Swift.
//
//	stowage api         serves the HTTP APIs
//	stowage manager     does the work, on volume hosts
//	stowage standalone  both in one process, on a directory: to try it out
//	stowage db          sync | version
//	stowage service     list | enable | disable | remove
//	stowage config      sample | check
//	stowage policy      sample
//	stowage keys        create
//	stowage catalog     scan | import: backups without the database
//	stowage restore     a backup to a file, without the database
//
// It reads configuration and environment, puts the rooms together, and runs
// them. Nothing else in the project reads the environment, the configuration
// file or the clock, or names a concrete driver.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when a release is built.
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stowage:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "stowage",
		Short:         "Backs up the volumes of an OpenStack cloud into Swift",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(apiCommand(), managerCommand(), standaloneCommand(), dbCommand(), serviceCommand(), configCommand(), policyCommand(), keysCommand(), catalogCommand(), restoreCommand(), mountCommand())
	return cmd
}
