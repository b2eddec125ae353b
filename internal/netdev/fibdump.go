// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var (
	// singleIPv4 and singleIPv6 are ranges whose addresses the kernel looks at
	// one by one, besides its tables (__mkroute_output in net/ipv4/route.c;
	// rt6_need_strict in net/ipv6/route.c, and link-local ones are asked for with
	// the interface). None is an ordinary target.
	singleIPv4 = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	}
	singleIPv6 = []netip.Prefix{
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0/96"),
		netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	}

	// scopesIPv6 are the ranges that the choice of an IPv6 source address tells
	// apart by themselves (__ipv6_addr_type in net/ipv6/addrconf_core.c and
	// ipv6_addr_orchid), besides those in singleIPv6.
	scopesIPv6 = []netip.Prefix{
		netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("2001:10::/28"),
	}
)

// partitionIPv4 cuts IPv4 by what decides its routes. The source address depends
// on the route alone. It must run inside the interface's namespace.
func (l *Link) partitionIPv4() (partition, error) {
	c := cuts{first: netip.IPv4Unspecified()}
	for _, p := range singleIPv4 {
		c.addSingle(p)
	}
	if err := l.cutByTables(&c, netlink.FAMILY_V4); err != nil {
		return partition{}, err
	}
	return c.partition(), nil
}

// partitionIPv6 cuts IPv6 by what decides its routes, and by what decides
// the source address after that (RFC 6724 section 5; ipv6_get_saddr_eval in
// net/ipv6/addrconf.c): the destination's scope, its label, and how many of its
// leading bits are those of each address of the host, up to that address's
// prefix length. It must run inside the interface's namespace.
func (l *Link) partitionIPv6() (partition, error) {
	c := cuts{first: netip.IPv6Unspecified()}
	for _, p := range singleIPv6 {
		c.addSingle(p)
	}
	for _, p := range scopesIPv6 {
		c.add(p)
	}
	if err := l.cutByTables(&c, netlink.FAMILY_V6); err != nil {
		return partition{}, err
	}
	all, err := l.nl.AddrList(nil, netlink.FAMILY_V6)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return partition{}, fmt.Errorf("list addresses%s: %w", l.ns, err)
	}
	for _, a := range all {
		if p, ok := prefixOf(a.IPNet); ok && p.Addr().Is6() {
			c.addMatches(p)
		}
	}
	request := nl.NewNetlinkRequest(unix.RTM_GETADDRLABEL, unix.NLM_F_DUMP)
	request.AddData(addrLabelHeader)
	err = dump(request, unix.RTM_NEWADDRLABEL, func(m []byte) {
		if p, ok := parseAddrLabel(m); ok {
			c.add(p)
		}
	})
	if err != nil {
		return partition{}, fmt.Errorf("list the labels of IPv6 addresses%s: %w", l.ns, err)
	}
	return c.partition(), nil
}

// cutByTables cuts by all routes of all tables, by what the kernel keeps about
// single destinations (their path MTU, redirects), and by the policy rules.
func (l *Link) cutByTables(c *cuts, family uint8) error {
	request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
	var last fibEntry
	err := dump(request, unix.RTM_NEWROUTE, func(m []byte) {
		e, ok := parseFIBEntry(m, family)
		if !ok {
			return
		}
		if e.exception {
			c.add(e.dst)
			return
		}
		// Of two routes that are alike in all these the kernel takes turns, or the
		// one whose gateway it can reach (fib_select_default, find_rr_leaf). They
		// are neighbours in the dump.
		if e.several || e.fibKey == last.fibKey {
			c.addSingle(e.dst)
		} else {
			c.add(e.dst)
		}
		last = e
	})
	if err != nil {
		return fmt.Errorf("list routes%s: %w", l.ns, err)
	}
	rules, err := l.nl.RuleList(int(family))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("list policy rules%s: %w", l.ns, err)
	}
	for _, r := range rules {
		if r.Dst != nil {
			if p, ok := prefixOf(r.Dst); ok {
				c.add(p)
			}
		}
		// A rule for a protocol or port is not for all of our probes.
		if r.IPProto != 0 || r.Dport != nil || r.Sport != nil {
			c.addSingle(netip.PrefixFrom(c.first, 0))
		}
	}
	return nil
}

