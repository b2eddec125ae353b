// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// How targets are probed once: they are entered and bound as all others, wait until
// their next hops are known, and leave the schedule after their last probe. What
// comes of them goes to their Watch alone.

// restingOnce is how long the flows and the place of a target that was probed once
// are kept when it is forgotten: a TCP peer whose answer comes that late still gets
// its reset. It is short, because there may be 200,000 such flows a second.
const restingOnce = time.Second

// Once returns a Watch for targets that are probed once. Room is how many probes may
// be told of without being read.
func (e *Engine) Once(room int) *Watch {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.newWatch(2 * room) // an answer and how it counts
	w.once = true
	return w
}

// Add makes targets known, whose Once is set. They are probed from Begin on. Their flows are
// theirs alone: where another target uses a source port to the same address and port,
// probes are not sent, reason tuple_busy.
func (w *Watch) Add(plans ...*plan.Target) error {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	addrs := 0
	for _, p := range plans {
		addrs += len(p.Addrs)
	}
	from := e.routerFor(addrs)
	for _, p := range plans {
		n := e.admit(from, p)
		t := e.targets.at(n)
		for g := range p.Groups {
			e.series.at(t.series + uint32(g)).watch.Store(w)
		}
		t.state.Or(targetLeft) // until Begin
		e.heldOnce += legsOf(p)
		w.know(n, p)
	}
	return e.publish()
}

// Pending says whether some next hop of the targets was asked for its MAC address
// and may still answer.
func (w *Watch) Pending(plans ...*plan.Target) bool {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	looked := uint32(0) // the hop that was seen to be known last: mostly all have the same
	for _, p := range plans {
		pending := false
		e.eachLeg(e.targets.at(w.numbers[p]), func(leg uint32) {
			flow, _ := e.legs.at(leg).way()
			if pending || flow == 0 {
				return
			}
			hop := e.flows.at(flow).hop.Load()
			if hop == looked {
				return
			}
			state, _ := e.hops.at(hop).next.Load()
			if pending = state == netdev.HopPending; !pending {
				looked = hop
			}
		})
		if pending {
			return true
		}
	}
	return false
}

// Begin lets the targets be probed: each at this time and its phase. A worker
// may take up to longestSleep to hear of it.
func (w *Watch) Begin(at time.Time, plans ...*plan.Target) {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.clock.now() + int64(time.Until(at))
	given := make([][]uint32, len(e.workers))
	for _, p := range plans {
		n := w.numbers[p]
		if t := e.targets.at(n); p.Probes() > 0 {
			t.state.And(^uint32(targetLeft))
			t.cycle = first + int64(p.Phase) // no worker knows it yet
			given[t.owner()] = append(given[t.owner()], n)
		}
	}
	for i, to := range e.workers {
		if len(given[i]) > 0 {
			to.give(given[i], slices.Clone(e.timeouts))
		}
	}
}

// Forget ends the probing of targets, whether they had all their probes or not, and
// gives back what they held. Nothing more is told of them.
func (w *Watch) Forget(plans ...*plan.Target) error {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range plans {
		n, known := w.numbers[p]
		if !known {
			continue
		}
		t := e.targets.at(n)
		t.state.Or(targetGone)
		e.leave(n, t)
		delete(w.numbers, p)
		delete(w.targets, n)
	}
	return nil
}

// HeldOnce is how many paths are held for targets that are or were probed once: from
// Add until some seconds after Forget.
func (e *Engine) HeldOnce() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heldOnce
}

// legsOf is how many paths lead to the addresses of a target.
func legsOf(p *plan.Target) (n int) {
	for g := range p.Groups {
		n += len(p.Addrs) * len(p.Groups[g].Sources)
	}
	return n
}

// pruneOnceEvery is how often what such targets leave is given back.
const pruneOnceEvery = int64(time.Second)

// pruneOnce gives back sooner what targets that were probed once leave.
func (e *Engine) pruneOnce() {
	e.mu.Lock()
	now := e.clock.now()
	wanted := e.heldOnce > 0 && now-e.pruned > pruneOnceEvery
	if wanted {
		e.pruned = now
	}
	e.mu.Unlock()
	if wanted {
		e.prune()
	}
}
