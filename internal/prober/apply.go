// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// Report says what another configuration changed, by name of target, each in
// the order of its configuration.
type Report struct {
	Added   []string
	Changed []string // their probes, or what the metrics say of them
	Removed []string

	Unchanged int
}

// change is a whole, valid configuration, and what it takes to get there from
// the one that is carried out. It is made completely before anything happens.
type change struct {
	base   *config.Config // as it was loaded, with the lists; cfg is it without paused targets
	cfg    *config.Config
	plan   *plan.Plan // targets whose probes stay are those of the plan before
	names  known
	placed map[string]*port
	ports  ports // to probe through, and
	opened ports // those of them that are new

	remove  map[*port][]string
	relabel map[*port][]*plan.Target // those that send the same probes under another state
	add     map[*port][]*plan.Target
	astray  []string // targets of lists behind interfaces that are not ours: their probes are not sent
	report  Report
}

// apply makes next what is probed. What is the same in both configurations
// goes on undisturbed; on an error everything does. again says whether all
// names are asked for again. Only the goroutine of control calls it.
func (p *prober) apply(next *config.Config, again bool) (Report, error) {
	return p.applyIf(next, again, func(*change) error { return nil })
}

// applyIf is apply, of what agree has no error against.
func (p *prober) applyIf(next *config.Config, again bool, agree func(*change) error) (Report, error) {
	c, err := p.prepare(p.life, next)
	if err == nil {
		err = agree(c)
	}
	if err == nil {
		err = c.opened.attach(p, c)
	}
	if err != nil {
		return Report{}, errors.Join(err, c.opened.close())
	}
	next = c.cfg
	var failed []error
	for port, names := range c.remove {
		failed = append(failed, port.engine.Remove(names...))
	}
	failed = append(failed, p.exchange(c))
	if l := p.cfg.Safety.Lists; next.Safety.Lists != l && next.Safety.Lists.Equal(l) {
		next.Safety.Lists, c.base.Safety.Lists = l, l // so that nothing is bound anew for them
	}
	for _, port := range p.ports {
		port.engine.Configure(engine.Settings{
			Interval: c.plan.Interval, Percentiles: c.plan.Percentiles, ForeignSource: next.Safety.ForeignSource,
			Lists: next.Safety.Lists,
		})
		port.engine.Relabel(c.relabel[port]...)
	}
	p.limiter.SetRate(float64(next.Safety.MaxPPS))
	p.blocks.SetRate(float64(next.Safety.MaxPrefixPPS))
	for _, port := range p.ports {
		port.engine.Recount()
		port.size(c.plan.PPS)
	}
	p.adopt(c)
	p.names.refresher.Follow(resolve.Names(next), again)
	failed = append(failed, p.boundHeap(), p.install(c))
	if again {
		failed = append(failed, p.tryRefused())
	}
	p.heed(next, p.plan.Warnings)
	r := &c.report
	p.Log.Info("configuration carried out", "added", len(r.Added), "changed", len(r.Changed), "removed", len(r.Removed),
		"unchanged", r.Unchanged, "probes_per_second", p.plan.PPS)
	if len(r.Added)+len(r.Changed)+len(r.Removed) > 0 {
		p.hub.tell(targetsChanged(r))
	}
	return c.report, errors.Join(failed...)
}

// prepare finds out what it takes to carry out base, without paused targets. It changes nothing, but
// opens interfaces: on an error too c says which.
func (p *prober) prepare(ctx context.Context, base *config.Config) (c *change, err error) {
	next := base.Without(p.pausedNames())
	c = &change{base: base, cfg: next, names: p.names.carry(next), remove: map[*port][]string{}, relabel: map[*port][]*plan.Target{}, add: map[*port][]*plan.Target{}}
	if c.ports, c.opened, err = p.hold(ctx, next); err != nil {
		return c, err
	}
	err = c.ports.withRoutes(len(next.Targets), func() (err error) {
		if c.plan, err = p.build(next, c.ports, c.names.addrs); err != nil {
			return err
		}
		return p.place(c, p.compare(c))
	})
	return c, err
}

// adopt makes the configuration of c the one that is carried out.
func (p *prober) adopt(c *change) {
	p.base, p.cfg, p.plan, p.placed = c.base, c.cfg, c.plan, c.placed
	p.app.AddRepeated(c.cfg.Repeated) // of the lists that were read for it
	p.names.known = c.names
	p.names.find(c.cfg, c.plan)
	p.current.Store(c.cfg)
	p.plannedPPS.Store(&c.plan.PPS)
	p.pusher.Configure(c.cfg.Push, c.cfg.Global.ProbeName)
	p.history.Configure(c.cfg.History.Memory, c.plan.Interval)
	p.describe()
}

