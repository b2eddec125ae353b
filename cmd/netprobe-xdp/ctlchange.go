// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/ctl"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// addOwner adds --owner. Its default is not in --help, which is the same on every
// machine.
func addOwner(cmd *cobra.Command, to *string, what string) {
	cmd.Flags().StringVar(to, "owner", "", what+", `NAME`; default: user@host")
}

func (f *ctlFlags) newAdd() *cobra.Command {
	var t api.TargetSpec
	var who string
	var lifetime, timeout time.Duration
	cmd := f.command(&cobra.Command{
		Use:   "add SPEC...",
		Short: "add targets",
		Long: `add has targets probed beside those of the configuration: all, or none. They are
judged as those are, and last until their lifetime is over, somebody removes them,
or the daemon ends. SPEC is written as for probe: tcp://HOST:PORT, udp://HOST[:PORT],
icmp://HOST or HOST. Its name is HOST, or HOST_PORT, with _ for what no name may have:
192.0.2.10_443, 2001_db8__1.`,
		Example: `  netprobe-xdp ctl add tcp://192.0.2.10:443 --lifetime 2h
  netprobe-xdp ctl add icmp://[2001:db8::1] --name gateway --packets 10 --label site=paris`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "no target given")
			}
			return nil
		},
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if t.Name != "" && len(args) > 1 {
			return usageError(cmd, "--name is for one target")
		}
		if lifetime < 0 || timeout < 0 || t.NbPackets < 0 {
			return usageError(cmd, "--lifetime, --timeout or --packets is below 0")
		}
		req := api.AddTargets{Owner: who, LifetimeSeconds: lifetime.Seconds()}
		if req.Owner == "" {
			req.Owner = owner()
		}
		for _, a := range args {
			s, err := oneshot.ParseSpec(a)
			if err != nil {
				return usageError(cmd, err.Error())
			}
			one := t
			one.Type, one.Destination, one.DstPort = s.Type, s.Destination, s.DstPort
			one.Timeout = timeout.Seconds()
			if one.Name == "" {
				one.Name = nameOf(s)
			}
			req.Targets = append(req.Targets, one)
		}
		done, err := c.AddTargets(ctx, req)
		if err != nil {
			return ofDaemon(cmd, err, args...)
		}
		return f.reloaded(cmd, done)
	})
	flags := cmd.Flags()
	flags.StringVar(&t.Name, "name", "", "`NAME` of the target")
	flags.StringVar(&t.Family, "family", "", "of a name's addresses, `ipv4|ipv6`; default: ipv4")
	flags.IntVar(&t.NbPackets, "packets", 0, "probes per group and round; 0: the daemon's default")
	flags.DurationVar(&timeout, "timeout", 0, "when a probe without an answer is lost; 0: the daemon's default")
	flags.StringArrayVar(&t.Groups, "group", nil, "group `NAME` to probe from; may be given several times; default: those that targets register to by themselves")
	flags.StringToStringVar(&t.Labels, "label", nil, "label, `NAME=VALUE`; may be given several times")
	flags.DurationVar(&lifetime, "lifetime", 0, "go away after this time; 0: with the daemon")
	addOwner(cmd, &who, "who adds them")
	return cmd
}

// nameOf is what a target is called where nobody says: host and port, made of what
// names may have, since a daemon refuses the others.
func nameOf(s api.TargetSpec) string {
	name := s.Destination
	if s.DstPort != 0 {
		name += "_" + strconv.Itoa(int(s.DstPort))
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r) {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

// reloaded prints what a change did; what failed is an error too.
func (f *ctlFlags) reloaded(cmd *cobra.Command, r *api.Reloaded) error {
	if err := show(cmd, f.output, r, func(w io.Writer) error { return ctl.WriteReloaded(w, r) }); err != nil {
		return err
	}
	if n := len(r.Failed); n > 0 {
		return exitcode.With(exitcode.Runtime, fmt.Errorf("%s failed, named above", screen.Count(n, "item")))
	}
	return nil
}

// named makes a command that changes one target and says so.
func (f *ctlFlags) named(cmd *cobra.Command, done string, change func(ctx context.Context, c *client.Client, name string) error) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = oneTarget, f.targetNames
	return f.command(cmd, func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if err := change(ctx, c, args[0]); err != nil {
			return err
		}
		return f.done(cmd, done, args[0])
	})
}

