// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// ctlFlags say which daemon is asked, and how its answers are printed.
type ctlFlags struct {
	socket, server, tokenFile string
	output                    *format
}

func newCtl() *cobra.Command {
	f := &ctlFlags{}
	cmd := &cobra.Command{
		Use:   "ctl COMMAND",
		Short: "ask and steer a running daemon",
		Long: `ctl asks a running netprobe-xdp how it fares and what it measures, and steers it,
through its control API: on this machine by its UNIX socket, elsewhere by
--server. It needs no privilege of its own: who may use the socket may use ctl.`,
		Example: `  netprobe-xdp ctl status
  netprobe-xdp ctl targets --sort worst --limit 10
  netprobe-xdp ctl target web
  netprobe-xdp ctl watch
  netprobe-xdp ctl --server https://prober.example:8001 --token-file token status`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "no command given")
			}
			return unknownCommand(cmd, args[0])
		},
		SuggestionsMinimumDistance: 2,
	}
	flags := cmd.PersistentFlags()
	addSocket(flags, &f.socket, "UNIX socket of the daemon", api.DefaultSocket)
	flags.StringVar(&f.server, "server", "", "`URL` of a daemon that listens on TCP, http[s]://HOST:PORT; default: NETPROBE_API_SERVER")
	flags.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the token for --server; default: NETPROBE_API_TOKEN_FILE, or the token in NETPROBE_API_TOKEN")
	f.output = outputFlag(flags, "table", "json")
	cmd.AddCommand(f.newStatus(), f.newTargets(), f.newTarget(), f.newWatch(), f.newEvents(), f.newDebug(), f.newConfig(),
		f.newAdd(), f.newRemove(), f.newPause(), f.newResume(), f.newStop(), f.newStart(), f.newReload())
	return cmd
}

// options are where the flags and the environment say the daemon is. A flag goes
// before the environment, also one for the other kind.
func (f *ctlFlags) options() (o client.Options, err error) {
	o.Socket, o.Server = f.socket, f.server
	if o.Socket == "" && o.Server == "" {
		o.Socket, o.Server = socketOf(""), os.Getenv("NETPROBE_API_SERVER")
	}
	if o.Server == "" {
		return o, nil
	}
	file := cmp.Or(f.tokenFile, os.Getenv("NETPROBE_API_TOKEN_FILE"))
	if file == "" {
		o.Token = os.Getenv("NETPROBE_API_TOKEN")
		return o, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return o, exitcode.With(exitcode.NoInput, fmt.Errorf("read the token: %w", err))
	}
	if o.Token = string(bytes.TrimSpace(text)); o.Token == "" {
		return o, exitcode.With(exitcode.NoInput, fmt.Errorf("read the token: %s is empty; it holds the daemon's api.token", file))
	}
	return o, nil
}

// connect returns a client of the daemon.
func (f *ctlFlags) connect(cmd *cobra.Command) (*client.Client, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	c, err := client.New(o)
	if err != nil {
		return nil, usageError(cmd, err.Error())
	}
	return c, nil
}

// command makes a subcommand that talks to one daemon.
func (f *ctlFlags) command(cmd *cobra.Command, run func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := f.connect(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		return ofDaemon(cmd, run(cmd.Context(), cmd, c, args))
	}
	return cmd
}

// ofDaemon gives an error of the control API its exit code and words for a command
// line, which these targets were typed on, and takes from them what could drive a
// terminal.
func ofDaemon(cmd *cobra.Command, err error, targets ...string) error {
	if err == nil || cmd.Context().Err() != nil {
		return err
	}
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	code, text := exitcode.Unavailable, e.Error()
	if others := slices.DeleteFunc(api.Sockets(), func(s string) bool { return s == e.Where }); errors.Is(err, client.ErrNotRunning) && e.Where == api.DefaultSocket && len(others) > 0 {
		text = fmt.Sprintf("no netprobe-xdp at %s; there are others: name one of them by --socket or %s: %s", e.Where, socketVar, strings.Join(others, ", "))
	}
	var p *api.Problem
	switch {
	case errors.Is(err, client.ErrPermission), errors.Is(err, client.ErrUnauthorized):
		code = exitcode.NoPermission
	case errors.As(err, &p) && e.Kind == nil:
		code, text = exitcode.Runtime, typed(cmd, p, targets...).Error()
	}
	return exitcode.With(code, errors.New(screen.Printable(text)))
}

// ofConfig is the error of a reload: the faults of the configuration in the words
// of check, where it is these.
func ofConfig(err error) error {
	var p *api.Problem
	if !errors.As(err, &p) || len(p.Errors) == 0 {
		return err
	}
	var faults config.Faults
	for _, f := range p.Errors {
		faults = append(faults, config.Fault{File: screen.Printable(f.Field), Read: screen.Printable(f.Detail)})
	}
	return exitcode.With(exitcode.Config, faults)
}

// targetNames completes the names of targets. A daemon that does not answer at
// once has none.
func (f *ctlFlags) targetNames(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	o, err := f.options()
	o.RetryFor = -1
	c, err2 := client.New(o)
	if err != nil || err2 != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	t, err := c.Targets(ctx, client.Query{Filter: begun, Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, t := range t.Targets {
		if strings.HasPrefix(t.Name, begun) && screen.Printable(t.Name) == t.Name {
			names = append(names, t.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// oneTarget makes anything but one argument a usage error.
func oneTarget(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(cmd, "no target given")
	}
	return positional(1, "one target")(cmd, args)
}
