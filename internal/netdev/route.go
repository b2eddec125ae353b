// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"cmp"
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
// kernel's of this moment. The error is, or wraps, ErrNoRoute, ErrLocal,
// ErrNotLocalSource or *OtherInterfaceError; anything else is a failure to ask.
func (l *Link) Route(dst, src netip.Addr) (Route, error) {
	if src.IsValid() {
		local, err := l.IsLocal(src)
		if err != nil {
			return Route{}, err
		}
		if !local {
			return Route{}, fmt.Errorf("route to %s from %s: %w", dst, src, ErrNotLocalSource)
		}
	}
	return l.route(dst, src)
}

// RouteForeign is Route for a source that need not be local: where it is not, the
// route is that of the kernel's own choice of source, and Local is src.
func (l *Link) RouteForeign(dst, src netip.Addr) (Route, error) {
	if !src.IsValid() {
		return l.route(dst, src)
	}
	local, err := l.IsLocal(src)
	if err != nil {
		return Route{}, err
	}
	if local || src.Is4() != dst.Is4() {
		return l.route(dst, src)
	}
	r, err := l.route(dst, netip.Addr{})
	if err == nil {
		r.Local = src
	}
	return r, err
}

func (l *Link) route(dst, src netip.Addr) (Route, error) {
	if src.IsValid() && src.Is4() != dst.Is4() {
		return Route{}, fmt.Errorf("route to %s from %s: %w of the same family", dst, src, ErrNotLocalSource)
	}
	got, err := l.get(dst, src, false)
	if err != nil {
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, err)
	}
	switch got.Type {
	case unix.RTN_UNICAST:
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, ErrLocal)
	default:
		return Route{}, fmt.Errorf("route to %s%s: %w: its type is %s", dst, l.ns, ErrNoRoute, routeType(got.Type))
	}
	if got.LinkIndex != l.index {
		return Route{}, fmt.Errorf("route to %s%s: %w", dst, l.ns, &OtherInterfaceError{l.nameOf(got.LinkIndex)})
	}
	r := Route{Local: src, NextHop: hopOf(dst, got.Gw, got.Via), MTU: l.MTU()}
	if !src.IsValid() {
		r.Local, _ = netip.AddrFromSlice(got.Src)
	}
	// RFC 4291 section 2.5.6: a router must not forward from a link-local
	// source, so every probe would be lost by our own fault.
	if !r.Local.IsValid() || r.Local.Is6() && r.Local.IsLinkLocalUnicast() && r.NextHop != dst {
		return Route{}, fmt.Errorf("route to %s%s: %w: no address of this host can be its source", dst, l.ns, ErrNoRoute)
	}
	if got.MTU > 0 && got.MTU < r.MTU {
		r.MTU = got.MTU
	}
	if r.NextHop != dst {
		r.EqualCost = l.equalCost(dst, src)
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
		o.OifIndex = l.index
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
// are several.
func (l *Link) equalCost(dst, src netip.Addr) []netip.Addr {
	got, err := l.get(dst, src, true)
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, n := range got.MultiPath {
		if n.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) == 0 {
			all = append(all, hopOf(dst, n.Gw, n.Via))
		}
	}
	if len(all) < 2 {
		return nil
	}
	return all
}

// hopOf is the address to find the MAC of. An IPv4 route may have an IPv6
// gateway (RFC 5549, RTA_VIA).
func hopOf(dst netip.Addr, gw net.IP, via netlink.Destination) netip.Addr {
	if v, ok := via.(*netlink.Via); ok && v != nil {
		if a, ok := netip.AddrFromSlice(v.Addr); ok {
			return a
		}
	}
	if a, ok := netip.AddrFromSlice(gw); ok {
		return a
	}
	return dst
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

// Gateways returns the gateways of default routes that leave by this interface,
// IPv4 before IPv6 and the preferred first. A route of any table counts; those
// of the main table come first.
func (l *Link) Gateways() ([]netip.Addr, error) {
	all := []netip.Addr{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		var routes []netlink.Route
		err := l.nl.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if ones, _ := r.Dst.Mask.Size(); ones == 0 && r.Type == unix.RTN_UNICAST {
				routes = append(routes, r)
			}
			return true
		})
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("list default routes%s: %w", l.ns, err)
		}
		slices.SortStableFunc(routes, func(a, b netlink.Route) int {
			return cmp.Or(cmp.Compare(tableRank(a), tableRank(b)), cmp.Compare(a.Priority, b.Priority))
		})
		for _, r := range routes {
			hops := r.MultiPath
			if len(hops) == 0 {
				hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via}}
			}
			for _, h := range hops {
				gw := hopOf(netip.Addr{}, h.Gw, h.Via)
				if h.LinkIndex == l.index && gw.IsValid() && !slices.Contains(all, gw) {
					all = append(all, gw)
				}
			}
		}
	}
	return all, nil
}

func tableRank(r netlink.Route) int {
	if r.Table == unix.RT_TABLE_MAIN {
		return 0
	}
	return 1
}
