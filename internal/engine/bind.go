// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Binding gives every leg of a target a flow and a next hop, or the reason why
// it cannot be sent. Only the control side does it, under Engine.mu.

// address returns where a target's address a leads now: the plan's, until Move.
func (e *Engine) address(target uint32, a int) netip.Addr {
	if to, moved := e.moved[target]; moved {
		return to
	}
	return e.targets.at(target).plan.Addrs[a]
}

// bind binds all legs of a target anew; a leg whose source address did not
// change keeps its flow, and so its probes under way. Legs that get another flow
// use it from the next publish on.
func (e *Engine) bind(from router, target uint32) {
	t := e.targets.at(target)
	for g := range t.plan.Groups {
		group := &t.plan.Groups[g]
		s := e.series.at(t.series + uint32(g))
		for a := range t.plan.Addrs {
			dst := e.address(target, a)
			var r answer
			for i, src := range group.Sources {
				if i == 0 || r.src != src.Addr { // source ports do not matter to a route
					r = e.ask(from, dst, src.Addr)
				}
				e.bindLeg(t, group, s, s.legs+uint32(a*len(group.Sources)+i), i, dst, &r)
			}
		}
	}
}

// bindFitting binds a target, and notes it for later where a flow that it needs
// belongs to another worker. It returns that flow, or nil.
func (e *Engine) bindFitting(from router, target uint32) *flow {
	e.inTheWay = nil
	e.bind(from, target)
	if e.inTheWay != nil {
		if e.waiting == nil {
			e.waiting = map[uint32]bool{}
		}
		e.waiting[target] = e.inTheWay.users == 0
	}
	return e.inTheWay
}

// answer is what the kernel says of a route.
type answer struct {
	src   netip.Addr
	route netdev.Route
	err   error
	told  bool // the log knows
}

func (e *Engine) ask(from router, dst, src netip.Addr) answer {
	a := answer{src: src}
	if e.Lists.Blocked(dst) {
		a.err = errBlocked
		return a
	}
	if e.ForeignSource {
		a.route, a.err = from.RouteForeign(dst, src)
	} else {
		a.route, a.err = from.Route(dst, src)
	}
	return a
}

// router is what is asked for routes: the kernel, or what it said of all of
// them a moment ago.
type router interface {
	Route(dst, src netip.Addr) (netdev.Route, error)
	RouteForeign(dst, src netip.Addr) (netdev.Route, error)
}

// few is how many targets are asked for one by one.
const few = 16

// routerFor returns whom to ask for the routes of this many targets.
func (e *Engine) routerFor(targets int) router {
	if targets > few {
		all, err := e.Link.Routes()
		if err == nil {
			return all
		}
		e.Log.Debug("cannot read all routes; asking for each", "error", err)
	}
	return e.Link
}

func (e *Engine) bindLeg(t *target, group *plan.Group, s *series, leg uint32, i int, dst netip.Addr, r *answer) {
	if r.err != nil {
		e.unbind(t, group, leg, dst, e.reasonOf(r.err), r.err, r)
		return
	}
	route := r.route
	key := packet.Flow{Proto: s.class.typ.Proto, Local: route.Local, Remote: dst, LocalPort: group.Sources[i].Port, RemotePort: t.plan.DstPort}
	if size := packet.FrameLen(&key, &s.class.shape); size > min(route.MTU+ethernetHeader, e.maxFrame) {
		e.unbind(t, group, leg, dst, result.TooLarge, e.tooLarge(size, route.MTU), r)
		return
	}
	n, staged := e.staged[leg]
	if !staged {
		n, _ = e.legs.at(leg).way()
	}
	if n == 0 || !e.leads(n, key.Local, key.Remote) {
		if key.Proto == packet.ICMP {
			var free bool
			if key.LocalPort, free = e.identifier(key, t, group); !free {
				e.unbind(t, group, leg, dst, result.TupleBusy, errIdentifiers, r)
				return
			}
			key.RemotePort = 0
		}
		if staged {
			e.release(n)
			delete(e.staged, leg)
		}
		if n = e.acquire(key, t, group, i); n == 0 {
			e.unbind(t, group, leg, dst, result.TupleBusy, errInUse, r)
			return
		}
		e.staged[leg] = n
	}
	e.aim(e.flows.at(n), route.NextHop)
	if !t.plan.Once {
		e.sayTaken(t.plan.Name, dst, route)
	}
}

// maxTaken bounds the addresses of which is said which next hop is taken.
const maxTaken = 256

