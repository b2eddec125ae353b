// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/demo"
)

func newDemo() *cobra.Command {
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "measure a made-up network of namespaces, live in the terminal",
		Long: `demo makes a small network of namespaces on this machine: a router, hosts with an
open port, a closed port, one that drops a tenth of its TCP segments, one behind a
router that rejects, one address that nobody has. It measures them as run would and
shows the figures as a table that is redrawn every second; where the output is no
terminal, a table is printed every few seconds. The first lines say where a browser
or a scraper finds the metrics. Ctrl-C removes everything.

Needs root. Nothing outside the namespaces is touched.`,
		Example: `  sudo netprobe-xdp demo
  sudo netprobe-xdp demo --duration 30s > figures.txt`,
		Args: positional(0, "no argument"),
	}
	cmd.Flags().DurationVar(&duration, "duration", 0, "end after this time (default: at Ctrl-C)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if duration < 0 {
			return usageError(cmd, "--duration is below 0")
		}
		// A terminal that is closed ends the demo as Ctrl-C does.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
		defer stop()
		if duration > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, duration)
			defer cancel()
		}
		b := build()
		return demo.Run(ctx, demo.Options{Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(), Version: b.Version, Revision: b.Revision})
	}
	return cmd
}
