// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// names follows what the targets' names resolve to. One goroutine uses it;
// shown may be called from any.
type names struct {
	refresher *resolve.Refresher
	addrs     map[string][]netip.Addr // by target; none: it has no address
	waiting   map[string]bool         // targets whose first answer is not in
	changes   map[string]uint64
	described atomic.Pointer[[]*metrics.Target]
}

// firstAnswers is how long the start waits for names. Those that are slower
// join when they resolve.
const firstAnswers = 5 * time.Second

// resolveNames resolves the names of the configuration for the first time.
func (p *prober) resolveNames(ctx context.Context) {
	all := resolve.Names(p.cfg)
	p.names.addrs, p.names.changes, p.names.waiting = map[string][]netip.Addr{}, map[string]uint64{}, map[string]bool{}
	for _, n := range all {
		p.names.waiting[n.Target] = true
	}
	p.names.refresher = resolve.New(p.Log, nil).Refresh(ctx, all)
	timeout := time.NewTimer(firstAnswers)
	defer timeout.Stop()
	for len(p.names.waiting) > 0 {
		select {
		case <-p.names.refresher.Changed():
			p.take()
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// take notes what changed, leaves out addresses that must not be probed, and
// returns the targets concerned.
func (p *prober) take() (changed []string) {
	for _, c := range p.names.refresher.Take() {
		delete(p.names.waiting, c.Target)
		delete(p.names.addrs, c.Target)
		changed = append(changed, c.Target)
		if !c.New.IsValid() {
			continue
		}
		p.names.changes[c.Target]++
		if err := plan.CheckAddr(p.cfg.Safety, c.New); err != nil {
			p.Log.Error("target is not probed", "target", c.Target, "address", c.New, "error", err)
			continue
		}
		p.names.addrs[c.Target] = []netip.Addr{c.New}
	}
	return changed
}

// follow lets the engines follow names and routes that change, until ctx ends.
func (p *prober) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.names.refresher.Changed():
			if err := p.move(p.take()); err != nil {
				p.Log.Error("cannot follow a changed name; probing goes on as before", "error", err)
			}
		case <-p.astray:
			if err := p.rehome(p.takeAstray()); err != nil {
				p.Log.Error("cannot follow a route to another interface", "error", err)
			}
		}
	}
}

// move gives targets their new addresses. A target that had one keeps its
// counters and its schedule.
func (p *prober) move(changed []string) error {
	next, err := p.build()
	if err != nil {
		// What changed cannot be carried out, a cap for one. The targets
		// concerned have no address until they change again; the others go on.
		for _, name := range changed {
			delete(p.names.addrs, name)
		}
		p.Log.Error("targets cannot be probed at their new addresses", "targets", changed, "error", err)
		if next, err = p.build(); err != nil {
			return err
		}
	}
	before, after := byName(p.plan), byName(next)
	var failed error
	for _, name := range changed {
		old, now := before[name], after[name]
		if old == nil || now == nil {
			continue
		}
		port, err := p.portOf(now)
		if err != nil {
			p.Log.Warn("target cannot be reached", "target", name, "error", err)
			port = p.ports[0]
		}
		was := p.placed[name]
		switch {
		case len(now.Addrs) == 0:
			err = was.engine.Remove(name)
		case len(old.Addrs) > 0 && port == was:
			err = port.engine.Move(name, now.Addrs[0])
		default:
			if err = was.engine.Remove(name); err == nil {
				err = port.engine.Add(now)
			}
		}
		failed = errors.Join(failed, err)
		p.placed[name] = port
	}
	p.plan = next
	p.describe()
	return failed
}

// noteAstray is told by an engine of targets whose route left its interface.
func (p *prober) noteAstray(targets []string) {
	p.astrayMu.Lock()
	p.astrayNames = append(p.astrayNames, targets...)
	p.astrayMu.Unlock()
	select {
	case p.astray <- struct{}{}:
	default: // whoever was woken before takes these too
	}
}

func (p *prober) takeAstray() []string {
	p.astrayMu.Lock()
	defer p.astrayMu.Unlock()
	taken := p.astrayNames
	p.astrayNames = nil
	return taken
}

// rehome gives targets whose route went to another of our interfaces to that
// one. They begin anew there.
func (p *prober) rehome(targets []string) error {
	if len(p.ports) == 1 {
		return nil
	}
	planned := byName(p.plan)
	for _, name := range targets {
		t := planned[name]
		if t == nil {
			continue
		}
		port, err := p.portOf(t)
		if err != nil || port == p.placed[name] {
			continue // not ours to probe now; its probes are not sent
		}
		p.Log.Info("the route went to another interface", "target", name, "interface", port.link.Name())
		if err := p.placed[name].engine.Remove(name); err != nil {
			return err
		}
		if err := port.engine.Add(t); err != nil {
			return err
		}
		p.placed[name] = port
	}
	return nil
}

func byName(pl *plan.Plan) map[string]*plan.Target {
	m := make(map[string]*plan.Target, len(pl.Targets))
	for _, t := range pl.Targets {
		m[t.Name] = t
	}
	return m
}

// describe makes what the metrics say of the targets beside their figures.
func (p *prober) describe() {
	planned := byName(p.plan)
	all := make([]*metrics.Target, 0, len(p.cfg.Targets))
	for i := range p.cfg.Targets {
		c := &p.cfg.Targets[i]
		typ, _ := probe.Lookup(c.Type)
		m := &metrics.Target{
			Type: typ, Destination: c.Name, Family: c.Family, State: c.State, AlertLevel: c.AlertLevel,
			Port: c.DstPort, Resolution: metrics.ResolutionFailed,
		}
		if t := planned[c.Name]; t != nil && len(t.Addrs) > 0 {
			m.ThresholdLoss, m.ThresholdLatency = c.ThresholdLoss, c.ThresholdLatency
			m.Address, m.Resolution, m.ResolutionChanges = t.Addrs[0].String(), metrics.Resolved, 1
			if c.IsSubnet {
				m.Address = c.Destination
			}
		} else if p.switchedOff(c) {
			m.Resolution, m.ResolutionChanges = metrics.Resolved, 1
		}
		if n, named := p.names.changes[c.Name]; named {
			m.ResolutionChanges = n
		}
		if p.names.waiting[c.Name] {
			m.Resolution = metrics.ResolutionPending
		}
		for _, g := range c.Groups {
			m.Groups = append(m.Groups, p.cfg.Groups[g].Name)
		}
		all = append(all, m)
	}
	p.names.described.Store(&all)
}

// switchedOff says whether a target has an address and is not probed for the
// sole reason that it is in no group.
func (p *prober) switchedOff(c *config.Target) bool {
	_, err := netip.ParseAddr(c.Destination)
	return len(c.Groups) == 0 && (err == nil || c.IsSubnet || len(p.names.addrs[c.Name]) > 0)
}

func (n *names) shown() []*metrics.Target {
	if all := n.described.Load(); all != nil {
		return *all
	}
	return nil
}

// build makes the plan for the addresses known now.
func (p *prober) build() (*plan.Plan, error) {
	return plan.Build(p.cfg, plan.Inputs{Addrs: p.names.addrs, Self: p.isSelf, Local: p.isLocal})
}
