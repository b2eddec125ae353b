// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
				gw := gatewayOf(h.Gw, h.Via)
				if h.LinkIndex == l.Index() && gw.IsValid() && !slices.Contains(all, gw) {
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
