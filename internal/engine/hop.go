// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
)

// hop is a next hop that flows leave by. The control goroutine makes it; a
// worker that found its number in a flow may read next.
type hop struct {
	next  *netdev.NextHop
	users int // flows. Control only
}

// aim lets a flow's probes leave by this next hop. Control only, under
// Engine.mu.
func (e *Engine) aim(f *flow, nextHop netip.Addr) {
	old := f.hop.Load()
	n, known := e.byHop[nextHop]
	if known && n == old {
		return
	}
	if !known {
		n = e.hops.take(1)
		e.hops.at(n).next = e.Link.Hop(nextHop)
		e.byHop[nextHop] = n
	}
	e.hops.at(n).users++
	f.hop.Store(n)
	e.leaveHop(old)
}

// leaveHop gives a next hop up for one flow. A worker may still be sending by
// it, so its number rests.
func (e *Engine) leaveHop(n uint32) {
	if n == 0 {
		return
	}
	h := e.hops.at(n)
	if h.users--; h.users == 0 {
		delete(e.byHop, h.next.Addr)
		e.deadHops[n] = e.clock.now()
	}
}

// pruneHops frees the next hops that no worker can be using any more.
func (e *Engine) pruneHops(seen int64) {
	for n, since := range e.deadHops {
		if since < seen {
			e.hops.at(n).next.Release()
			e.hops.give(n, 1)
			delete(e.deadHops, n)
		}
	}
}
