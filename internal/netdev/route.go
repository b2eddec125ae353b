// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Why there is no route to a destination. Test with errors.Is.
var (
	// ErrNoRoute: the kernel has no route, or one that says unreachable,
	// prohibit, blackhole or throw.
	ErrNoRoute = errors.New("no route")
	// ErrLocal: the destination is an address of this host.
	ErrLocal = errors.New("the destination is this host")
	// ErrNotLocalSource: the source is not an address of this host.
	ErrNotLocalSource = errors.New("the source is not an address of this host")
)

// OtherInterfaceError says that the kernel sends by another interface.
type OtherInterfaceError struct{ Name string }

// Error names the interface.
func (e *OtherInterfaceError) Error() string {
	return "the route leaves by interface " + e.Name
}

// Route asks the kernel where a packet to dst leaves, as policy rules, tables
// and the source say. src is the zero Addr for the kernel's choice, else an
// address that the kernel calls local. Nothing is cached: an answer is the
// kernel's of this moment; for many destinations there is Routes. The error is, or
// wraps, ErrNoRoute, ErrLocal, ErrNotLocalSource or *OtherInterfaceError;
// anything else is a failure to ask.
func (l *Link) Route(dst, src netip.Addr) (Route, error) { return routeFrom(l, dst, src) }

// RouteForeign is Route for a source that need not be local: where it is not, the
// route is that of the kernel's own choice of source, and Local is src.
func (l *Link) RouteForeign(dst, src netip.Addr) (Route, error) { return routeForeign(l, dst, src) }

// oracle answers about routes: Link by asking the kernel each time, Routes from
// a snapshot.
type oracle interface {
	IsLocal(netip.Addr) (bool, error)
	// route is for a src that is local, or the zero Addr; both are of one family.
	route(dst, src netip.Addr) (Route, error)
}

func routeFrom(o oracle, dst, src netip.Addr) (Route, error) {
	if src.IsValid() {
		local, err := o.IsLocal(src)
		if err != nil {
			return Route{}, err
		}
		if !local {
			return Route{}, fmt.Errorf("route to %s from %s: %w", dst, src, ErrNotLocalSource)
		}
		if src.Is4() != dst.Is4() {
			return Route{}, otherFamily(dst, src)
		}
	}
	return o.route(dst, src)
}

func routeForeign(o oracle, dst, src netip.Addr) (Route, error) {
	if !src.IsValid() {
		return o.route(dst, src)
	}
	if src.Is4() != dst.Is4() {
		return Route{}, otherFamily(dst, src)
	}
	local, err := o.IsLocal(src)
	if err != nil {
		return Route{}, err
	}
	if local {
		return o.route(dst, src)
	}
	r, err := o.route(dst, netip.Addr{})
	if err == nil {
		r.Local = src
	}
	return r, err
}

func otherFamily(dst, src netip.Addr) error {
	return fmt.Errorf("route to %s from %s: %w of the same family", dst, src, ErrNotLocalSource)
}

func (l *Link) route(dst, src netip.Addr) (Route, error) {
	a, err := l.ask(dst, src)
	if err != nil {
		return Route{}, err
	}
	r, err := l.judge(dst, src, &a)
	if err == nil && r.NextHop != dst {
		r.EqualCost = hopsTo(dst, l.equalCost(dst, src))
	}
	return r, err
}

// fibAnswer is what the kernel says of a destination, without anything that names
// the destination.
type fibAnswer struct {
	refusal error      // wraps ErrNoRoute; the rest is meaningless then
	kind    int        // RTN_*
	other   string     // the interface, where that is not the Link's
	gateway netip.Addr // zero: on-link
	source  netip.Addr // the kernel's choice, or the one asked for
	mtu     int        // of the route; 0: the interface's
	flags   int        // RTM_F_*, RTCF_*
}

// ask puts one question to the kernel. An error is a failure to ask.
func (l *Link) ask(dst, src netip.Addr) (fibAnswer, error) {
	got, err := l.get(dst, src, false)
	switch {
	case errors.Is(err, ErrNoRoute):
		return fibAnswer{refusal: err}, nil
	case err != nil:
		return fibAnswer{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, err)
	}
	a := fibAnswer{kind: got.Type, gateway: gatewayOf(got.Gw, got.Via), source: src, mtu: got.MTU, flags: got.Flags}
	if a.kind == unix.RTN_UNICAST && got.LinkIndex != l.Index() {
		a.other = l.nameOf(got.LinkIndex)
	}
	if !src.IsValid() {
		a.source, _ = netip.AddrFromSlice(got.Src)
	}
	return a, nil
}

