// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/ctl"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

func (f *ctlFlags) newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [IFACE...]",
		Short: "how a daemon fares: queues, rates, drops, modes",
		Long: `status shows how a daemon fares. Without a socket or a server it shows every daemon
that has a socket on this machine, in whatever network namespace; a socket that nobody
listens on is named on stderr, and a failure only where no daemon answers. With IFACE it
shows those that have this interface, and of their interfaces this one.`,
		Example: `  netprobe-xdp ctl status
  netprobe-xdp ctl status eth0 -o json`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.options()
		if err != nil {
			return err
		}
		places, found := []client.Options{o}, false
		if here := api.Sockets(); o.Socket == "" && o.Server == "" && len(here) > 0 {
			places, found = nil, true
			for _, socket := range here {
				places = append(places, client.Options{Socket: socket})
			}
		}
		all, errs := statuses(cmd, places)
		answered := len(all) > 0
		var missing error
		if len(args) > 0 {
			if all, missing = having(all, args); missing == nil {
				errs = nil // who does not answer is not asked for
			}
		}
		if found && answered {
			errs = withoutDead(cmd, errs)
		}
		for i := range errs {
			errs[i] = ofDaemon(cmd, errs[i])
		}
		errs = append(errs, missing)
		if len(all) > 0 {
			errs = append(errs, show(cmd, f.output, all, func(w io.Writer) error {
				for i, d := range all {
					if i > 0 {
						fmt.Fprintln(w)
					}
					if err := ctl.WriteStatus(w, d); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		return errors.Join(errs...)
	}
	return cmd
}

// statuses asks several daemons at the same time, and returns in their order those that
// answer, and why others do not.
func statuses(cmd *cobra.Command, places []client.Options) (all []*ctl.Daemon, errs []error) {
	found, failed := make([]*ctl.Daemon, len(places)), make([]error, len(places))
	var running sync.WaitGroup
	for i, o := range places {
		running.Go(func() { found[i], failed[i] = statusOf(cmd, o) })
	}
	running.Wait()
	for i, d := range found {
		if failed[i] == nil {
			all = append(all, d)
		}
	}
	return all, failed
}

// withoutDead leaves out sockets that nobody listens on any more, and names them: what
// is left of a daemon that was killed is no failure where others answer.
func withoutDead(cmd *cobra.Command, errs []error) []error {
	return slices.DeleteFunc(errs, func(err error) bool {
		e, ok := errors.AsType[*client.Error](err)
		if !ok || e.Kind != client.ErrNotRunning {
			return false
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "netprobe-xdp: no netprobe-xdp at %s: nobody listens on the socket any more; remove it, unless one is to be started there again\n", screen.Printable(e.Where))
		return true
	})
}

func statusOf(cmd *cobra.Command, o client.Options) (*ctl.Daemon, error) {
	c, err := client.New(o)
	if err != nil {
		return nil, usageError(cmd, err.Error())
	}
	defer c.Close()
	d := &ctl.Daemon{Where: c.Where()}
	if d.Info, err = c.Info(cmd.Context()); err == nil {
		d.Status, err = c.Status(cmd.Context())
	}
	if err == nil && o.Server == "" {
		d.NetNS = elsewhere(d.Info.NetNS)
	}
	return d, err
}

// elsewhere names a network namespace of this machine that is not that of this program.
func elsewhere(id string) string {
	if here, err := netdev.NetNS(""); id == "" || err == nil && id == here {
		return ""
	}
	return cmp.Or(netdev.NameOf(id), "not this one, "+id)
}

// having returns those daemons that have one of some interfaces, with these only. Its
// error names those that none has.
func having(all []*ctl.Daemon, ifaces []string) (some []*ctl.Daemon, err error) {
	var known []string
	missing := slices.Clone(ifaces)
	for _, d := range all {
		its := d.Info.Interfaces
		known = append(known, fmt.Sprintf("%s has %s", d.Where, cmp.Or(strings.Join(its, ", "), "none")))
		missing = slices.DeleteFunc(missing, func(name string) bool { return slices.Contains(its, name) })
		if slices.ContainsFunc(ifaces, func(name string) bool { return slices.Contains(its, name) }) {
			d.Only(ifaces...) // none of them may be open at the moment
			some = append(some, d)
		}
	}
	if len(missing) > 0 {
		if known == nil {
			known = []string{"none answers"}
		}
		err = exitcode.With(exitcode.Unavailable, fmt.Errorf("no daemon that answers has the interface %s; %s", strings.Join(missing, ", "), screen.Printable(strings.Join(known, ", "))))
	}
	return some, err
}
