// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// How a target of the plan becomes numbers in the arenas. Only the control side
// does it, under Engine.mu.

// enter makes a target with its series and legs.
func (e *Engine) enter(p *plan.Target) uint32 {
	n := e.targets.take(1)
	t := e.targets.at(n)
	t.plan = p
	t.state.Store(uint32(e.workerFor(p)))
	if p.Probes() == 0 {
		t.state.Or(targetLeft) // it is never in a schedule
	}
	t.series = e.series.take(uint32(len(p.Groups)))
	for g := range p.Groups {
		group := &p.Groups[g]
		s := e.series.at(t.series + uint32(g))
		s.class, s.target = e.classOf(p, group), n
		s.result.Init(s.class.kind, &p.Name)
		if e.Histogram != nil && e.Histogram(p.Name) {
			s.result.KeepHistogram()
		}
		count := len(p.Addrs) * len(group.Sources)
		s.legs = e.legs.take(uint32(count))
		for i := range count {
			l := e.legs.at(s.legs + uint32(i))
			l.series = t.series + uint32(g)
			l.flow.Store(unsendable | uint32(result.NoRoute))
			if group.NbPackets > len(group.Sources) && !p.Once {
				l.long = e.histories.take(1)
			}
		}
	}
	e.countBlocks(n, 1)
	if e.names != nil && !p.Once {
		e.names[p.Name] = n
	}
	return n
}

// classOf returns what a series shares with others.
func (e *Engine) classOf(p *plan.Target, g *plan.Group) *class {
	key := classKey{
		typ: p.Type, timeout: p.Timeout, packets: g.NbPackets, family: p.Family, state: p.State, group: g.Name,
		shape: packet.Shape{DSCP: g.DSCP, DontFragment: p.DontFragment, PayloadLen: uint16(g.PayloadLen)},
	}
	c := e.classes[key]
	if c != nil && !p.Once {
		return c
	}
	c = &class{
		classKey: key, spare: make([][]*openRound, len(e.workers)),
		kick: kickOf(p.Type.Proto, p.Family),
		kind: e.kindOf(kindKey{p.Type.Metric, p.Family, p.State, g.Name}),
	}
	timeout := p.Timeout
	if p.Once {
		timeout = roundTimeout(timeout)
	}
	if c.expiry = slices.Index(e.timeouts, int64(timeout)); c.expiry < 0 {
		c.expiry = len(e.timeouts)
		e.timeouts = append(e.timeouts, int64(timeout))
		e.longest.Store(max(e.longest.Load(), int64(timeout)))
	}
	if !p.Once { // its like may never come again: it goes with its target
		e.classes[key] = c
	}
	return c
}

// roundTimeout is the timeout of the expiry queue that a target uses which is
// probed once: 1, 2 or 5 times a power of ten ms, so that workers look after few
// queues, whatever is asked for. The probes' own timeout is what answers are judged by.
func roundTimeout(d time.Duration) time.Duration {
	for at := time.Millisecond; ; at *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if d <= n*at {
				return n * at
			}
		}
	}
}

// workerFor keeps targets with the same address on one worker, because flows
// that they share have one owner.
func (e *Engine) workerFor(p *plan.Target) uint8 {
	if len(p.Addrs) == 0 {
		return 0
	}
	return uint8(maphash.Comparable(e.seed, p.Addrs[0]) % uint64(len(e.workers)))
}

// localNumber returns the number of one of our addresses.
func (e *Engine) localNumber(a netip.Addr) uint32 {
	n, ok := e.numbers[a]
	if !ok {
		all := *e.locals.Load()
		n = uint32(len(all))
		e.numbers[a] = n
		grown := append(all[:n:n], a)
		e.locals.Store(&grown)
	}
	return n
}
