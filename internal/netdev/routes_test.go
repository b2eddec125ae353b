// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestRoutesEqualKernel: over random tables, rules and addresses, every answer
// from the snapshot is the one that the kernel gives for that very destination.
func TestRoutesEqualKernel(t *testing.T) {
	singles, fromCells, foundRoutes, sources := 0, 0, 0, map[netip.Addr]bool{}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newRandomHost(t, seed)
			l := w.prober.open()
			rs, err := l.Routes()
			if err != nil {
				t.Fatal(err)
			}
			for range 4000 {
				dst, src := w.destination(), w.source()
				if sameFamily := src.IsValid() && src.Is4() == dst.Is4(); !sameFamily && w.r.IntN(20) > 0 {
					src = netip.Addr{}
				}
				want, wantErr := l.Route(dst, src)
				got, err := rs.Route(dst, src)
				check := func(what string) {
					t.Helper()
					if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.Local != want.Local || got.NextHop != want.NextHop || got.MTU != want.MTU || !slices.Equal(got.EqualCost, want.EqualCost) {
						t.Errorf("%s to %s from %s: %+v, %v; the kernel says %+v, %v", what, dst, src, got, err, want, wantErr)
					}
				}
				check("route")
				if err == nil {
					foundRoutes++
					if dst.Is6() && !src.IsValid() {
						sources[got.Local] = true
					}
				}
				family := &rs.v4
				if dst.Is6() {
					family = &rs.v6
				}
				if family.single[family.cell(dst)] {
					singles++
				} else {
					fromCells++
				}
				want, wantErr = l.RouteForeign(dst, src)
				got, err = rs.RouteForeign(dst, src)
				check("foreign route")
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
	t.Logf("%d answers by cell, %d of destinations asked for singly, %d routes found, %d IPv6 source addresses chosen", fromCells, singles, foundRoutes, len(sources))
	if !t.Failed() && (fromCells < 10_000 || singles < 1000 || foundRoutes < 5000 || len(sources) < 5) {
		t.Error("the tables were too simple to show anything")
	}
}

// TestRoutesNextHopGroup: next hops made as objects (ip nexthop), and how the
// kernel lists them.
func TestRoutesNextHopGroup(t *testing.T) {
	prober, _ := network(t)
	index := binary.NativeEndian.AppendUint32(nil, uint32(prober.link("eth0").Attrs().Index))
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	add := func(kind int, header rawHeader, attrs map[int][]byte) {
		t.Helper()
		prober.must(prober.ns.do(func() error {
			request := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
			request.AddData(header)
			for k, v := range attrs {
				request.AddData(nl.NewRtAttr(k, v))
			}
			_, err := request.Execute(unix.NETLINK_ROUTE, 0)
			return err
		}))
	}
	const id, group, oif, gateway = 1, 2, 5, 6 // NHA_*
	families := []struct {
		family   byte
		bits     byte
		gateways [2]string
		dst      string
	}{
		{unix.AF_INET, 24, [2]string{"192.0.2.1", "192.0.2.2"}, "203.0.113.0"},
		{unix.AF_INET6, 64, [2]string{"2001:db8::1", "2001:db8::2"}, "2001:db8:1::"},
	}
	for i, f := range families {
		first := uint32(10 * (i + 1))
		var members []byte
		for j, g := range f.gateways {
			n := first + uint32(j)
			add(unix.RTM_NEWNEXTHOP, rawHeader{f.family, 7: 0}, map[int][]byte{id: number(n), oif: index, gateway: ip(g).AsSlice()})
			members = append(append(members, number(n)...), 0, 0, 0, 0)
		}
		add(unix.RTM_NEWNEXTHOP, rawHeader{unix.AF_UNSPEC, 7: 0}, map[int][]byte{id: number(first + 5), group: members})
		add(unix.RTM_NEWROUTE, rawHeader{f.family, f.bits, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, 0, unix.RTN_UNICAST, 11: 0},
			map[int][]byte{unix.RTA_DST: ip(f.dst).AsSlice(), rtaNextHopID: number(first + 5)})
	}
	l := prober.open()
	for _, compatible := range []string{"1", "0"} {
		prober.sysctl("net/ipv4/nexthop_compat_mode", compatible)
		rs, err := l.Routes()
		prober.must(err)
		for _, f := range families {
			taken := map[netip.Addr]bool{}
			for dst, i := ip(f.dst).Next(), 0; i < 60; dst, i = dst.Next(), i+1 {
				want, wantErr := l.Route(dst, netip.Addr{})
				got, err := rs.Route(dst, netip.Addr{})
				if err != nil || wantErr != nil || got.NextHop != want.NextHop {
					t.Errorf("%s: %+v, %v; the kernel says %+v, %v", dst, got, err, want, wantErr)
				}
				taken[got.NextHop] = true
			}
			if len(taken) != 2 {
				t.Errorf("of 60 destinations under %s all go by %v", f.dst, taken)
			}
		}
	}
}

// TestRoutesOfOneCell: one question serves a whole cell, and then nothing is
// allocated.
func TestRoutesOfOneCell(t *testing.T) {
	prober, _ := network(t)
	prober.route("10.0.0.0/8", "192.0.2.1")
	prober.route("2001:db8:1::/48", "2001:db8::1")
	l := prober.open()
	rs, err := l.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []struct{ dst, src string }{{"10.0.0.0", "192.0.2.9"}, {"2001:db8:1::", "2001:db8::9"}} {
		for _, src := range []netip.Addr{{}, ip(from.src)} {
			dst := ip(from.dst)
			if _, err := rs.Route(dst, src); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(1000, func() {
				dst = dst.Next()
				if r, err := rs.Route(dst, src); err != nil || r.Local != ip(from.src) {
					t.Fatal(r, err)
				}
			}); n != 0 {
				t.Errorf("to %s from %s: %v allocations", dst, src, n)
			}
			if n := len(rs.sources[src].answers); n != map[bool]int{true: 1, false: 2}[src.IsValid() || dst.Is4()] {
				t.Errorf("to %s from %s: the kernel was asked about %d cells so far", dst, src, n)
			}
		}
	}
}

// BenchmarkRoutes is the price of one of very many destinations.
func BenchmarkRoutes(b *testing.B) {
	prober, _ := network(b)
	prober.route("10.0.0.0/8", "192.0.2.1")
	prober.route("2001:db8:1::/48", "2001:db8::1")
	prober.route("11.0.0.0/8", "", func(r *netlink.Route) {
		for _, g := range []string{"192.0.2.1", "192.0.2.2"} {
			r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: r.LinkIndex, Gw: net.ParseIP(g)})
		}
		r.LinkIndex = 0
	})
	l := prober.open()
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Routes(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, first := range []string{"10.0.0.0", "2001:db8:1::", "11.0.0.0"} { // the last by equal-cost next hops
		own := ip("192.0.2.9")
		if ip(first).Is6() {
			own = ip("2001:db8::9")
		}
		for _, src := range []netip.Addr{{}, own} {
			b.Run(first+" from "+src.String(), func(b *testing.B) {
				rs, err := l.Routes()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				dst, n := ip(first), 0
				for b.Loop() {
					if n++; n%(1<<20) == 0 {
						dst = ip(first)
					}
					dst = dst.Next()
					if _, err := rs.Route(dst, src); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
