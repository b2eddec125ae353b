// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Binding gives every leg of a target a flow and a next hop, or the reason why
// it cannot be sent. Only the control side does it, under Engine.mu.

// bind binds all legs of a target anew; a leg whose source address did not
// change keeps its flow, and so its probes under way. Legs that get another flow
// use it from the next publish on.
func (e *Engine) bind(t *target) {
	for _, s := range t.series {
		for a, dst := range t.bound {
			asked := map[netip.Addr]*answer{} // source ports do not matter to a route
			for i, src := range s.group.Sources {
				r, ok := asked[src.Addr]
				if !ok {
					r = e.ask(dst, src.Addr)
					asked[src.Addr] = r
				}
				e.bindLeg(s, &s.legs[a*len(s.group.Sources)+i], i, src, dst, r)
			}
		}
	}
}

// answer is what the kernel says of a route.
type answer struct {
	route netdev.Route
	err   error
	told  bool // the log knows
}

func (e *Engine) ask(dst, src netip.Addr) *answer {
	a := new(answer)
	if e.ForeignSource {
		a.route, a.err = e.Link.RouteForeign(dst, src)
	} else {
		a.route, a.err = e.Link.Route(dst, src)
	}
	return a
}

func (e *Engine) bindLeg(s *series, l *leg, i int, src plan.Source, dst netip.Addr, r *answer) {
	if r.err != nil {
		e.unbind(s, l, dst, e.reasonOf(r.err), r)
		return
	}
	route := r.route
	key := packet.Flow{Proto: s.typ.Proto, Local: route.Local, Remote: dst, LocalPort: src.Port, RemotePort: s.target.plan.DstPort}
	if size := packet.FrameLen(&key, &s.shape); size > min(route.MTU+ethernetHeader, e.MaxFrame) {
		e.unbind(s, l, dst, result.TooLarge, r)
		return
	}
	f := l.next
	if f == nil {
		f = l.flow.Load()
	}
	if f == nil || f.Local != key.Local || f.Remote != key.Remote {
		if s.typ.Proto == packet.ICMP {
			key.LocalPort, key.RemotePort = e.identifier(key, s), 0
		}
		if f = e.acquire(key, s, i); f == nil {
			e.unbind(s, l, dst, result.TupleBusy, r)
			return
		}
		e.release(l.next)
		l.next = f
		e.staged = append(e.staged, l)
		e.Log.Debug("target bound", "target", s.target.plan.Name, "group", s.group.Name, "address", dst, "source", key.Local, "next_hop", route.NextHop)
	}
	e.aim(f, route.NextHop)
}

// commit lets the legs use the flows that were bound to them.
func (e *Engine) commit() {
	for _, l := range e.staged {
		if l.next != nil {
			e.release(l.flow.Swap(l.next))
			l.next = nil
		}
	}
	e.staged = nil
}

// drop takes a leg's flows away.
func (e *Engine) drop(l *leg) {
	e.release(l.next)
	l.next = nil
	e.release(l.flow.Swap(nil))
}

const ethernetHeader = 14

// unbind says once why a leg cannot be sent, and not again for every source
// port of the same address.
func (e *Engine) unbind(s *series, l *leg, dst netip.Addr, why result.Reason, r *answer) {
	if l.flow.Load() != nil || result.Reason(l.why.Load()) != why || !l.told {
		l.told = true
		if !r.told {
			r.told = true
			e.Log.Warn("target cannot be sent to", "target", s.target.plan.Name, "group", s.group.Name, "address", dst, "reason", why, "error", r.err)
		}
	}
	l.why.Store(uint32(why))
	e.drop(l)
}

func (e *Engine) reasonOf(err error) result.Reason {
	if !e.Link.Up() {
		return result.LinkDown // with the interface go its routes
	}
	var other *netdev.OtherInterfaceError
	if errors.As(err, &other) {
		return result.OtherInterface
	}
	return result.NoRoute
}

// acquire returns the flow with this identity for one more user, or nil when
// another worker owns it.
func (e *Engine) acquire(key packet.Flow, s *series, src int) *flow {
	f := e.flows[key]
	if f == nil {
		f = &flow{Flow: key, hash: e.Secret.Hash(&key), owner: s.target.owner, dscp: s.group.DSCP}
		for old := range e.retired {
			if old.Flow == key && old.owner == f.owner {
				f = old
				delete(e.retired, old)
				break
			}
		}
		e.flows[key] = f
	}
	if f.owner != s.target.owner {
		return nil
	}
	f.users++
	f.needs += s.slotsNeeded(src, e.Interval)
	return f
}

// release gives a flow up. Late answers find it for a while.
func (e *Engine) release(f *flow) {
	if f == nil {
		return
	}
	if f.users--; f.users > 0 {
		return
	}
	delete(e.flows, f.Flow)
	e.retired[f] = time.Now().Add(time.Minute)
}

// prune forgets the retired flows that no answer can belong to any more.
func (e *Engine) prune() {
	e.mu.Lock()
	defer e.mu.Unlock()
	pruned := false
	for f, until := range e.retired {
		if time.Now().After(until) {
			f.hop.Load().Release()
			delete(e.retired, f)
			pruned = true
		}
	}
	if !pruned {
		return
	}
	if err := e.publish(); err != nil {
		e.Log.Error("cannot update the XDP program", "error", err)
	}
}

// aim lets a flow's probes leave by this next hop.
func (e *Engine) aim(f *flow, nextHop netip.Addr) {
	old := f.hop.Load()
	if old != nil && old.Addr == nextHop {
		return
	}
	f.hop.Store(e.Link.Hop(nextHop))
	if old != nil {
		old.Release()
	}
}

// identifier chooses an echo identifier for a flow: the same at every start
// where possible, because identifiers are paths to devices that hash them, and
// its own, because the flow is found by it.
func (e *Engine) identifier(key packet.Flow, s *series) uint16 {
	h := fnv.New32a()
	h.Write([]byte(s.target.plan.Name + "\x00" + s.group.Name))
	key.RemotePort = 0
	for id := uint16(h.Sum32()) | 1; ; id++ {
		key.LocalPort = id
		if _, taken := e.flows[key]; !taken {
			return id
		}
	}
}

// rebind asks for all routes again after something changed.
func (e *Engine) rebind() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.targets {
		e.bind(t)
	}
	if err := e.publish(); err != nil {
		e.Log.Error("cannot update the XDP program", "error", err)
	}
}
