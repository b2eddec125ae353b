// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settle is how long changes are gathered before they are signalled.
const settle = 50 * time.Millisecond

// Events for the neighbour goroutine, besides answer.
type (
	// linkChanged: the link is up with carrier, or it is not.
	linkChanged struct{ up bool }
	// sourcesChanged: an address or a route came or went.
	sourcesChanged struct{}
	// kernelChanged is one change of the kernel's neighbour table.
	kernelChanged struct {
		addr  netip.Addr
		entry kernelEntry
		known bool
	}
	// kernelReplaced is the kernel's whole table.
	kernelReplaced map[netip.Addr]kernelEntry
	// reopened: the Link is another interface now.
	reopened struct {
		asks  *askSockets
		table map[netip.Addr]kernelEntry
	}
)

// groups are the netlink multicast groups that can change where a packet goes.
var groups = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
	unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_NEXTHOP,
}

func (l *Link) subscribe() (*nl.NetlinkSocket, error) {
	var s *nl.NetlinkSocket
	err := l.ns.do(func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, groups...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes of links, routes and neighbours%s: %w", l.ns, err)
	}
	// Refused above net.core.rmem_max without CAP_NET_ADMIN; a small buffer only
	// overflows earlier.
	_ = s.SetReceiveBufferSize(1<<20, true)
	return s, nil
}

// follow reads the kernel's announcements until Close. After an overflow it
// begins anew and has everything asked again.
func (l *Link) follow(sub *nl.NetlinkSocket) {
	for {
		// The socket is closed here, or while read waits in it.
		ended := make(chan struct{})
		go func(s *nl.NetlinkSocket) {
			select {
			case <-l.stop:
			case <-ended:
			}
			s.Close()
		}(sub)
		err := l.read(sub)
		close(ended)
		if l.stopped(0) {
			return
		}
		l.log.Warn("announcements of the kernel were missed; everything is asked again", "error", err)
		for {
			if sub, err = l.subscribe(); err == nil {
				break
			}
			l.log.Warn("try again in a second", "error", err)
			if l.stopped(time.Second) {
				return
			}
		}
		l.resync()
	}
}

// stopped waits up to d for Close.
func (l *Link) stopped(d time.Duration) bool {
	select {
	case <-l.stop:
		return true
	default:
	}
	if d == 0 {
		return false
	}
	select {
	case <-l.stop:
		return true
	case <-time.After(d):
		return false
	}
}

func (l *Link) read(sub *nl.NetlinkSocket) error {
	for {
		msgs, from, err := sub.Receive()
		if err != nil {
			return err
		}
		if from.Pid != nl.PidKernel {
			continue
		}
		for i := range msgs {
			l.announced(&msgs[i])
		}
	}
}

// announced handles one message of the kernel.
func (l *Link) announced(m *syscall.NetlinkMessage) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A port that leaves its bridge is an RTM_DELLINK of that family.
		if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
			return
		}
		l.stateMu.Lock()
		if int(nl.DeserializeIfInfomsg(m.Data).Index) == l.Index() {
			if m.Header.Type == unix.RTM_DELLINK {
				l.setState(&linkState{gone: true})
			} else if link, err := netlink.LinkDeserialize(nil, m.Data); err == nil && link.Attrs().Name != "" && link.Attrs().MTU > 0 {
				l.setState(stateOf(link.Attrs()))
			} else { // an announcement of the wireless extensions has no more than the index
				l.refreshLocked()
			}
		}
		l.stateMu.Unlock()
		l.signal()
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		n, err := netlink.NeighDeserialize(m.Data)
		if err != nil || n.LinkIndex != l.Index() {
			return
		}
		if addr, entry, known, ok := entryOf(n); ok {
			l.send(kernelChanged{addr, entry, known && m.Header.Type == unix.RTM_NEWNEIGH})
		}
	default: // addresses, routes, rules, next hops
		l.send(sourcesChanged{})
		l.signal()
	}
}

// entryOf reads one entry of the kernel's table; known is whether it has a
// valid MAC, ok whether it is an entry of IPv4 or IPv6 at all.
func entryOf(n *netlink.Neigh) (addr netip.Addr, e kernelEntry, known, ok bool) {
	const valid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE | unix.NUD_PROBE | unix.NUD_STALE | unix.NUD_DELAY
	if n.Family != unix.AF_INET && n.Family != unix.AF_INET6 || n.Flags&netlink.NTF_PROXY != 0 {
		return addr, e, false, false
	}
	addr, ok = netip.AddrFromSlice(n.IP)
	if len(n.HardwareAddr) == 6 {
		e.mac = [6]byte(n.HardwareAddr)
		known = n.State&valid != 0 && e.mac != ([6]byte{})
	}
	e.permanent = n.State&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0
	e.reachable = n.State&unix.NUD_REACHABLE != 0
	return addr, e, known, ok
}

// kernelNeighbours returns the kernel's table for this interface.
func (l *Link) kernelNeighbours(index int) (map[netip.Addr]kernelEntry, error) {
	table := map[netip.Addr]kernelEntry{}
	all, err := l.nl.NeighList(index, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list neighbours of %s%s: %w", l.Name(), l.ns, err)
	}
	for i := range all {
		if addr, e, known, ok := entryOf(&all[i]); ok && known {
			table[addr] = e
		}
	}
	return table, nil
}

// refresh asks the kernel for the interface's state.
func (l *Link) refresh() {
	l.stateMu.Lock()
	defer l.stateMu.Unlock()
	l.refreshLocked()
}

func (l *Link) refreshLocked() {
	link, err := l.nl.LinkByIndex(l.Index())
	switch {
	case err == nil:
		l.setState(stateOf(link.Attrs()))
	case errors.As(err, new(netlink.LinkNotFoundError)), errors.Is(err, unix.ENODEV):
		l.setState(&linkState{gone: true})
	default:
		l.log.Warn("cannot read the interface's state", "error", err)
	}
}

// resync learns what was missed.
func (l *Link) resync() {
	l.refresh()
	if table, err := l.kernelNeighbours(l.Index()); err == nil {
		l.send(kernelReplaced(table))
	} else {
		l.log.Warn("cannot read the kernel's neighbours", "error", err)
	}
	l.send(sourcesChanged{})
	l.signal()
}

// setState takes over what the kernel says. The caller holds stateMu.
func (l *Link) setState(s *linkState) {
	was := l.state.Load()
	if was.gone {
		return
	}
	if s.gone {
		s.index, s.name, s.mac, s.mtu = was.index, was.name, was.mac, was.mtu
	}
	l.state.Store(s)
	if was.up && !s.up {
		l.downs.Add(1)
	}
	switch {
	case s.gone:
		l.log.Error("the interface is gone; probes are not sent until there is one of its name")
	case was.up && !s.up:
		l.log.Warn("the interface is down or has no carrier; probes are not sent until that is over")
	case s.up && !was.up:
		l.log.Info("the interface is up")
	}
	if s.name != was.name {
		l.log.Info("the interface was renamed; probing goes on", "was", was.name, "is", s.name)
	}
	l.send(linkChanged{s.up})
}

// send hands an event to the neighbour goroutine.
func (l *Link) send(e any) {
	select {
	case l.events <- e:
	case <-l.stop:
	}
}

// signal announces a change on the channel Changes, together with what else
// changes within settle.
func (l *Link) signal() {
	if l.soon.Swap(true) {
		return
	}
	time.AfterFunc(settle, func() {
		l.soon.Store(false)
		select {
		case l.changes <- struct{}{}:
		default:
		}
	})
}