// done says that something was done.
func (f *ctlFlags) done(cmd *cobra.Command, what, target string) error {
	said := struct {
		Done   string `json:"done"`
		Target string `json:"target,omitempty"`
	}{what, target}
	return show(cmd, f.output, said, func(w io.Writer) error {
		if target != "" {
			what += " " + screen.Printable(target)
		}
		_, err := fmt.Fprintln(w, what)
		return err
	})
}

func (f *ctlFlags) newRemove() *cobra.Command {
	var who string
	cmd := f.named(&cobra.Command{
		Use:   "remove NAME",
		Short: "remove a target that was added",
		Long: `remove ends a target that "ctl add" added. Those of the configuration or of an
inventory are removed there; "ctl pause" stops them for a while.`,
		Example: `  netprobe-xdp ctl remove gateway`,
	}, "removed", func(ctx context.Context, c *client.Client, name string) error {
		if who == "" {
			who = owner()
		}
		return c.RemoveTarget(ctx, name, who)
	})
	addOwner(cmd, &who, "who added it")
	return cmd
}

func (f *ctlFlags) newPause() *cobra.Command {
	var p api.Pause
	var lasts time.Duration
	var cmd *cobra.Command
	cmd = f.named(&cobra.Command{
		Use:     "pause NAME",
		Short:   "keep a target from being probed",
		Long:    `pause keeps a target from being probed, whatever it is from, until "ctl resume".`,
		Example: `  netprobe-xdp ctl pause web --for 2h`,
	}, "paused", func(ctx context.Context, c *client.Client, name string) error {
		if lasts < 0 { // 0 would be for ever
			return usageError(cmd, fmt.Sprintf("--for: read %s; allowed: a time such as 30m or 2h; 0: until ctl resume", lasts))
		}
		if p.Owner == "" {
			p.Owner = owner()
		}
		p.LifetimeSeconds = lasts.Seconds()
		return c.Pause(ctx, name, p)
	})
	cmd.Flags().DurationVar(&lasts, "for", 0, "go on by itself after this time; 0: when it is resumed")
	addOwner(cmd, &p.Owner, "who pauses it")
	return cmd
}

func (f *ctlFlags) newResume() *cobra.Command {
	return f.named(&cobra.Command{Use: "resume NAME", Short: "probe a paused target again", Example: `  netprobe-xdp ctl resume web`}, "resumed",
		func(ctx context.Context, c *client.Client, name string) error { return c.Resume(ctx, name) })
}

func (f *ctlFlags) newStop() *cobra.Command {
	return f.command(&cobra.Command{
		Use:   "stop",
		Short: "stop all sending",
		Long:  `stop keeps everything from being sent, as safety.kill_file does, until "ctl start".`,
		Args:  positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if err := c.Stop(ctx); err != nil {
			return err
		}
		return f.done(cmd, "sending stopped; ctl start lets it go on", "")
	})
}

func (f *ctlFlags) newStart() *cobra.Command {
	return f.command(&cobra.Command{
		Use:   "start",
		Short: "let sending go on after stop",
		Args:  positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		if err := c.Start(ctx); err != nil {
			return err
		}
		return f.done(cmd, "sending goes on", "")
	})
}

func (f *ctlFlags) newReload() *cobra.Command {
	return f.command(&cobra.Command{
		Use:   "reload",
		Short: "load the configuration again",
		Long: `reload has the configuration loaded again, all or nothing, and prints target by
target what that changed. With a fault in it nothing changes, the faults are printed
in the words of check, and the exit code is 65.`,
		Args: positional(0, "no argument"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		done, err := c.Reload(ctx)
		if err != nil {
			return ofConfig(err)
		}
		return f.reloaded(cmd, done)
	})
}
