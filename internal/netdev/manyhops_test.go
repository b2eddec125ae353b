// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestHopMany: 1,200 neighbours, more than the kernel's table has room for
// (1,024 for the whole host), are all found, kept, and followed to a new MAC, and
// the kernel's table stays as it is.
func TestHopMany(t *testing.T) {
	prober, gw := network(t)
	prober.addr("eth0", "10.9.0.9/16", "2001:db8:9::9/64")
	gw.addr("eth0", "10.9.0.1/16", "2001:db8:9::1/64")
	lo := gw.link("lo").Attrs().Index
	gw.route("10.9.128.0/17", "", func(r *netlink.Route) { // AnyIP: it answers ARP for all of them
		r.Type, r.Table, r.Scope, r.LinkIndex = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST, lo
	})
	var targets []netip.Addr
	v4, v6 := ip("10.9.128.0"), ip("2001:db8:9::1:0")
	for range 600 {
		v4, v6 = v4.Next(), v6.Next()
		targets = append(targets, v4, v6)
		// For ND there is no AnyIP.
		a, err := netlink.ParseAddr(netip.PrefixFrom(v6, 64).String())
		gw.must(err)
		a.Flags = unix.IFA_F_NODAD
		gw.must(gw.nl.AddrAdd(gw.link("eth0"), a))
	}
	l := prober.open()
	rs, err := l.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var hops []*NextHop
	for _, dst := range targets {
		r, err := rs.Route(dst, netip.Addr{})
		if err != nil || r.NextHop != dst {
			t.Fatalf("route to %s: %+v, %v; want it on-link", dst, r, err)
		}
		h := l.Hop(r.NextHop)
		defer h.Release()
		hops = append(hops, h)
	}
	allAt := func(mac [6]byte) bool {
		for _, h := range hops {
			if s, m := h.Load(); s != HopReady || m != mac {
				return false
			}
		}
		return true
	}
	mac := gw.mac("eth0")
	start := time.Now()
	eventually(t, "all known", func() bool { return allAt(mac) })
	t.Logf("all known after %v", time.Since(start))
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !allAt(mac) {
			t.Fatal("one was lost though it answers")
		}
	}
	mac = [6]byte{2, 0, 0, 0, 0, 0x79}
	gw.setMAC(mac)
	start = time.Now()
	eventually(t, "all known at the new MAC", func() bool { return allAt(mac) })
	t.Logf("all known at the new MAC after %v", time.Since(start))

	table, err := prober.nl.NeighList(l.Index(), netlink.FAMILY_ALL)
	prober.must(err)
	if len(table) > 20 {
		t.Errorf("the kernel's table has %d entries by our asking", len(table))
	}
}
