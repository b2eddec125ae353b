// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/ctl"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// addQuery adds the flags that choose targets.
func addQuery(cmd *cobra.Command, q *client.Query, sort string, limit int) {
	cmd.Flags().StringVar(&q.Filter, "filter", "", "those with `TEXT` in name, destination, address or a label")
	cmd.Flags().StringVar(&q.Group, "group", "", "those of the group `NAME`")
	cmd.Flags().StringVar(&q.Family, "family", "", "those of the family `ipv4|ipv6`")
	cmd.Flags().StringVar(&q.Source, "source", "", "those of `NAME`: config, api, or an inventory")
	cmd.Flags().StringVar(&q.State, "state", "", "those whose label state is `NAME`, None where no inventory says otherwise")
	cmd.Flags().StringVar(&q.Sort, "sort", sort, "order: `worst|name|loss|round_trip`")
	cmd.Flags().IntVar(&q.Limit, "limit", limit, "so many at the most")
}

// limited refuses --limit 0, which the client would leave out and which shows all then.
func limited(cmd *cobra.Command, q client.Query) error {
	if q.Limit == 0 {
		return usageError(cmd, "--limit: read 0; allowed: a whole number, 1 to 10000")
	}
	return nil
}

func (f *ctlFlags) newTargets() *cobra.Command {
	var q client.Query
	cmd := f.command(&cobra.Command{
		Use:   "targets",
		Short: "targets with their latest round",
		Example: `  netprobe-xdp ctl targets --sort worst --limit 10
  netprobe-xdp ctl targets --filter web --family ipv6 -o json`,
		Args: positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if err := limited(cmd, q); err != nil {
			return err
		}
		t, err := c.Targets(ctx, q)
		if err != nil {
			return err
		}
		return show(cmd, f.output, t, func(w io.Writer) error { return ctl.WriteTargets(w, t) })
	})
	addQuery(cmd, &q, "name", 1000)
	cmd.Flags().IntVar(&q.Offset, "offset", 0, "leave out so many")
	return cmd
}

func (f *ctlFlags) newTarget() *cobra.Command {
	return f.command(&cobra.Command{
		Use:               "target NAME",
		Short:             "one target, its last rounds and its source ports",
		Example:           `  netprobe-xdp ctl target web`,
		Args:              oneTarget,
		ValidArgsFunction: f.targetNames,
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		t, err := c.Target(ctx, args[0])
		if err != nil {
			return err
		}
		return show(cmd, f.output, t, func(w io.Writer) error { return ctl.WriteTarget(w, t, time.Now()) })
	})
}

func (f *ctlFlags) newWatch() *cobra.Command {
	w := &ctl.Watch{In: os.Stdin}
	cmd := f.command(&cobra.Command{
		Use:   "watch",
		Short: "a live table of targets",
		Long: `watch shows targets as a table that is redrawn in place; ? lists its keys (sorting,
filtering, leaving). A daemon that restarts is waited for. Where the output is no
terminal, a table, or with -o json one line of JSON, is printed at every interval.`,
		Example: `  netprobe-xdp ctl watch
  netprobe-xdp ctl watch --filter web --interval 10s`,
		Args: positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if w.Every < 100*time.Millisecond {
			return usageError(cmd, "--interval is below 100ms")
		}
		if err := limited(cmd, w.Query); err != nil {
			return err
		}
		// A terminal that is closed ends it as Ctrl-C does.
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		w.Client, w.Out, w.JSON = c, cmd.OutOrStdout(), f.output.chosen == "json"
		return w.Run(ctx)
	})
	addQuery(cmd, &w.Query, "worst", 20)
	cmd.Flags().Lookup("limit").Usage = "so many at the most; on a terminal as many as fit"
	cmd.Flags().DurationVar(&w.Every, "interval", 2*time.Second, "how often the daemon is asked")
	return cmd
}

func (f *ctlFlags) newEvents() *cobra.Command {
	var rounds bool
	cmd := f.command(&cobra.Command{
		Use:   "events",
		Short: "follow what happens to a daemon",
		Long: `events prints what happens to a daemon as it happens: reloads, targets that come and
go, interfaces, stops; one line each, with -o json one line of JSON.`,
		Args: positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		for e, err := range c.Events(ctx, rounds) {
			if err == nil {
				err = f.line(cmd, e, ctl.EventLine(&e))
			}
			if err != nil {
				return ended(ctx, err)
			}
		}
		return nil
	})
	cmd.Flags().BoolVar(&rounds, "rounds", false, "every whole round of every target too")
	return cmd
}

func (f *ctlFlags) newDebug() *cobra.Command {
	return f.command(&cobra.Command{
		Use:   "debug NAME",
		Short: "one target's next round, probe by probe, in words",
		Long: `debug waits for a target's next round and prints what was sent, what came back, and
why each probe counts as it does; with -o json one line of JSON for each.`,
		Example:           `  netprobe-xdp ctl debug web`,
		Args:              oneTarget,
		ValidArgsFunction: f.targetNames,
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		t, err := c.Target(ctx, args[0]) // events do not say of what type it is
		if err != nil {
			return err
		}
		for e, err := range c.Debug(ctx, args[0]) {
			if err == nil {
				err = f.line(cmd, e, ctl.DebugLine(&e, t.Type))
			}
			if err != nil {
				return ended(ctx, err)
			}
		}
		return nil
	})
}

// line prints one thing of a stream.
func (f *ctlFlags) line(cmd *cobra.Command, v any, text string) error {
	if f.output.chosen == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// ended is why a stream ended: a person's Ctrl-C is no failure, nor is a reader
// that has seen enough.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

func (f *ctlFlags) newConfig() *cobra.Command {
	return f.command(&cobra.Command{
		Use:   "config",
		Short: "the configuration in force, with every default, without secrets",
		Args:  positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		cfg, err := c.Config(ctx)
		if err != nil {
			return err
		}
		return show(cmd, f.output, cfg, func(w io.Writer) error {
			_, err := io.WriteString(w, screen.PrintableText(cfg.YAML))
			return err
		})
	})
}

// owner is who changes something where nobody says.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	name := cmp.Or(os.Getenv("SUDO_USER"), os.Getenv("USER"))
	if name == "" { // cron and systemd set neither, and the same person is to have one name
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return cmp.Or(name, strconv.Itoa(os.Getuid())) + "@" + host
}