// judge makes of an answer the route to dst, or the reason why there is none.
// It does not allocate when there is one.
func (l *Link) judge(dst, src netip.Addr, a *fibAnswer) (Route, error) {
	switch {
	case a.refusal != nil:
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, a.refusal)
	case a.kind == unix.RTN_LOCAL || a.kind == unix.RTN_ANYCAST:
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, ErrLocal)
	case a.kind != unix.RTN_UNICAST:
		return Route{}, fmt.Errorf("route to %s%s: %w: its type is %s", dst, l.ns, ErrNoRoute, routeType(a.kind))
	case a.other != "":
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, &OtherInterfaceError{a.other})
	}
	r := Route{Local: a.source, NextHop: a.gateway, MTU: l.MTU()}
	if !r.NextHop.IsValid() {
		r.NextHop = dst
	}
	// RFC 4291 section 2.5.6: a router must not forward from a link-local
	// source, so every probe would be lost by our own fault.
	if !r.Local.IsValid() || r.Local.Is6() && r.Local.IsLinkLocalUnicast() && r.NextHop != dst {
		return Route{}, fmt.Errorf("route to %s%s: %w: no address of this host can be its source", dst, l.ns, ErrNoRoute)
	}
	if a.mtu > 0 && a.mtu < r.MTU {
		r.MTU = a.mtu
	}
	return r, nil
}

// get asks for one route; with match, for the entry of the table that matches
// instead of the one next hop that the kernel chooses.
func (l *Link) get(dst, src netip.Addr, match bool) (*netlink.Route, error) {
	o := &netlink.RouteGetOptions{FIBMatch: match}
	if src.IsValid() {
		o.SrcAddr = src.AsSlice()
	}
	if dst.Is6() && dst.IsLinkLocalUnicast() {
		o.OifIndex = l.Index()
	}
	routes, err := l.nl.RouteGetWithOptions(dst.AsSlice(), o)
	// The errors of fib_props (net/ipv4/fib_semantics.c) and ip6_rt_type_to_error.
	switch {
	case err == nil && len(routes) > 0:
		return &routes[0], nil
	case err == nil, errors.Is(err, unix.ENETUNREACH):
		return nil, ErrNoRoute
	case errors.Is(err, unix.EHOSTUNREACH):
		return nil, fmt.Errorf("%w: the route says unreachable", ErrNoRoute)
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("%w: the route says prohibit", ErrNoRoute)
	case errors.Is(err, unix.EINVAL):
		return nil, fmt.Errorf("%w: the route says blackhole", ErrNoRoute)
	case errors.Is(err, unix.EAGAIN):
		return nil, fmt.Errorf("%w: the route says throw", ErrNoRoute)
	}
	return nil, fmt.Errorf("ask the kernel: %w", err)
}

// equalCost returns the living next hops of the route that matches, when there
// are several: sorted, and first, as zero, those that are the destination itself.
func (l *Link) equalCost(dst, src netip.Addr) []netip.Addr {
	got, err := l.get(dst, src, true)
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, n := range got.MultiPath {
		if n.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) == 0 {
			all = append(all, gatewayOf(n.Gw, n.Via))
		}
	}
	if len(all) < 2 {
		return nil
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// hopsTo is what equalCost returned, for one destination.
func hopsTo(dst netip.Addr, equal []netip.Addr) []netip.Addr {
	if len(equal) == 0 || equal[0].IsValid() {
		return equal
	}
	all := slices.Clone(equal)
	for i := range all {
		if !all[i].IsValid() {
			all[i] = dst
		}
	}
	return all
}

// gatewayOf is the router of a route, zero for none. An IPv4 route may have an
// IPv6 gateway (RFC 5549, RTA_VIA).
func gatewayOf(gw net.IP, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && v != nil {
		if a, ok := netip.AddrFromSlice(v.Addr); ok {
			return a
		}
	}
	a, _ := netip.AddrFromSlice(gw)
	return a
}

func routeType(t int) string {
	switch t {
	case unix.RTN_BROADCAST:
		return "broadcast"
	case unix.RTN_MULTICAST:
		return "multicast"
	case unix.RTN_BLACKHOLE:
		return "blackhole"
	case unix.RTN_UNREACHABLE:
		return "unreachable"
	case unix.RTN_PROHIBIT:
		return "prohibit"
	}
	return fmt.Sprint(t)
}

func (l *Link) nameOf(index int) string {
	if link, err := l.nl.LinkByIndex(index); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprintf("with index %d", index)
}

// IsLocal says whether the kernel calls addr one of its own: an address of an
// interface, or one of a whole subnet that is routed to this host (AnyIP).
func (l *Link) IsLocal(addr netip.Addr) (bool, error) {
	got, err := l.get(addr, netip.Addr{}, false)
	switch {
	case err == nil:
		return got.Type == unix.RTN_LOCAL, nil
	case errors.Is(err, ErrNoRoute):
		return false, nil
	}
	return false, fmt.Errorf("is %s an address of this host%s: %w", addr, l.ns, err)
}
