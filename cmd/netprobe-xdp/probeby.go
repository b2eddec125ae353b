// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// probe lets the daemon probe that holds the interface, or does it itself.
func (f *probeFlags) probe(cmd *cobra.Command, once prober.Once, emit func(api.ProbeEvent)) error {
	ctx := cmd.Context()
	socket, err := f.daemon(cmd)
	if err != nil {
		return err
	}
	if socket == "" {
		return f.allowable(prober.Probe(ctx, f.Options, once, emit))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "netprobe-xdp: the daemon on %s probes, within its own caps\n", socket)
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return err
	}
	defer c.Close()
	// Whoever hangs up is told no sums: they are added up here too, of as many probes
	// as may well be told one by one.
	var heard oneshot.Heard
	r := once.ProbeRequest
	if checked, problem := oneshot.Check(r); problem == nil && checked.Lay(nil).Probes() <= oneshot.MostHeard {
		r.Quiet = false
	}
	for e, err := range c.Probe(ctx, r) {
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err != nil && r.Quiet:
			return fmt.Errorf("interrupted: of more than %d probes the daemon tells what came of them at the end only", oneshot.MostHeard)
		case err != nil:
			heard.End(emit)
			return nil
		}
		if single := heard.Event(e); !single || !once.Quiet {
			emit(e)
		}
	}
	return nil
}

// daemon returns the socket of the daemon that is asked: the one that is named, which
// has to have the interfaces that are, or the one that probes through one of them.
// "": none says so.
func (f *probeFlags) daemon(cmd *cobra.Command) (string, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	here, notHere := netdev.NetNS(f.NetNS) // whoever opens the interfaces says what is wrong with it
	if named := socketOf(f.socket); named != "" {
		info, err := infoOf(ctx, named)
		if err != nil {
			return "", err
		}
		for _, name := range f.Ifaces {
			switch {
			case !slices.Contains(info.Interfaces, name):
				err = usageError(cmd, fmt.Sprintf("the daemon on %s has no interface %s, but %s; name one of these, none, or another daemon by --socket or %s",
					named, name, cmp.Or(strings.Join(info.Interfaces, ", "), "none"), socketVar))
			case notHere != nil:
				err = notHere
			case info.NetNS != here: // names are the namespace's own
				err = usageError(cmd, fmt.Sprintf("the interface %s of the daemon on %s is in another network namespace; name that by --netns, or leave out --iface", name, named))
			}
		}
		return named, err
	}
	if notHere != nil {
		return "", nil
	}
	for _, socket := range api.Sockets() {
		info, err := infoOf(ctx, socket)
		if err != nil || info.NetNS != here {
			continue
		}
		if slices.ContainsFunc(f.Ifaces, func(name string) bool { return slices.Contains(info.Interfaces, name) }) {
			return socket, nil
		}
	}
	return "", nil
}

// infoOf asks the daemon on a socket what it is.
func infoOf(ctx context.Context, socket string) (*api.Info, error) {
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Info(ctx)
}

// allowable says of what this program itself refuses by which flag it is allowed.
func (f *probeFlags) allowable(err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return err
	}
	for i := range p.Errors {
		switch e := &p.Errors[i]; {
		case strings.HasSuffix(e.Field, "/destination"):
			e.Detail += "; --allow-range does"
		case e.Field == "/rate" && !f.allowRate:
			e.Detail += "; --allow-rate raises the caps"
		}
	}
	return err
}
