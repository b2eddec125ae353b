// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// randomHost is a prober with random routes, rules and addresses.
type randomHost struct {
	t        *testing.T
	r        *rand.Rand
	prober   *side
	prefixes []netip.Prefix // that may separate destinations
	own      []netip.Addr
}

func newRandomHost(t *testing.T, seed uint64) *randomHost {
	prober, gw := network(t)
	far := newSide(t)
	prober.connect("eth1", far, "eth0")
	w := &randomHost{t: t, r: rand.New(rand.NewPCG(2, seed)), prober: prober}
	w.addresses()
	// The kernel chooses among IPv6 routes by whether it knows their gateways:
	// here it does, from the first question to the last.
	for _, g := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "fe80::1"} {
		mac := gw.mac("eth0")
		family := netlink.FAMILY_V4
		if ip(g).Is6() {
			family = netlink.FAMILY_V6
		}
		prober.must(prober.nl.NeighSet(&netlink.Neigh{LinkIndex: prober.link("eth0").Attrs().Index, Family: family,
			State: netlink.NUD_PERMANENT, IP: net.ParseIP(g), HardwareAddr: mac[:]}))
	}
	for range 150 {
		w.route()
	}
	for range 12 {
		w.rule(seed%4 == 3)
	}
	for range 4 {
		p := w.prefix(netip.IPv6Unspecified())
		w.prefixes = append(w.prefixes, p)
		prober.label(p, 10+w.r.Uint32N(4))
	}
	for range 2 { // source addresses of a label of their own
		a := netip.PrefixFrom(w.own[w.r.IntN(len(w.own))], 64)
		if a.Addr().Is6() && !a.Addr().Is4In6() {
			prober.label(a.Masked(), 10+w.r.Uint32N(4))
		}
	}
	return w
}

func (w *randomHost) addresses() {
	for _, a := range []struct{ dev, prefix string }{
		{"eth0", "192.0.2.9/24"}, {"eth0", "2001:db8::9/64"},
		{"eth0", "192.0.2.10/24"}, {"eth0", "198.51.100.129/25"},
		{"eth0", "2001:db8::beef/64"}, {"eth0", "2001:db8:0:1::9/64"}, {"eth0", "2001:db8:4000::9/34"},
		{"eth0", "2001:db8:8000::9/48"}, {"eth0", "fd00::9/64"}, {"eth0", "2002:c000:209::9/64"},
		{"eth0", "2400:1::9/127"}, {"eth0", "fec0::9/64"}, {"eth0", "2001:10::9/64"}, {"eth0", "2001:0:1::9/64"},
		{"eth1", "203.0.113.9/26"}, {"eth1", "2001:db8:1::9/64"}, {"lo", "10.7.0.1/32"}, {"lo", "2001:db8:7::1/128"}, {"lo", "2a00::1/40"},
	} {
		p := netip.MustParsePrefix(a.prefix)
		if a.prefix != "192.0.2.9/24" && a.prefix != "2001:db8::9/64" {
			if w.r.IntN(3) == 0 {
				continue
			}
			w.prober.addr(a.dev, a.prefix)
		}
		w.own = append(w.own, p.Addr())
		w.prefixes = append(w.prefixes, p, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
}

// prefix is random, mostly near others.
func (w *randomHost) prefix(first netip.Addr) netip.Prefix {
	bases := []string{"10.0.0.0", "203.0.113.0", "198.51.100.0", "192.0.2.0", "0.0.0.0"}
	shortest := 0
	if first.Is6() {
		bases = []string{"2001:db8::", "2001:db8:8000::", "2400::", "fd00::", "::", "2002::", "2001::", "2001:10::", "fec0::"}
	}
	base := ip(bases[w.r.IntN(len(bases))])
	if !base.IsUnspecified() {
		shortest = map[bool]int{true: 8, false: 16}[first.Is4()]
	}
	bits := shortest + w.r.IntN(first.BitLen()-shortest+1)
	if w.r.IntN(12) == 0 {
		bits = 0
	}
	kept := shortest + w.r.IntN(first.BitLen()-shortest+1) // leading bits of the base
	a, random := base.AsSlice(), randomAddr(w.r, first).AsSlice()
	for i := kept; i < first.BitLen(); i++ {
		a[i/8] = a[i/8]&^(0x80>>(i%8)) | random[i/8]&(0x80>>(i%8))
	}
	addr, _ := netip.AddrFromSlice(a)
	return netip.PrefixFrom(addr, bits).Masked()
}

func (w *randomHost) family() netip.Addr {
	if w.r.IntN(2) == 0 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// route adds a route, sometimes two; one that the kernel refuses, because there is one already
// or its gateway is not reachable, is none.
func (w *randomHost) route() {
	first := w.family()
	p := w.prefix(first)
	gateways := []string{"192.0.2.1", "192.0.2.2", ""}
	if first.Is6() {
		gateways = []string{"2001:db8::1", "2001:db8::2", "fe80::1", ""}
	}
	gateway := func() net.IP { return net.ParseIP(gateways[w.r.IntN(len(gateways))]) }
	eth0, eth1 := w.prober.link("eth0").Attrs().Index, w.prober.link("eth1").Attrs().Index
	r := &netlink.Route{Dst: ipNet(p), LinkIndex: eth0, Gw: gateway(), Table: []int{254, 254, 100, 101, 1000}[w.r.IntN(5)], Priority: 10 + w.r.IntN(4)}
	switch w.r.IntN(14) {
	case 0:
		r.Type, r.LinkIndex, r.Gw = []int{unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_THROW}[w.r.IntN(4)], 0, nil
	case 1:
		r.LinkIndex, r.Gw = eth1, nil
	case 2, 3:
		if p.Bits() < first.BitLen()*5/8 && w.r.IntN(8) > 0 {
			break // else next to all is hashed
		}
		r.LinkIndex, r.Gw = 0, nil
		for range 2 + w.r.IntN(2) {
			r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: eth0, Gw: gateway()})
		}
	case 4:
		r.MTU = 1280 + w.r.IntN(200)
	case 5:
		if a := w.own[w.r.IntN(len(w.own))]; a.Is4() == first.Is4() {
			r.Src = a.AsSlice()
		}
	case 6:
		if first.Is4() {
			r.Gw, r.Via = nil, &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("fe80::1")}
		}
	case 7: // AnyIP
		if p.Bits() > 8 {
			r.Type, r.Gw, r.LinkIndex, r.Table = unix.RTN_LOCAL, nil, w.prober.link("lo").Attrs().Index, unix.RT_TABLE_LOCAL
		}
	case 8: // a gateway among the destinations
		if p.Bits() > 8 {
			r.Gw, r.Flags = lastOf(p).Prev().AsSlice(), int(netlink.FLAG_ONLINK)
		}
	}
	if w.prober.nl.RouteAdd(r) != nil {
		return
	}
	w.prefixes = append(w.prefixes, p)
	if w.r.IntN(6) == 0 && r.Type == 0 && (p.Bits() > first.BitLen()/2 || p.Bits() == 0) { // one more, as good as the first
		second := *r
		second.MultiPath, second.Via, second.LinkIndex, second.Gw = nil, nil, eth0, gateway()
		_ = w.prober.nl.RouteAppend(&second)
	}
}

