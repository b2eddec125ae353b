// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
)

// openLinks finds the interfaces of the command line and of the configuration,
// as far as there is one, that are not open yet.
func (p *prober) openLinks(ctx context.Context) error {
	all, opened, err := p.hold(ctx, p.cfg)
	if err != nil {
		return errors.Join(err, opened.close())
	}
	p.ports = all
	return nil
}

// hold returns the interfaces that the command line and cfg name: those that
// are open already, and others that are opened now, which it returns apart, on
// an error too. cfg may be nil.
func (p *prober) hold(ctx context.Context, cfg *config.Config) (all, opened ports, err error) {
	names := slices.Clone(p.Ifaces)
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, nil, exitcode.With(exitcode.Usage, fmt.Errorf("--iface %s is given twice", name))
		}
	}
	if cfg != nil {
		for _, name := range cfg.Engine.Interfaces {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil, nil, exitcode.With(exitcode.Usage, errors.New("no interface named; give one with --iface NAME"))
	}
	for _, name := range names {
		port := p.ports.named(name)
		if port == nil {
			if err := p.permitted(); err != nil {
				return nil, opened, err
			}
			if port, err = p.openPort(ctx, name); err != nil {
				return nil, opened, err
			}
			opened = append(opened, port)
		}
		all = append(all, port)
	}
	return all, opened, nil
}

// permitted says whether this process may do what an interface needs.
func (p *prober) permitted() error {
	facts, err := host.Read()
	if err != nil {
		return err
	}
	var more []string
	if p.NetNS != "" {
		more = []string{"CAP_SYS_ADMIN"} // to enter it
	}
	return facts.Require(more...)
}

// attach makes ports ready to probe as c says.
func (ps ports) attach(p *prober, c *change) error {
	for _, port := range ps {
		if err := port.attach(p, c); err != nil {
			return err
		}
	}
	return nil
}

// close gives everything back.
func (ps ports) close() error {
	var errs []error
	for _, port := range ps {
		errs = append(errs, port.close())
	}
	return errors.Join(errs...)
}

// exchange makes the interfaces of c those that are probed through. Those that
// c opened begin, and those that it does without, and without targets, end.
func (p *prober) exchange(c *change) error {
	before := p.ports
	p.shownMu.Lock() // after this no scrape looks into those that go
	p.ports = c.ports
	p.shownMu.Unlock()
	for _, port := range c.opened {
		port.start(p.life, p)
	}
	var gone ports
	for _, port := range before {
		if !slices.Contains(c.ports, port) {
			port.stop()
			gone = append(gone, port)
			p.Log.Info("interface is probed through no more", "interface", port.name)
		}
	}
	return gone.close()
}
