// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Hop is one way out. Via alone is a gateway on a connected network; a
// link-local gateway needs On as well; On alone is an on-link route.
type Hop struct {
	Via string
	On  *End
}

// The default routes.
const (
	Default4 = "0.0.0.0/0"
	Default6 = "::/0"
)

// SetRoute sends a prefix by one hop, or by several of equal cost. It
// replaces the route there was, so calling it again moves the route.
func (h *Host) SetRoute(prefix string, hops ...Hop) {
	if h.lab.err != nil {
		return
	}
	h.lab.fail(h.setRoute(prefix, hops))
}

func (h *Host) setRoute(prefix string, hops []Hop) error {
	dst, err := netip.ParsePrefix(prefix)
	if err != nil {
		return fmt.Errorf("route of %s: %w", h.Name, err)
	}
	if len(hops) == 0 {
		return fmt.Errorf("route to %s of %s: at least one hop is needed", prefix, h.Name)
	}
	route := &netlink.Route{Dst: ipNet(dst.Masked())}
	var multi []*netlink.NexthopInfo
	for _, hop := range hops {
		var gw net.IP
		if hop.Via != "" {
			via, err := netip.ParseAddr(hop.Via)
			if err != nil {
				return fmt.Errorf("route to %s of %s: gateway: %w", prefix, h.Name, err)
			}
			gw = via.AsSlice()
		}
		index := 0
		if hop.On != nil {
			index = hop.On.Index
		}
		multi = append(multi, &netlink.NexthopInfo{Gw: gw, LinkIndex: index})
	}
	if len(multi) == 1 {
		route.Gw, route.LinkIndex = multi[0].Gw, multi[0].LinkIndex
		if route.Gw == nil && dst.Addr().Is4() {
			route.Scope = netlink.SCOPE_LINK
		}
	} else {
		route.MultiPath = multi
	}
	if err := h.nl.RouteReplace(route); err != nil {
		return fmt.Errorf("setting route to %s of %s: %w", prefix, h.Name, err)
	}
	return nil
}

// DelRoute takes the route to a prefix away.
func (h *Host) DelRoute(prefix string) {
	if h.lab.err != nil {
		return
	}
	dst, err := netip.ParsePrefix(prefix)
	if err == nil {
		err = h.nl.RouteDel(&netlink.Route{Dst: ipNet(dst.Masked())})
	}
	if err != nil {
		h.lab.fail(fmt.Errorf("removing route to %s of %s: %w", prefix, h.Name, err))
	}
}

// SetNeighbour fixes the hardware address of a neighbour, which is then
// never asked for.
func (e *End) SetNeighbour(addr string, mac net.HardwareAddr) {
	l := e.Host.lab
	if l.err != nil {
		return
	}
	ip, err := netip.ParseAddr(addr)
	if err == nil {
		err = e.Host.nl.NeighSet(&netlink.Neigh{
			LinkIndex: e.Index, State: netlink.NUD_PERMANENT, IP: ip.AsSlice(), HardwareAddr: mac,
		})
	}
	if err != nil {
		l.fail(fmt.Errorf("setting neighbour %s on %s of %s: %w", addr, e.Name, e.Host.Name, err))
	}
}