func (w *randomHost) rule(byPort bool) {
	first := w.family()
	r := netlink.NewRule()
	r.Family = map[bool]int{true: netlink.FAMILY_V4, false: netlink.FAMILY_V6}[first.Is4()]
	r.Priority, r.Table = 1000+w.r.IntN(1000), []int{100, 101, 1000}[w.r.IntN(3)]
	if w.r.IntN(2) == 0 {
		p := w.prefix(first)
		r.Dst = ipNet(p)
		w.prefixes = append(w.prefixes, p)
	}
	if a := w.own[w.r.IntN(len(w.own))]; w.r.IntN(2) == 0 && a.Is4() == first.Is4() {
		r.Src = ipNet(netip.PrefixFrom(a, a.BitLen()-w.r.IntN(9)).Masked())
	}
	switch w.r.IntN(8) {
	case 0:
		r.Invert = r.Dst != nil
	case 1:
		r.SuppressPrefixlen, r.Table = w.r.IntN(17), unix.RT_TABLE_MAIN
	case 2:
		r.Mark = 7
	case 3:
		r.IifName = "lo"
	case 4:
		r.Type, r.Table = unix.FR_ACT_PROHIBIT, 0
	}
	if byPort && w.r.IntN(4) == 0 {
		r.IPProto, r.Dport = unix.IPPROTO_TCP, netlink.NewRulePortRange(443, 444)
	}
	if r.Dst == nil && r.Src == nil && r.Type != 0 {
		return // it would refuse everything
	}
	if err := w.prober.nl.RuleAdd(r); !errors.Is(err, unix.EEXIST) {
		w.prober.must(err)
	}
}

// label adds an entry to the table of RFC 6724 section 2.1.
func (s *side) label(p netip.Prefix, label uint32) {
	s.t.Helper()
	s.must(s.ns.do(func() error {
		request := nl.NewNetlinkRequest(unix.RTM_NEWADDRLABEL, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		request.AddData(rawHeader{unix.AF_INET6, 0, byte(p.Bits()), 11: 0})
		request.AddData(nl.NewRtAttr(ifalAddress, p.Addr().AsSlice()))
		request.AddData(nl.NewRtAttr(2, binary.NativeEndian.AppendUint32(nil, label))) // IFAL_LABEL
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}))
}

// destination is mostly at the edge of, or inside, a prefix.
func (w *randomHost) destination() netip.Addr {
	if w.r.IntN(10) == 0 {
		return randomAddr(w.r, w.family())
	}
	p := w.prefixes[w.r.IntN(len(w.prefixes))]
	p = netip.PrefixFrom(p.Addr(), w.r.IntN(p.Addr().BitLen()+1))
	if w.r.IntN(2) == 0 {
		p = w.prefixes[w.r.IntN(len(w.prefixes))]
	}
	a := p.Masked().Addr()
	switch w.r.IntN(6) {
	case 0:
		a = lastOf(p)
	case 1:
		if b := a.Prev(); b.IsValid() {
			a = b
		}
	case 2:
		if b := lastOf(p).Next(); b.IsValid() {
			a = b
		}
	case 3, 4:
		in, random := a.AsSlice(), randomAddr(w.r, a).AsSlice()
		for i := p.Bits(); i < a.BitLen(); i++ {
			in[i/8] |= random[i/8] & (0x80 >> (i % 8))
		}
		a, _ = netip.AddrFromSlice(in)
	}
	return a.Unmap()
}

func (w *randomHost) source() netip.Addr {
	switch w.r.IntN(10) {
	case 0:
		return ip("203.0.113.200") // nobody's
	case 1, 2, 3, 4, 5:
		return w.own[w.r.IntN(len(w.own))]
	}
	return netip.Addr{}
}
