// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// keepFresh is the neighbour goroutine: it asks next hops, hears their answers,
// and is the only one that writes to a NextHop.
func (l *Link) keepFresh(hops *neighbours, asks *askSockets) {
	defer func() {
		asks.close()
		for { // a Reopen that nobody saw
			select {
			case e := <-l.events:
				if r, ok := e.(reopened); ok {
					r.asks.close()
				}
			default:
				return
			}
		}
	}()
	l.hear(asks)
	var frame [packet.NeighbourLen]byte
	var linkLocal netip.Addr // of the interface; zero: to be looked up
	timer := time.NewTimer(0)
	defer timer.Stop()
	handle := func(e any) {
		switch e := e.(type) {
		case answer:
			hops.heard(e.Neighbour, e.sender, time.Now())
		case kernelChanged:
			if hops.kernelSays(e.addr, e.entry, e.known, time.Now()) {
				l.signal()
			}
		case kernelReplaced:
			if hops.kernelTable(e, time.Now()) {
				l.signal()
			}
		case sourcesChanged:
			hops.forgetSources()
			linkLocal = netip.Addr{}
		case reopened:
			asks.close()
			asks = e.asks
			l.hear(asks)
			hops.linkDown()
			hops.kernelTable(e.table, time.Now())
			hops.forgetSources()
			linkLocal = netip.Addr{}
			if l.Up() {
				hops.linkUp(time.Now())
			}
			l.signal()
		case linkChanged:
			if e.up {
				hops.linkUp(time.Now())
			} else {
				hops.linkDown()
			}
		}
	}
	for {
		// What has arrived counts before anybody is declared silent, though others must be
		// asked however much arrives.
	arrived:
		for range cap(l.events) + askBurst {
			select {
			case e := <-l.events:
				handle(e)
			default:
				break arrived
			}
		}
		for {
			n, unicast, again := hops.next(time.Now())
			if n == nil {
				if again.IsZero() {
					timer.Stop()
				} else {
					timer.Reset(time.Until(again))
				}
				break
			}
			if !n.src.IsValid() {
				n.src = l.askAs(n.hop.Addr, &linkLocal)
			}
			if n.hop.Addr.Is6() && n.src.IsUnspecified() {
				// Without an address nobody can answer us: while ours are being
				// checked for duplicates, for one or two seconds after the link is up.
				n.unasked()
				continue
			}
			if err := asks.ask(frame[:], l.MAC(), n.src, n.hop.Addr, n.mac, unicast); err != nil {
				l.log.Debug("a neighbour could not be asked", "address", n.hop.Addr, "error", err)
				n.unasked()
			}
		}
		select {
		case <-l.stop:
			return
		case <-timer.C:
		case <-l.watch.wake:
			for _, c := range l.watch.take() {
				if c.inUse {
					hops.add(c.hop, time.Now())
				} else {
					hops.remove(c.hop)
				}
			}
		case e := <-l.events:
			handle(e)
		}
	}
}

// askAs returns the address of ours to ask addr as. IPv6: the interface's
// link-local address, as a neighbour always has a way back to it. Otherwise
// the kernel's choice for that destination. It is unspecified when there is none: an
// IPv4 neighbour answers such a probe as well (RFC 5227).
func (l *Link) askAs(addr netip.Addr, linkLocal *netip.Addr) netip.Addr {
	none := netip.IPv4Unspecified()
	if addr.Is6() {
		none = netip.IPv6Unspecified()
		if !linkLocal.IsValid() {
			*linkLocal = l.linkLocal()
		}
		if linkLocal.IsValid() {
			return *linkLocal
		}
	}
	routes, err := l.nl.RouteGetWithOptions(addr.AsSlice(), &netlink.RouteGetOptions{OifIndex: l.Index()})
	if err != nil || len(routes) == 0 {
		return none
	}
	src, ok := netip.AddrFromSlice(routes[0].Src)
	if !ok {
		return none
	}
	return src
}

// linkLocal returns a link-local address of the interface that is no longer
// being checked for duplicates, or the zero Addr.
func (l *Link) linkLocal() netip.Addr {
	all, err := l.nl.AddrList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index()}}, netlink.FAMILY_V6)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range all {
		addr, ok := netip.AddrFromSlice(a.IP)
		if ok && addr.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			return addr
		}
	}
	return netip.Addr{}
}
