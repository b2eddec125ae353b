// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link says how two hosts are connected.
type Link struct {
	Queues int // receive and transmit queues of both ends; 0: 1
	MTU    int // bytes; 0: 1500

	// A and B are the addresses of the two ends, each with its prefix length:
	// "192.0.2.1/24", "2001:db8::1/64". They are usable at once.
	A, B []string

	// ChecksumA and ChecksumB make an end finish its checksums before it
	// sends. Otherwise a kernel's TCP and UDP packets cross a veth with
	// unfinished ones.
	ChecksumA, ChecksumB bool
}

// End is one end of a link. Its fields do not change, SetMAC aside; the lab's
// goroutine calls its methods.
type End struct {
	Host  *Host
	Peer  *End
	Name  string // "to-r1"
	Index int
	MAC   net.HardwareAddr
	Addrs []netip.Prefix // as given, without the link-local one

	link netlink.Link
}

// Connect joins two hosts by a veth pair, sets both ends up with their
// addresses, and returns a's end and b's end once both have carrier. The ends
// are called "to-" and the other host's name, a second link between the same
// hosts "to-NAME-2".
func (l *Lab) Connect(a, b *Host, link Link) (*End, *End) {
	if l.test != nil {
		l.test.Helper()
	}
	ea := &End{Host: a, Name: a.newIfname(b.Name)}
	eb := &End{Host: b, Name: b.newIfname(a.Name)}
	ea.Peer, eb.Peer = eb, ea
	if l.err != nil {
		return ea, eb
	}
	if err := connect(ea, eb, link); err != nil {
		l.fail(fmt.Errorf("connecting %s and %s: %w", a.Name, b.Name, err))
	}
	a.ends, b.ends = append(a.ends, ea), append(b.ends, eb)
	return ea, eb
}

// newIfname returns an unused name for an interface towards peer. Host names
// are short enough that it fits the kernel's 15 bytes with a digit behind.
func (h *Host) newIfname(peer string) string {
	base := "to-" + peer
	name := base
	for n := 2; ; n++ {
		used := false
		for _, e := range h.ends {
			used = used || e.Name == name
		}
		if !used {
			return name
		}
		tail := fmt.Sprintf("-%d", n)
		name = base[:min(len(base), unix.IFNAMSIZ-1-len(tail))] + tail
	}
}

func connect(a, b *End, link Link) error {
	queues := max(link.Queues, 1)
	mtu := link.MTU
	if mtu == 0 {
		mtu = 1500
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = a.Name, mtu
	attrs.NumTxQueues, attrs.NumRxQueues = queues, queues
	veth := netlink.NewVeth(attrs)
	// The pair is made inside the two namespaces: the machine's own namespace
	// never sees it.
	veth.PeerName, veth.PeerMTU = b.Name, uint32(mtu)
	veth.PeerNamespace = netlink.NsFd(int(b.Host.ns))
	veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(queues), uint32(queues)
	if err := a.Host.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("making veth %s: %w", a.Name, err)
	}
	if err := a.configure(link.A, link.ChecksumA); err != nil {
		return err
	}
	if err := b.configure(link.B, link.ChecksumB); err != nil {
		return err
	}
	for _, e := range []*End{a, b} {
		if err := e.waitUp(mtu >= 1280 && !e.Host.noIPv6); err != nil {
			return err
		}
	}
	return nil
}

// configure reads what the kernel chose, adds the addresses and sets the end
// up.
func (e *End) configure(addrs []string, checksum bool) error {
	link, err := e.Host.nl.LinkByName(e.Name)
	if err != nil {
		return fmt.Errorf("reading interface %s of %s: %w", e.Name, e.Host.Name, err)
	}
	e.link, e.Index, e.MAC = link, link.Attrs().Index, link.Attrs().HardwareAddr
	if checksum {
		if err := e.finishChecksums(); err != nil {
			return err
		}
	}
	if err := e.Host.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s of %s up: %w", e.Name, e.Host.Name, err)
	}
	for _, s := range addrs {
		if err := e.addAddr(s); err != nil {
			return err
		}
	}
	return nil
}

func (e *End) addAddr(s string) error {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("address %q of %s: give it with its prefix length: %w", s, e.Name, err)
	}
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := e.Host.nl.AddrAdd(e.link, addr); err != nil {
		return fmt.Errorf("adding address %s to %s of %s: %w", s, e.Name, e.Host.Name, err)
	}
	e.Addrs = append(e.Addrs, p)
	return nil
}

// AddAddr adds an address with its prefix length.
func (e *End) AddAddr(s string) {
	if e.Host.lab.err == nil {
		e.Host.lab.fail(e.addAddr(s))
	}
}

// DelAddr takes an address away, and the routes that need it with it.
func (e *End) DelAddr(s string) {
	l := e.Host.lab
	if l.err != nil {
		return
	}
	p, err := netip.ParsePrefix(s)
	if err == nil {
		err = e.Host.nl.AddrDel(e.link, &netlink.Addr{IPNet: ipNet(p)})
	}
	if err != nil {
		l.fail(fmt.Errorf("removing address %s from %s of %s: %w", s, e.Name, e.Host.Name, err))
		return
	}
	for i, a := range e.Addrs {
		if a == p {
			e.Addrs = append(e.Addrs[:i:i], e.Addrs[i+1:]...)
			break
		}
	}
}

// waitUp waits until the kernel has worked through the end's carrier, which
// happens in the background, and, with v6, given it a link-local address.
func (e *End) waitUp(v6 bool) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		link, err := e.Host.nl.LinkByIndex(e.Index)
		if err != nil {
			return fmt.Errorf("reading interface %s of %s: %w", e.Name, e.Host.Name, err)
		}
		if link.Attrs().OperState == netlink.OperUp && (!v6 || e.linkLocal().IsValid()) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("interface %s of %s is %s after 10 s: expected carrier and a link-local address", e.Name, e.Host.Name, link.Attrs().OperState)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (e *End) linkLocal() netip.Addr {
	addrs, err := e.Host.nl.AddrList(e.link, netlink.FAMILY_V6)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ok && ip.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
			return ip
		}
	}
	return netip.Addr{}
}

// LinkLocal returns the end's IPv6 link-local address, without zone; zero
// where it has none.
func (e *End) LinkLocal() netip.Addr {
	if e.link == nil {
		return netip.Addr{}
	}
	return e.linkLocal()
}

// SetUp sets the end up or down. Setting it down takes the peer's carrier
// away, and the kernel drops the end's IPv6 addresses and routes.
func (e *End) SetUp(up bool) {
	l := e.Host.lab
	if l.err != nil {
		return
	}
	set := e.Host.nl.LinkSetDown
	if up {
		set = e.Host.nl.LinkSetUp
	}
	if err := set(e.link); err != nil {
		l.fail(fmt.Errorf("setting %s of %s up=%v: %w", e.Name, e.Host.Name, up, err))
	}
}

// SetMAC gives the end another hardware address, as when a gateway is
// replaced. Neighbours learn of it when they ask again.
func (e *End) SetMAC(mac net.HardwareAddr) {
	l := e.Host.lab
	if l.err != nil {
		return
	}
	if err := e.Host.nl.LinkSetHardwareAddr(e.link, mac); err != nil {
		l.fail(fmt.Errorf("setting the MAC of %s of %s to %s: %w", e.Name, e.Host.Name, mac, err))
		return
	}
	e.MAC = mac
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
