// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Once says what to probe once, and what is allowed beyond what is always.
type Once struct {
	api.ProbeRequest
	AllowRanges []netip.Prefix
	AllowPPS    int // safety.max_pps and max_prefix_pps are raised to this; 0: they are not
}

// Probe opens the interfaces, probes once and gives all back: without a
// configuration but for Settings, without metrics and without a socket. What it tells
// emit is that of the API. An end of ctx ends it early, which is no error.
func Probe(ctx context.Context, o Options, once Once, emit func(api.ProbeEvent)) (err error) {
	p := newProber(o)
	defer func() { err = errors.Join(err, p.close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.cfg, err = config.Default(config.Defaults{Options: config.Options{Settings: o.Settings, Env: os.Environ(), Flags: o.Flags}, Hostname: "probe"}); err != nil {
		return err
	}
	p.cfg.Safety.AllowRanges = append(p.cfg.Safety.AllowRanges, once.AllowRanges...)
	p.cfg.Safety.MaxPPS = max(p.cfg.Safety.MaxPPS, once.AllowPPS)
	p.cfg.Safety.MaxPrefixPPS = max(p.cfg.Safety.MaxPrefixPPS, once.AllowPPS)
	p.cfg.Groups = nil // no source port is anybody's
	p.started = p.cfg
	p.current.Store(p.cfg)
	if err := p.openLinks(ctx); err != nil {
		return host.ExplainDescriptors(err)
	}
	p.resolveNames(ctx)
	first, err := p.prepare(ctx, p.cfg)
	if err != nil {
		return err
	}
	p.plan, p.placed = first.plan, first.placed
	p.makeCaps()
	first.plan.PPS = max(once.Rate, 2*usualOncePPS) // for the rings
	if err := p.ports.attach(p, first); err != nil {
		return host.ExplainDescriptors(err)
	}
	first.plan.PPS = 0
	if err := p.confine(); err != nil {
		return err
	}
	var running sync.WaitGroup
	p.life = ctx
	p.lookForKillFile()
	running.Go(func() { p.obeyKillFile(ctx) })
	for _, port := range p.ports {
		port.start(ctx, p)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // what is begun is summed up
	p.life = life
	running.Go(func() { p.control(life) })
	err = p.probeOnce(ctx, once.ProbeRequest, emit)
	cancel()
	end()
	running.Wait()
	for _, port := range p.ports {
		port.stop()
	}
	return err
}

// usualOncePPS is for how many probes per second the receive rings are made.
const usualOncePPS = 20_000