// sayTaken says once which of several next hops of equal cost the kernel takes
// to an address, and so we.
func (e *Engine) sayTaken(target string, dst netip.Addr, route netdev.Route) {
	if len(route.EqualCost) < 2 {
		if len(e.taken) > 0 {
			delete(e.taken, dst)
		}
		return
	}
	if before, said := e.taken[dst]; before == route.NextHop || !said && len(e.taken) == maxTaken {
		return
	}
	e.taken[dst] = route.NextHop
	e.Log.Info("next hops of equal cost", "target", target, "address", dst, "taken", route.NextHop, "of", route.EqualCost)
}

// leads says whether a flow is between these addresses.
func (e *Engine) leads(n uint32, local, remote netip.Addr) bool {
	f := e.flows.at(n)
	return f.remote == remote.As16() && (*e.locals.Load())[f.local] == local
}

// commit lets the legs use the flows that were bound to them.
func (e *Engine) commit() {
	for leg, n := range e.staged {
		l := e.legs.at(leg)
		old, _ := l.way()
		l.flow.Store(n)
		e.release(old)
	}
	e.staged = map[uint32]uint32{} // not cleared: it may have been large
}

// drop takes a leg's flows away.
func (e *Engine) drop(leg uint32, why result.Reason) {
	if n, staged := e.staged[leg]; staged {
		e.release(n)
		delete(e.staged, leg)
	}
	l := e.legs.at(leg)
	n, _ := l.way()
	l.flow.Store(unsendable | uint32(why))
	e.release(n)
}

const ethernetHeader = 14

// unbind says once why a leg cannot be sent, and not again for every source
// port of the same address.
func (e *Engine) unbind(t *target, group *plan.Group, leg uint32, dst netip.Addr, why result.Reason, err error, r *answer) {
	if t.plan.Once { // whoever asked is told of each probe
		e.drop(leg, why)
		return
	}
	l := e.legs.at(leg)
	if flow, before := l.way(); flow != 0 || before != why || !l.told {
		l.told = true
		if !r.told {
			r.told = true
			e.Log.Warn("target cannot be sent to", "target", t.plan.Name, "group", group.Name, "address", dst, "reason", why, "error", err)
		}
	}
	e.drop(leg, why)
	// Whatever the reason: a link that is down may have given its routes to another.
	if errors.As(err, new(*netdev.OtherInterfaceError)) && (len(e.astray) == 0 || e.astray[len(e.astray)-1] != t.plan.Name) {
		e.astray = append(e.astray, t.plan.Name)
	}
}

// errIdentifiers says that more targets ping an address than can be told apart.
var errIdentifiers = errors.New("65,536 pings of this address have all echo identifiers; make them one target with more nb_packets, or fewer targets or groups")

// tooLarge says why a frame of size bytes is not sent over a route with this MTU,
// and what to do.
func (e *Engine) tooLarge(size, mtu int) error {
	size -= ethernetHeader
	if most := e.maxFrame - ethernetHeader; most < mtu {
		return fmt.Errorf("a packet would have %d bytes, and AF_XDP sockets hold %d on this interface: lower ip_payload_size by %d", size, most, size-most)
	}
	return fmt.Errorf("a packet would have %d bytes, and the MTU of the route is %d: lower ip_payload_size by %d, or raise the MTU", size, mtu, size-mtu)
}

// errInUse says that a path carries another worker's probes.
var errInUse = errors.New("another target uses the same source port to the same address and port, or did until a moment ago; if it goes on, give their groups source ports of their own")

// errBlocked says that nothing may be sent to an address.
var errBlocked = errors.New("safety.block_file holds the address, or safety.allow_file does not")

func (e *Engine) reasonOf(err error) result.Reason {
	if errors.Is(err, errBlocked) {
		return result.Blocked
	}
	if !e.Link.Up() {
		return result.LinkDown // with the interface go its routes
	}
	var other *netdev.OtherInterfaceError
	if errors.As(err, &other) {
		return result.OtherInterface
	}
	return result.NoRoute
}

// rebind asks for all routes again after something changed.
func (e *Engine) rebind() {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := e.routerFor(int(e.targets.used))
	for n := uint32(1); n < e.targets.used; n++ {
		if t := e.targets.at(n); t.plan != nil && !t.gone() {
			e.bindFitting(from, n)
		}
	}
	if err := e.publish(); err != nil {
		e.Log.Error("cannot update the XDP program", "error", err)
	}
	if e.Astray != nil && len(e.astray) > 0 {
		e.Astray(e.astray)
	}
	e.astray = nil
}
