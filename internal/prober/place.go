// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// ports are the interfaces to probe through, one at least.
type ports []*port

// String names them, for messages.
func (ps ports) String() string {
	names := make([]string, len(ps))
	for i, port := range ps {
		names[i] = port.name
	}
	return strings.Join(names, ", ")
}

// named returns the one of this name, or nil.
func (ps ports) named(name string) *port {
	if i := slices.IndexFunc(ps, func(t *port) bool { return t.name == name }); i >= 0 {
		return ps[i]
	}
	return nil
}

// isSelf says whether packets to an address stay on this host.
func (ps ports) isSelf(a netip.Addr) bool {
	_, err := ps[0].route(a, netip.Addr{}, false)
	return errors.Is(err, netdev.ErrLocal)
}

// isLocal says whether the kernel calls an address this host's own.
func (ps ports) isLocal(a netip.Addr, log *slog.Logger) bool {
	local, err := ps[0].link.IsLocal(a)
	if err != nil {
		log.Warn("cannot ask whether an address is local", "address", a, "error", err)
	}
	return local
}

// leaving returns the interface by which the kernel's route to dst leaves;
// foreign as in safety.foreign_source.
func (ps ports) leaving(dst, src netip.Addr, foreign bool) (*port, error) {
	var last error
	var other *netdev.OtherInterfaceError
	for _, port := range ps {
		_, err := port.route(dst, src, foreign)
		if err == nil {
			return port, nil
		}
		last = err
		if !errors.As(err, &other) {
			return nil, err // no other interface has a better answer: the kernel has one table
		}
	}
	if port := ps.named(other.Name); port != nil {
		return port, nil // made again, which the port has not seen yet: it takes it up
	}
	return nil, last
}

// place decides by which interface each of these targets of c is probed. A
// route that leaves by an interface we do not hold is a fault of the
// configuration; a missing one is not: it may come back.
func (p *prober) place(c *change, targets []*plan.Target) error {
	var faults config.Faults
	var unreachable error
	reachable := 0
	for _, t := range targets {
		port, err := c.ports.of(t, c.cfg.Safety.ForeignSource)
		var other *netdev.OtherInterfaceError
		switch {
		case errors.As(err, &other) && c.cfg.FromInventory(t.Name): // it spoils none of the others
			c.plan.Warnings = append(c.plan.Warnings, c.cfg.Fault("the route to "+t.Addrs[0].String()+" leaves by interface "+other.Name+"; its probes are not sent",
				"add --iface "+other.Name+", or remove the target", "targets", t.Name, "destination"))
			c.astray = append(c.astray, t.Name)
			port = c.ports[0]
		case errors.As(err, &other):
			faults = append(faults, c.cfg.Fault(
				fmt.Sprintf("the route to %s leaves by interface %s", t.Addrs[0], other.Name),
				fmt.Sprintf("allowed: targets behind %s; add --iface %s, or remove the target", c.ports, other.Name),
				"targets", t.Name, "destination"))
			continue
		case err != nil:
			unreachable = fmt.Errorf("target %s: %w", t.Name, err)
			port = c.ports[0]
		case len(t.Addrs) > 0:
			reachable++
		}
		c.placed[t.Name] = port
		c.add[port] = append(c.add[port], t)
	}
	switch {
	case len(faults) > 0:
		return exitcode.With(exitcode.Config, faults)
	case p.plan == nil && reachable == 0 && unreachable != nil:
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("no target can be reached: %w; add a route, or probe through another interface", unreachable))
	}
	return nil
}

// fewRoutes is how many targets the kernel is asked for one by one.
const fewRoutes = 16

// withRoutes calls f. While it is at work, routes are those of this moment if
// many are asked for.
func (ps ports) withRoutes(targets int, f func() error) (err error) {
	if targets > fewRoutes {
		for _, port := range ps {
			defer func() { port.routes = nil }()
			if port.routes, err = port.link.Routes(); err != nil {
				return err
			}
		}
	}
	return f()
}

// of returns the interface of a target's first address; all of them when
// it has few, because a subnet may lie across several.
func (ps ports) of(t *plan.Target, foreign bool) (*port, error) {
	var at *port
	for i, a := range t.Addrs {
		if i > 256 {
			break
		}
		for g := range t.Groups {
			got, err := ps.leaving(a, t.Groups[g].Sources[0].Addr, foreign)
			if err != nil {
				return nil, err
			}
			if at != nil && got != at {
				return nil, &netdev.OtherInterfaceError{Name: got.link.Name()}
			}
			at = got
		}
	}
	if at == nil {
		at = ps[0]
	}
	return at, nil
}
