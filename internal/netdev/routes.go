// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Routes answers for very many destinations what Link.Route answers for one: it
// asks the kernel once for all destinations that cannot have different answers.
// Those are the ones that no prefix of a routing table, no selector of a policy
// rule, and nothing that the choice of a source address looks at separates. Where
// the kernel itself tells such destinations apart, as among equal-cost next
// hops, which it chooses by a hash, it is asked for each.
//
// An exception for one destination that came after the picture, or that the
// kernel does not list, may be missed: the route that it improves on is told then.
//
// It is a picture of the moment: throw it away when Changes signals. One
// goroutine at a time may use it.
type Routes struct {
	link    *Link
	v4, v6  partition
	sources map[netip.Addr]*source
}

// source is what is known of questions with one source address.
type source struct {
	isLocal, localKnown bool
	// By cell, those of IPv6 behind those of IPv4: the answer, or the next hops of
	// equal cost where every destination stands for itself.
	answers map[int]*fibAnswer
	equal   map[int][]netip.Addr
}

// Routes takes the picture. It costs the dump of all routing tables, and an
// error is a failure to do that. What changes meanwhile is signalled by Changes.
func (l *Link) Routes() (*Routes, error) {
	r := &Routes{link: l, sources: map[netip.Addr]*source{}}
	err := l.ns.do(func() (err error) {
		if r.v4, err = l.partitionIPv4(); err != nil {
			return err
		}
		r.v6, err = l.partitionIPv6()
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Route is Link.Route. It does not allocate where a route was asked for before
// in the same cell.
func (r *Routes) Route(dst, src netip.Addr) (Route, error) { return routeFrom(r, dst, src) }

// RouteForeign is Link.RouteForeign.
func (r *Routes) RouteForeign(dst, src netip.Addr) (Route, error) { return routeForeign(r, dst, src) }

// IsLocal is Link.IsLocal, asked once for each address.
func (r *Routes) IsLocal(addr netip.Addr) (bool, error) {
	s := r.source(addr)
	if !s.localKnown {
		local, err := r.link.IsLocal(addr)
		if err != nil {
			return false, err
		}
		s.isLocal, s.localKnown = local, true
	}
	return s.isLocal, nil
}

func (r *Routes) route(dst, src netip.Addr) (Route, error) {
	family, before := &r.v4, 0
	if dst.Is6() {
		family, before = &r.v6, len(r.v4.starts)
	}
	i := family.cell(dst)
	s, cell := r.source(src), before+i
	if family.single[i] {
		return r.askSingly(s, cell, dst, src)
	}
	a := s.answers[cell]
	if a == nil {
		got, err := r.link.ask(dst, src)
		if err != nil {
			return Route{}, err
		}
		a = &got
		if !r.link.exceptional(dst, src, a) {
			s.answers[cell] = a
		}
	}
	return r.link.judge(dst, src, a)
}

const rtcfRedirected = 0x40000 // RTCF_REDIRECTED (include/uapi/linux/in_route.h)

// exceptional says whether an answer is of this destination alone, because the
// kernel was told of a better gateway for it or of its path MTU. Most of
// these make cells of their own, but the dump leaves out those of IPv4 that
// nobody has used yet (fnhe_dump_bucket in net/ipv4/route.c).
func (l *Link) exceptional(dst, src netip.Addr, a *fibAnswer) bool {
	switch {
	case a.refusal != nil:
		return false
	case dst.Is6():
		return a.flags&unix.RTM_F_CLONED != 0 // IPv4 sets it in every answer
	case a.flags&rtcfRedirected != 0:
		return true
	case a.mtu == 0:
		return false
	}
	table, err := l.get(dst, src, true)
	return err != nil || table.MTU != a.mtu
}

// askSingly asks for dst alone. Which next hop the kernel takes is this
// destination's; among which it chose is the cell's.
func (r *Routes) askSingly(s *source, cell int, dst, src netip.Addr) (Route, error) {
	a, err := r.link.ask(dst, src)
	if err != nil {
		return Route{}, err
	}
	route, err := r.link.judge(dst, src, &a)
	if err != nil || route.NextHop == dst {
		return route, err
	}
	equal, known := s.equal[cell]
	if !known {
		equal = r.link.equalCost(dst, src)
		s.equal[cell] = equal
	}
	route.EqualCost = hopsTo(dst, equal)
	return route, nil
}

func (r *Routes) source(addr netip.Addr) *source {
	s := r.sources[addr]
	if s == nil {
		s = &source{answers: map[int]*fibAnswer{}, equal: map[int][]netip.Addr{}}
		r.sources[addr] = s
	}
	return s
}