// install hands the new targets of c to the engines.
func (p *prober) install(c *change) error {
	var failed []error
	for port, plans := range c.add {
		failed = append(failed, port.engine.Add(plans...))
	}
	return errors.Join(failed...)
}

// planned is a target of a configuration with its plan, nil where it is in no
// group.
type planned struct {
	cfg  *config.Target
	plan *plan.Target
	at   int // in the plan
}

// targetsOf pairs the targets of a configuration with those of its plan, which
// has them in the same order. Both may be nil.
func targetsOf(cfg *config.Config, pl *plan.Plan) []planned {
	if pl == nil {
		return nil
	}
	all := make([]planned, len(cfg.Targets))
	next := 0
	for i := range cfg.Targets {
		all[i].cfg = &cfg.Targets[i]
		if next < len(pl.Targets) && pl.Targets[next].Name == all[i].cfg.Name {
			all[i].plan, all[i].at = pl.Targets[next], next
			next++
		}
	}
	return all
}

// compare finds what c changes, and returns the planned targets that have to
// be placed: those whose probes are not the same as before.
func (p *prober) compare(c *change) (anew []*plan.Target) {
	before, after := targetsOf(p.cfg, p.plan), targetsOf(c.cfg, c.plan)
	find := finder(before)
	kept := make([]bool, len(before))
	c.placed = make(map[string]*port, len(after))
	var probes plan.Comparer
	for _, t := range after {
		i, ok := find(t.cfg.Name)
		if !ok {
			c.report.Added = append(c.report.Added, t.cfg.Name)
			if t.plan != nil {
				anew = append(anew, t.plan)
			}
			continue
		}
		kept[i] = true
		old := before[i]
		same := old.plan == nil && t.plan == nil
		if old.plan != nil && t.plan != nil {
			same = p.plan.Interval == c.plan.Interval && probes.SameProbes(old.plan, t.plan) && p.keptAlike(c.cfg, t.cfg.Name) && p.stays(c, t.plan)
		}
		switch {
		case same && t.plan != nil:
			at := p.placed[t.cfg.Name]
			c.placed[t.cfg.Name] = at
			if t.plan.State == old.plan.State {
				c.plan.Targets[t.at] = old.plan
			} else {
				c.relabel[at] = append(c.relabel[at], t.plan)
			}
		case !same:
			p.leave(c, old)
			if t.plan != nil {
				anew = append(anew, t.plan)
			}
		}
		if same && saidAlike(old.cfg, t.cfg) {
			c.report.Unchanged++
		} else {
			c.report.Changed = append(c.report.Changed, t.cfg.Name)
		}
	}
	for i, old := range before {
		if !kept[i] {
			c.report.Removed = append(c.report.Removed, old.cfg.Name)
			p.leave(c, old)
		}
	}
	return anew
}

// stays says whether a target that sends the same probes as before sends them
// by the same interface.
func (p *prober) stays(c *change, t *plan.Target) bool {
	if slices.Equal(p.ports, c.ports) {
		return true // and routes that changed are followed anyway
	}
	before := p.placed[t.Name]
	now, err := c.ports.of(t, c.cfg.Safety.ForeignSource)
	return slices.Contains(c.ports, before) && (err != nil || now == before)
}

// leave notes that a target is not probed any more as it was.
func (p *prober) leave(c *change, old planned) {
	if old.plan != nil {
		at := p.placed[old.cfg.Name]
		c.remove[at] = append(c.remove[at], old.cfg.Name)
	}
}

// finder returns a function that finds targets by name: fast where it is asked
// in their order.
func finder(all []planned) func(name string) (int, bool) {
	next := 0
	var index map[string]int
	return func(name string) (int, bool) {
		if next < len(all) && all[next].cfg.Name == name {
			next++
			return next - 1, true
		}
		if index == nil {
			index = make(map[string]int, len(all))
			for i := range all {
				index[all[i].cfg.Name] = i
			}
		}
		i, ok := index[name]
		if ok {
			next = i + 1
		}
		return i, ok
	}
}

// keptAlike says whether next keeps the same figures of a target as now.
func (p *prober) keptAlike(next *config.Config, target string) bool {
	return histogram(next, target) == histogram(p.cfg, target)
}

// saidAlike says whether the metrics say the same of two targets that send the
// same probes.
func saidAlike(a, b *config.Target) bool {
	alike := func(x, y *float64) bool { return x == y || x != nil && y != nil && *x == *y }
	return a.State == b.State && a.AlertLevel == b.AlertLevel && a.Destination == b.Destination && slices.Equal(a.Labels, b.Labels) &&
		alike(a.ThresholdLatency, b.ThresholdLatency) && alike(a.ThresholdLoss, b.ThresholdLoss)
}
