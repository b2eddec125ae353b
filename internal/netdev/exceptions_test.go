// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestRoutesExceptions: what the kernel learnt about one destination is said of
// that one alone.
func TestRoutesExceptions(t *testing.T) {
	prober, gw := network(t)
	far := newSide(t)
	gw.connect("eth1", far, "eth0")
	gw.addr("eth1", "203.0.113.1/24", "2001:db8:1::1/64")
	gw.must(gw.nl.LinkSetMTU(gw.link("eth1"), 1300))
	gw.sysctl("net/ipv4/ip_forward", "1")
	gw.sysctl("net/ipv6/conf/all/forwarding", "1")
	prober.route("203.0.113.0/24", "192.0.2.1")
	prober.route("2001:db8:1::/64", "2001:db8::1")
	l := prober.open()
	for _, dst := range []netip.Addr{ip("203.0.113.77"), ip("2001:db8:1::77")} {
		prober.must(prober.ns.do(func() error {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
			if err != nil {
				return err
			}
			defer c.Close()
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				_, _ = c.Write(make([]byte, 1400)) // too large: that is what the router answers
				if r, err := l.Route(dst, netip.Addr{}); err == nil && r.MTU == 1300 {
					return nil
				} else if time.Now().After(deadline) {
					return fmt.Errorf("the kernel did not learn the path MTU of %s: %+v, %v", dst, r, err)
				}
			}
		}))
		rs, err := l.Routes()
		if err != nil {
			t.Fatal(err)
		}
		for a, want := range map[netip.Addr]int{dst.Prev(): 1500, dst: 1300, dst.Next(): 1500} {
			if r, err := rs.Route(a, netip.Addr{}); err != nil || r.MTU != want {
				t.Errorf("%s: %+v, %v; want an MTU of %d", a, r, err, want)
			}
		}
	}
}

// TestRoutesRedirect: a redirect that the kernel took for one destination, and
// does not list before somebody asks, says nothing of others.
func TestRoutesRedirect(t *testing.T) {
	prober, gw := network(t)
	prober.route("203.0.113.0/24", "192.0.2.1")
	prober.sysctl("net/ipv4/conf/all/accept_redirects", "1")
	prober.sysctl("net/ipv4/conf/eth0/accept_redirects", "1")
	mac := gw.mac("eth0") // the kernel takes only a router that it knows
	prober.must(prober.nl.NeighSet(&netlink.Neigh{LinkIndex: prober.link("eth0").Attrs().Index, Family: netlink.FAMILY_V4,
		State: netlink.NUD_PERMANENT, IP: net.ParseIP("192.0.2.2"), HardwareAddr: mac[:]}))
	l := prober.open()
	frame := redirect(prober.mac("eth0"), mac, "192.0.2.1", "192.0.2.9", "203.0.113.77", "192.0.2.2")

	dst, next := ip("203.0.113.77"), ip("203.0.113.78")
	var rs *Routes
	eventually(t, "redirect taken", func() bool {
		gw.send(frame)
		var err error
		rs, err = l.Routes() // before anybody asked about dst
		prober.must(err)
		r, err := rs.Route(dst, netip.Addr{})
		return err == nil && r.NextHop == ip("192.0.2.2")
	})
	want := func(a netip.Addr, hop string) {
		t.Helper()
		if r, err := rs.Route(a, netip.Addr{}); err != nil || r.NextHop != ip(hop) {
			t.Errorf("%s: %+v, %v; want %s", a, r, err, hop)
		}
	}
	want(next, "192.0.2.1")
	rs, err := l.Routes()
	prober.must(err)
	want(next, "192.0.2.1")
	want(dst, "192.0.2.2")
}

// redirect is a frame of router's that tells the prober to send what it answered
// to dst's ping to better: for that the kernel needs no socket.
func redirect(to, from [6]byte, router, prober, dst, better string) []byte {
	header := func(src, dst string, length byte) []byte {
		h := []byte{0x45, 0, 0, length, 0, 1, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0}
		a, b := ip(src).As4(), ip(dst).As4()
		h = append(append(h, a[:]...), b[:]...)
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		return h
	}
	g := ip(better).As4()
	m := append([]byte{5, 1, 0, 0}, g[:]...)
	m = append(append(m, header(prober, dst, 28)...), 0, 0, 0xff, 0xfd, 0, 1, 0, 1)
	binary.BigEndian.PutUint16(m[2:], checksum(m))
	f := append(append(slices.Clone(to[:]), from[:]...), 8, 0)
	return append(append(f, header(router, prober, byte(20+len(m)))...), m...)
}

// checksum is RFC 1071's, for an even number of bytes.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}
