// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// names follows what the targets' names resolve to. One goroutine uses it;
// shown may be called from any.
type names struct {
	refresher *resolve.Refresher
	known
	described atomic.Pointer[[]*metrics.Target]
}

// firstAnswers is how long the start waits for names. Those that are slower
// join when they resolve.
const firstAnswers = 5 * time.Second

// resolveNames resolves the names of the configuration for the first time.
func (p *prober) resolveNames(ctx context.Context) {
	p.names.known = p.names.carry(p.cfg)
	p.names.refresher = resolve.New(p.Log, nil).Refresh(ctx, resolve.Names(p.cfg))
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

// take notes what changed, and returns the targets concerned.
func (p *prober) take() (changed []string) {
	seen := map[string]bool{}
	for _, c := range p.names.refresher.Take() {
		if n := p.names.hosts[c.Target]; n.Host != c.Host || n.Family != c.Family {
			continue // the configuration names another one now
		}
		delete(p.names.waiting, c.Target)
		if p.names.failing[c.Target] = c.Err != nil; c.Err == nil {
			delete(p.names.failing, c.Target)
		}
		if !seen[c.Target] {
			seen[c.Target] = true
			changed = append(changed, c.Target)
		}
		if c.New == c.Old && c.New.IsValid() {
			continue // its resolver fails, or no more, and the address stays
		}
		delete(p.names.addrs, c.Target)
		delete(p.names.refused, c.Target)
		if c.New.IsValid() {
			p.names.addrs[c.Target] = []netip.Addr{c.New}
			if !p.ports.isSelf(c.New) { // as in netprobify
				p.names.changes[c.Target]++
			}
		}
	}
	return changed
}

// move gives targets their new addresses. A target that had one keeps its
// counters and its schedule. One that cannot be probed at its new address, for a
// cap for one, has none until it changes again or a reload; it spoils none of the
// others.
func (p *prober) move(changed []string) error {
	if len(changed) == 0 {
		return nil
	}
	places := make([]plan.Place, 0, len(changed)) // of those that are probed
	for _, name := range changed {
		if at := p.names.places[name]; at.Planned >= 0 {
			places = append(places, at)
		}
	}
	moved, err := p.readdress(places)
	if half := len(changed) / 2; err != nil && half > 0 {
		return errors.Join(p.move(changed[:half]), p.move(changed[half:]))
	}
	if err != nil {
		name := changed[0]
		p.names.refused[name] = p.names.addrs[name]
		delete(p.names.addrs, name)
		p.Log.Error("target cannot be probed at its new address", "target", name, "error", err)
		if moved, err = p.readdress(places); err != nil {
			return err
		}
	}
	next := *p.plan // others look at it
	next.Targets = slices.Clone(next.Targets)
	var failed []error
	m := newMoves()
	for i, now := range moved {
		at := places[i].Planned
		failed = append(failed, p.moveOne(next.Targets[at], now, m))
		next.Targets[at] = now
	}
	failed = append(failed, m.carryOut())
	p.plan = &next
	p.describe(changed...)
	return errors.Join(failed...)
}

// moves are targets that leave engines and join others. With each call engines
// look at all that they probe, so many go in one.
type moves struct {
	remove map[*port][]string
	add    map[*port][]*plan.Target
}

func newMoves() *moves { return &moves{map[*port][]string{}, map[*port][]*plan.Target{}} }

func (m *moves) carryOut() error {
	var failed []error
	for port, names := range m.remove {
		failed = append(failed, port.engine.Remove(names...))
	}
	for port, plans := range m.add {
		failed = append(failed, port.engine.Add(plans...))
	}
	return errors.Join(failed...)
}

// tryRefused moves targets to the addresses that could not be carried out
// before.
func (p *prober) tryRefused() error {
	names := slices.Sorted(maps.Keys(p.names.refused))
	maps.Copy(p.names.addrs, p.names.refused)
	clear(p.names.refused)
	return p.move(names)
}

func (p *prober) readdress(places []plan.Place) ([]*plan.Target, error) {
	moved, warnings, err := p.plan.Readdress(p.cfg, p.inputs(p.ports, p.names.addrs), places)
	for _, w := range warnings {
		p.Log.Warn(w.String())
	}
	return moved, err
}

// moveOne lets a target be probed as planned now, or notes in m what that takes.
func (p *prober) moveOne(old, now *plan.Target, m *moves) error {
	port, err := p.ports.of(now, p.cfg.Safety.ForeignSource)
	if err != nil {
		p.Log.Warn("target cannot be reached", "target", now.Name, "error", err)
		port = p.ports[0]
	}
	was := p.placed[now.Name]
	p.placed[now.Name] = port
	switch {
	case port == was && slices.Equal(old.Addrs, now.Addrs):
		return nil
	case len(old.Addrs) > 0 && len(now.Addrs) > 0 && port == was:
		return port.engine.Move(now.Name, now.Addrs[0])
	}
	m.remove[was] = append(m.remove[was], now.Name)
	if len(now.Addrs) > 0 {
		m.add[port] = append(m.add[port], now)
	}
	return nil
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
	planned := map[string]*plan.Target{}
	for _, name := range targets {
		planned[name] = nil
	}
	for _, t := range p.plan.Targets {
		if _, asked := planned[t.Name]; asked {
			planned[t.Name] = t
		}
	}
	m := newMoves()
	choose := func() error {
		for _, name := range targets {
			t, was := planned[name], p.placed[name]
			if t == nil {
				continue
			}
			port, err := p.ports.of(t, p.cfg.Safety.ForeignSource)
			if err != nil || port == was {
				continue // not ours to probe now; its probes are not sent
			}
			p.Log.Info("the route went to another interface", "target", name, "interface", port.link.Name())
			m.remove[was], m.add[port] = append(m.remove[was], name), append(m.add[port], t)
			p.placed[name] = port
		}
		return nil
	}
	if p.ports.withRoutes(len(targets), choose) != nil {
		_ = choose() // by asking the kernel for each
	}
	return m.carryOut()
}

// describe makes what the metrics say of the targets beside their figures: of
// these, whose names changed, or of all.
func (p *prober) describe(changed ...string) {
	if len(changed) > 0 {
		all := slices.Clone(p.names.shown()) // scrapes read the one before
		for _, name := range changed {
			at, t := p.names.places[name], (*plan.Target)(nil)
			if at.Planned >= 0 {
				t = p.plan.Targets[at.Planned]
			}
			all[at.Listed] = p.describeOne(&p.cfg.Targets[at.Listed], t)
		}
		p.names.described.Store(&all)
		return
	}
	all := make([]*metrics.Target, 0, len(p.cfg.Targets))
	for _, t := range targetsOf(p.cfg, p.plan) {
		all = append(all, p.describeOne(t.cfg, t.plan))
	}
	p.names.described.Store(&all)
}

// describeOne describes a target; t is nil where it is in no group.
func (p *prober) describeOne(c *config.Target, t *plan.Target) *metrics.Target {
	typ, _ := probe.Lookup(c.Type)
	m := &metrics.Target{
		Type: typ, Destination: c.Name, Family: c.Family, State: c.State, AlertLevel: c.AlertLevel,
		Port: c.DstPort, Resolution: metrics.Resolved,
	}
	active := t != nil && len(t.Addrs) > 0
	if active {
		m.Address = t.Addrs[0].String()
		if c.IsSubnet {
			m.Address = c.Destination
		}
	}
	if active || t == nil { // an address of this host is known, but none to change to
		m.ResolutionChanges = 1
	}
	if _, named := p.names.hosts[c.Name]; named {
		m.ResolutionChanges, m.ResolutionTook = p.names.changes[c.Name], p.names.refresher.Took(c.Name)
		switch {
		case p.names.waiting[c.Name]:
			m.Resolution = metrics.ResolutionPending
		case p.names.failing[c.Name] || len(p.names.addrs[c.Name]) == 0:
			m.Resolution = metrics.ResolutionFailed
		}
	}
	if m.ResolutionChanges > 0 { // once it has been active they stay, as in netprobify
		m.ThresholdLoss, m.ThresholdLatency = c.ThresholdLoss, c.ThresholdLatency
	}
	for _, l := range c.Labels {
		m.Labels = append(m.Labels, metrics.Label(l))
	}
	for _, g := range c.Groups {
		m.Groups = append(m.Groups, p.cfg.Groups[g].Name)
	}
	return m
}

func (n *names) shown() []*metrics.Target {
	if all := n.described.Load(); all != nil {
		return *all
	}
	return nil
}

// build plans a configuration with what its names resolve to.
func (p *prober) build(cfg *config.Config, by ports, addrs map[string][]netip.Addr) (*plan.Plan, error) {
	in := p.inputs(by, addrs)
	var unread error
	in.Reserved, unread = netdev.ReservedPorts(p.NetNS)
	built, err := plan.Build(cfg, in)
	if err == nil && unread != nil {
		built.Warnings = append(built.Warnings, cfg.Fault("cannot tell whether the source ports are reserved", unread.Error(), "groups"))
	}
	return built, err
}

func (p *prober) inputs(by ports, addrs map[string][]netip.Addr) plan.Inputs {
	return plan.Inputs{Addrs: addrs, Self: by.isSelf, Local: func(a netip.Addr) bool { return by.isLocal(a, p.Log) }}
}