// dump sends a request whose answer is a list. A list that changed while it was
// read is taken as it came: the change is signalled. A kernel without the family
// has an empty one.
func dump(request *nl.NetlinkRequest, kind uint16, take func([]byte)) error {
	err := request.ExecuteIter(unix.NETLINK_ROUTE, kind, func(m []byte) bool { take(m); return true })
	if errors.Is(err, netlink.ErrDumpInterrupted) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// fibKey is what sets the routes of one prefix apart.
type fibKey struct {
	table, metric uint32
	dst, src      netip.Prefix // src: only IPv6 has it
}

// fibEntry is one entry of a routing table.
type fibEntry struct {
	fibKey
	exception bool // no route, but what is kept about a single destination
	several   bool // next hops of equal cost
}

const rtaNextHopID = 30 // RTA_NH_ID (include/uapi/linux/rtnetlink.h)

// parseFIBEntry reads an RTM_NEWROUTE of a dump (rtnetlink(7)). ok is false for
// another family, and for what is no route.
func parseFIBEntry(m []byte, family uint8) (e fibEntry, ok bool) {
	if len(m) < unix.SizeofRtMsg || m[0] != family {
		return e, false
	}
	dst, src := netip.IPv4Unspecified(), netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		dst, src = netip.IPv6Unspecified(), netip.IPv6Unspecified()
	}
	e.table = uint32(m[4])
	e.exception = binary.NativeEndian.Uint32(m[8:])&unix.RTM_F_CLONED != 0
	group, device := false, false
	eachAttribute(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.RTA_DST && len(value) == dst.BitLen()/8:
			dst, _ = netip.AddrFromSlice(value)
		case kind == unix.RTA_SRC && len(value) == src.BitLen()/8:
			src, _ = netip.AddrFromSlice(value)
		case kind == unix.RTA_TABLE && len(value) == 4:
			e.table = binary.NativeEndian.Uint32(value)
		case kind == unix.RTA_PRIORITY && len(value) == 4:
			e.metric = binary.NativeEndian.Uint32(value)
		case kind == unix.RTA_MULTIPATH:
			e.several = true
		case kind == rtaNextHopID:
			group = true
		case kind == unix.RTA_OIF:
			device = true
		}
	})
	// With net.ipv4.nexthop_compat_mode=0 a group of next hops is only a number.
	e.several = e.several || group && !device
	e.dst, e.src = netip.PrefixFrom(dst, int(m[1])), netip.PrefixFrom(src, int(m[2]))
	return e, e.dst.IsValid() && e.src.IsValid()
}

// addrLabelHeader is a struct ifaddrlblmsg (include/uapi/linux/if_addrlabel.h)
// that asks for all labels.
var addrLabelHeader = rawHeader{unix.AF_INET6, 11: 0}

const ifalAddress = 1 // IFAL_ADDRESS of the same header

// parseAddrLabel reads the prefix of an RTM_NEWADDRLABEL.
func parseAddrLabel(m []byte) (p netip.Prefix, ok bool) {
	if len(m) < 12 || m[0] != unix.AF_INET6 {
		return p, false
	}
	addr := netip.IPv6Unspecified()
	eachAttribute(m[12:], func(kind uint16, value []byte) {
		if kind == ifalAddress && len(value) == 16 {
			addr, _ = netip.AddrFromSlice(value)
		}
	})
	p = netip.PrefixFrom(addr, int(m[2]))
	return p, p.IsValid()
}

// eachAttribute walks over netlink attributes, up to the first that is
// malformed.
func eachAttribute(b []byte, take func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return
		}
		take(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// rawHeader is a request's fixed part, as netlink wants it.
type rawHeader []byte

// Len is for nl.NetlinkRequestData.
func (h rawHeader) Len() int { return len(h) }

// Serialize is for nl.NetlinkRequestData.
func (h rawHeader) Serialize() []byte { return h }
