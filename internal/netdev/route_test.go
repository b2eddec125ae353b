// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRoute(t *testing.T) {
	prober, _ := network(t)
	far := newSide(t)
	prober.connect("eth1", far, "eth0")
	prober.addr("eth1", "198.51.100.9/24")
	l := prober.open()

	ofType := func(kind int) func(*netlink.Route) {
		return func(r *netlink.Route) { r.Type, r.LinkIndex = kind, 0 }
	}
	multi := func(gateways ...string) func(*netlink.Route) {
		return func(r *netlink.Route) {
			for _, g := range gateways {
				r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: r.LinkIndex, Gw: net.ParseIP(g)})
			}
			r.LinkIndex = 0
		}
	}
	prober.route("203.0.113.0/26", "192.0.2.1")
	prober.route("203.0.113.64/26", "192.0.2.1", func(r *netlink.Route) { r.MTU = 1280; r.Src = net.ParseIP("192.0.2.9") })
	prober.route("203.0.113.128/26", "", multi("192.0.2.1", "192.0.2.2"))
	prober.route("203.0.113.192/28", "", ofType(unix.RTN_BLACKHOLE))
	prober.route("203.0.113.208/28", "", ofType(unix.RTN_UNREACHABLE))
	prober.route("203.0.113.224/28", "", ofType(unix.RTN_PROHIBIT))
	prober.route("203.0.113.240/29", "", func(r *netlink.Route) {
		r.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("fe80::1")}
	})
	prober.route("203.0.113.248/29", "") // on-link
	prober.route("2001:db8:1::/48", "2001:db8::1")
	prober.route("2001:db8:2::/48", "fe80::1")
	prober.route("2001:db8:3::/48", "", multi("2001:db8::1", "fe80::1"))
	prober.route("2001:db8:4::/48", "", ofType(unix.RTN_BLACKHOLE))
	prober.route("2001:db8:5::/48", "", ofType(unix.RTN_UNREACHABLE))
	prober.addr("lo", "10.7.0.1/32")
	prober.route("10.8.0.0/24", "", func(r *netlink.Route) { // AnyIP
		r.Type, r.Table, r.Scope, r.LinkIndex = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST, prober.link("lo").Attrs().Index
	})

	// By source, another table with another gateway.
	prober.route("203.0.113.0/26", "192.0.2.2", func(r *netlink.Route) { r.Table = 100 })
	rule := netlink.NewRule()
	rule.Src = &net.IPNet{IP: net.IPv4(10, 7, 0, 1), Mask: net.CIDRMask(32, 32)}
	rule.Table, rule.Priority, rule.Family = 100, 1000, netlink.FAMILY_V4
	prober.must(prober.nl.RuleAdd(rule))

	v4, v6 := ip("192.0.2.9"), ip("2001:db8::9")
	for _, test := range []struct {
		name, dst, src string
		want           Route
		err            error
	}{
		{"on-link", "192.0.2.77", "", Route{Local: v4, NextHop: ip("192.0.2.77"), MTU: 1500}, nil},
		{"gateway", "203.0.113.1", "", Route{Local: v4, NextHop: ip("192.0.2.1"), MTU: 1500}, nil},
		{"gateway, source given", "203.0.113.1", "192.0.2.9", Route{Local: v4, NextHop: ip("192.0.2.1"), MTU: 1500}, nil},
		{"policy rule by source", "203.0.113.1", "10.7.0.1", Route{Local: ip("10.7.0.1"), NextHop: ip("192.0.2.2"), MTU: 1500}, nil},
		{"AnyIP source", "203.0.113.1", "10.8.0.200", Route{Local: ip("10.8.0.200"), NextHop: ip("192.0.2.1"), MTU: 1500}, nil},
		{"route MTU", "203.0.113.65", "", Route{Local: v4, NextHop: ip("192.0.2.1"), MTU: 1280}, nil},
		{"IPv4 via IPv6", "203.0.113.241", "", Route{Local: v4, NextHop: ip("fe80::1"), MTU: 1500}, nil},
		{"device route", "203.0.113.249", "", Route{Local: v4, NextHop: ip("203.0.113.249"), MTU: 1500}, nil},
		{"blackhole", "203.0.113.193", "", Route{}, ErrNoRoute},
		{"unreachable", "203.0.113.209", "", Route{}, ErrNoRoute},
		{"prohibit", "203.0.113.225", "", Route{}, ErrNoRoute},
		{"nothing matches", "8.8.8.8", "", Route{}, ErrNoRoute},
		{"broadcast", "192.0.2.255", "", Route{}, ErrNoRoute},
		{"ourselves", "192.0.2.9", "", Route{}, ErrLocal},
		{"ourselves on the other interface", "198.51.100.9", "", Route{}, ErrLocal},
		{"foreign source", "203.0.113.1", "192.0.2.123", Route{}, ErrNotLocalSource},
		{"source of the other family", "203.0.113.1", "2001:db8::9", Route{}, ErrNotLocalSource},
		{"IPv6 on-link", "2001:db8::77", "", Route{Local: v6, NextHop: ip("2001:db8::77"), MTU: 1500}, nil},
		{"IPv6 gateway", "2001:db8:1::1", "", Route{Local: v6, NextHop: ip("2001:db8::1"), MTU: 1500}, nil},
		{"IPv6 gateway, source given", "2001:db8:1::1", "2001:db8::9", Route{Local: v6, NextHop: ip("2001:db8::1"), MTU: 1500}, nil},
		{"IPv6 link-local gateway", "2001:db8:2::1", "", Route{Local: v6, NextHop: ip("fe80::1"), MTU: 1500}, nil},
		{"IPv6 blackhole", "2001:db8:4::1", "", Route{}, ErrNoRoute},
		{"IPv6 unreachable", "2001:db8:5::1", "", Route{}, ErrNoRoute},
		{"IPv6 nothing matches", "2001:db9::1", "", Route{}, ErrNoRoute},
		{"IPv6 ourselves", "2001:db8::9", "", Route{}, ErrLocal},
		{"IPv6 foreign source", "2001:db8:1::1", "2001:db8::123", Route{}, ErrNotLocalSource},
	} {
		t.Run(test.name, func(t *testing.T) {
			var src netip.Addr
			if test.src != "" {
				src = ip(test.src)
			}
			got, err := l.Route(ip(test.dst), src)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if d := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Error(d)
			}
		})
	}

	t.Run("equal cost", func(t *testing.T) {
		for _, test := range []struct {
			from string
			all  []netip.Addr
		}{
			{"203.0.113.129", []netip.Addr{ip("192.0.2.1"), ip("192.0.2.2")}},
			{"2001:db8:3::1", []netip.Addr{ip("2001:db8::1"), ip("fe80::1")}},
		} {
			taken := map[netip.Addr]int{}
			for dst, i := ip(test.from), 0; i < 40; dst, i = dst.Next(), i+1 {
				r, err := l.Route(dst, netip.Addr{})
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(r.EqualCost, netip.Addr.Compare)
				slices.SortFunc(test.all, netip.Addr.Compare)
				if !slices.Equal(r.EqualCost, test.all) || !slices.Contains(test.all, r.NextHop) {
					t.Fatalf("%s: %+v, want one of %v", dst, r, test.all)
				}
				again, _ := l.Route(dst, netip.Addr{})
				if again.NextHop != r.NextHop {
					t.Errorf("%s goes by %s, then by %s", dst, r.NextHop, again.NextHop)
				}
				taken[r.NextHop]++
			}
			if len(taken) != 2 {
				t.Errorf("of 40 destinations all go by %v", taken)
			}
		}
	})

	t.Run("other interface", func(t *testing.T) {
		var other *OtherInterfaceError
		if _, err := l.Route(ip("198.51.100.1"), netip.Addr{}); !errors.As(err, &other) || other.Name != "eth1" {
			t.Errorf("%v, want another interface, eth1", err)
		}
	})

	t.Run("foreign source allowed", func(t *testing.T) {
		for _, src := range []string{"192.0.2.123", "10.7.0.1"} {
			r, err := l.RouteForeign(ip("203.0.113.1"), ip(src))
			want := map[string]string{"192.0.2.123": "192.0.2.1", "10.7.0.1": "192.0.2.2"}[src]
			if err != nil || r.Local != ip(src) || r.NextHop != ip(want) {
				t.Errorf("from %s: %+v, %v; want gateway %s", src, r, err, want)
			}
		}
		if r, err := l.RouteForeign(ip("203.0.113.1"), netip.Addr{}); err != nil || r.Local != v4 {
			t.Errorf("from the kernel's choice: %+v, %v", r, err)
		}
		for _, src := range []string{"2001:db8::123", "2001:db8::9"} {
			if r, err := l.RouteForeign(ip("203.0.113.1"), ip(src)); !errors.Is(err, ErrNotLocalSource) || r.Local.IsValid() {
				t.Errorf("IPv4 from %s: %+v, %v", src, r, err)
			}
		}
		if r, err := l.RouteForeign(ip("8.8.8.8"), ip("192.0.2.123")); !errors.Is(err, ErrNoRoute) {
			t.Errorf("without a route: %+v, %v", r, err)
		}
	})

	t.Run("follows a change", func(t *testing.T) {
		_, dst, _ := net.ParseCIDR("203.0.113.0/26")
		prober.must(prober.nl.RouteReplace(&netlink.Route{Dst: dst, LinkIndex: l.Index(), Gw: net.ParseIP("192.0.2.2")}))
		if r, err := l.Route(ip("203.0.113.1"), netip.Addr{}); err != nil || r.NextHop != ip("192.0.2.2") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestRouteWithoutSource(t *testing.T) {
	prober, _ := network(t)
	prober.delAddr("eth0", "2001:db8::9/64")
	prober.route("2001:db8:1::/48", "fe80::1")
	l := prober.open()
	if r, err := l.Route(ip("2001:db8:1::1"), netip.Addr{}); !errors.Is(err, ErrNoRoute) {
		t.Errorf("%+v, %v: a link-local source cannot pass a router", r, err)
	}
}

func TestIsLocal(t *testing.T) {
	prober, _ := network(t)
	l := prober.open()
	prober.route("10.8.0.0/24", "", func(r *netlink.Route) {
		r.Type, r.Table, r.Scope, r.LinkIndex = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST, prober.link("lo").Attrs().Index
	})
	prober.route("2001:db8:8::/64", "", func(r *netlink.Route) {
		r.Type, r.Table, r.LinkIndex = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, prober.link("lo").Attrs().Index
	})
	for addr, want := range map[string]bool{
		"192.0.2.9": true, "192.0.2.1": false, "192.0.2.255": false, "10.8.0.77": true, "10.9.0.1": false,
		"127.0.0.1": true, "::1": true, "2001:db8::9": true, "2001:db8::1": false, "2001:db8:8::abcd": true,
		"2001:db8:9::1": false, "fe80::1": false,
	} {
		if got, err := l.IsLocal(ip(addr)); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", addr, got, err, want)
		}
	}
}

func TestGateways(t *testing.T) {
	prober, _ := network(t)
	far := newSide(t)
	prober.connect("eth1", far, "eth0")
	prober.addr("eth1", "198.51.100.9/24")
	prober.route("0.0.0.0/0", "192.0.2.2", func(r *netlink.Route) { r.Priority = 200 })
	prober.route("0.0.0.0/0", "192.0.2.1", func(r *netlink.Route) { r.Priority = 100 })
	prober.route("0.0.0.0/0", "192.0.2.3", func(r *netlink.Route) { r.Table = 100 })
	prober.route("0.0.0.0/0", "198.51.100.1", func(r *netlink.Route) { r.LinkIndex = prober.link("eth1").Attrs().Index; r.Priority = 50 })
	prober.route("::/0", "fe80::1")
	prober.route("203.0.113.0/24", "192.0.2.4")
	l := prober.open()
	got, err := l.Gateways()
	want := "192.0.2.1, 192.0.2.2, 192.0.2.3, fe80::1"
	if err != nil || join(got) != want {
		t.Errorf("%s, %v; want %s", join(got), err, want)
	}
}

func BenchmarkNextHopLoad(b *testing.B) {
	h := &NextHop{}
	h.store(HopReady, [6]byte{2, 0, 0, 0, 0, 1})
	b.ReportAllocs()
	for b.Loop() {
		if s, _ := h.Load(); s != HopReady {
			b.Fatal(s)
		}
	}
}

// BenchmarkRoute is the price of one destination after a change.
func BenchmarkRoute(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root to make network namespaces")
	}
	prober, _ := network(b)
	prober.route("203.0.113.0/24", "192.0.2.1")
	l := prober.open()
	for _, dst := range []string{"192.0.2.77", "203.0.113.1"} {
		for _, src := range []netip.Addr{{}, ip("192.0.2.9")} {
			b.Run(dst+"/"+src.String(), func(b *testing.B) {
				for b.Loop() {
					if _, err := l.Route(ip(dst), src); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
