// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

var noMAC [6]byte

func TestHopIsLearnt(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "fe80::1"} {
		h := l.Hop(ip(addr))
		defer h.Release()
		waitHop(t, h, HopReady, gw.mac("eth0"))
	}
}

// TestHopGatewayReplaced: the gateway's MAC changes and nobody announces it.
func TestHopGatewayReplaced(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	old := gw.mac("eth0")
	v4, v6 := l.Hop(ip("192.0.2.1")), l.Hop(ip("fe80::1"))
	waitHop(t, v4, HopReady, old)
	waitHop(t, v6, HopReady, old)

	is := [6]byte{0x02, 0, 0, 0, 0, 0x77}
	gw.setMAC(is)
	start := time.Now()
	waitHop(t, v4, HopReady, is)
	waitHop(t, v6, HopReady, is)
	// Two seconds are promised; one more for a machine that does other things.
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("the new MAC was known after %v", d)
	}
}

func TestHopDiesAndReturns(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	v4, v6 := l.Hop(ip("192.0.2.1")), l.Hop(ip("2001:db8::1"))
	waitHop(t, v4, HopReady, gw.mac("eth0"))
	waitHop(t, v6, HopReady, gw.mac("eth0"))
	gw.delAddr("eth0", "192.0.2.1/24", "2001:db8::1/64")
	waitHop(t, v4, HopFailed, noMAC)
	waitHop(t, v6, HopFailed, noMAC)
	gw.addr("eth0", "192.0.2.1/24", "2001:db8::1/64")
	waitHop(t, v4, HopReady, gw.mac("eth0"))
	waitHop(t, v6, HopReady, gw.mac("eth0"))
}

func TestHopNobodyThere(t *testing.T) {
	prober, _ := network(t)
	l := prober.open()
	h := l.Hop(ip("192.0.2.200"))
	if s, _ := h.Load(); s != HopPending {
		t.Errorf("at first %s, want pending", s)
	}
	waitHop(t, h, HopFailed, noMAC)
}

func TestHopAnnouncements(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	h, h6 := l.Hop(ip("192.0.2.1")), l.Hop(ip("2001:db8::1"))
	waitHop(t, h, HopReady, gw.mac("eth0"))
	waitHop(t, h6, HopReady, gw.mac("eth0"))
	other := l.Hop(ip("192.0.2.2"))
	waitHop(t, other, HopReady, gw.mac("eth0"))
	gw.mute(true)

	// From another VLAN: the same address there is another station. Nor is a
	// frame for another host meant for us.
	tagged := gratuitous([6]byte{2, 0, 0, 0, 0, 0x66}, "192.0.2.1")
	tagged = append(tagged[:12:12], append([]byte{0x81, 0, 0, 7}, tagged[12:]...)...)
	foreign := gratuitous([6]byte{2, 0, 0, 0, 0, 0x67}, "192.0.2.1")
	copy(foreign, []byte{2, 0, 0, 0, 0, 0x99})
	for range 3 {
		gw.send(tagged)
		gw.send(foreign)
		gw.send(gratuitous([6]byte{2, 0, 0, 0, 0, 0x54}, "192.0.2.2")) // shows that they have arrived
	}
	waitHop(t, other, HopReady, [6]byte{2, 0, 0, 0, 0, 0x54})
	if _, m := h.Load(); m[5] == 0x66 || m[5] == 0x67 {
		t.Errorf("took %s from another VLAN or a frame for another host", hardwareAddr(m))
	}

	for _, test := range []struct {
		hop   *NextHop
		mac   [6]byte
		frame func(mac [6]byte) []byte
	}{
		{h, [6]byte{2, 0, 0, 0, 0, 0x55}, func(mac [6]byte) []byte { return gratuitous(mac, "192.0.2.1") }},
		{h6, [6]byte{2, 0, 0, 0, 0, 0x56}, func(mac [6]byte) []byte { return advertisement(mac, "2001:db8::1", 0x20) }},
	} {
		last := time.Time{}
		eventually(t, "announced MAC in use", func() bool {
			if time.Since(last) > 200*time.Millisecond {
				last = time.Now()
				gw.send(test.frame(test.mac))
			}
			s, m := test.hop.Load()
			return s == HopReady && m == test.mac
		})
	}
}

func TestHopPermanentEntry(t *testing.T) {
	prober, gw := network(t)
	pinned := [6]byte{2, 0, 0, 0, 0, 0x44}
	entry := &netlink.Neigh{
		LinkIndex: prober.link("eth0").Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
		IP: net.ParseIP("192.0.2.1"), HardwareAddr: pinned[:],
	}
	prober.must(prober.nl.NeighSet(entry))
	l := prober.open()
	h, later := l.Hop(ip("192.0.2.1")), l.Hop(ip("192.0.2.2"))
	waitHop(t, h, HopReady, pinned)
	waitHop(t, later, HopReady, gw.mac("eth0"))

	second := *entry
	second.IP = net.ParseIP("192.0.2.2")
	prober.must(prober.nl.NeighSet(&second))
	waitHop(t, later, HopReady, pinned)
	gw.send(gratuitous([6]byte{2, 0, 0, 0, 0, 0x45}, "192.0.2.1"))
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, m := h.Load(); m != pinned {
			t.Fatalf("a permanent entry gave way to %s", hardwareAddr(m))
		}
	}
	prober.must(prober.nl.NeighDel(entry))
	waitHop(t, h, HopReady, gw.mac("eth0"))
}

func TestHopLinkFlap(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	h := l.Hop(ip("192.0.2.1"))
	waitHop(t, h, HopReady, gw.mac("eth0"))
	gw.must(gw.nl.LinkSetDown(gw.link("eth0"))) // carrier
	waitHop(t, h, HopDown, noMAC)
	if l.Up() {
		t.Error("Up without carrier")
	}
	if down := l.Hop(ip("192.0.2.2")); true {
		waitHop(t, down, HopDown, noMAC)
	}
	gw.must(gw.nl.LinkSetUp(gw.link("eth0")))
	waitHop(t, h, HopReady, gw.mac("eth0"))
	if !l.Up() {
		t.Error("not Up with carrier")
	}
	prober.must(prober.nl.LinkSetDown(prober.link("eth0")))
	waitHop(t, h, HopDown, noMAC)
	prober.must(prober.nl.LinkSetUp(prober.link("eth0")))
	waitHop(t, h, HopReady, gw.mac("eth0"))
}

func TestHopIsShared(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	a, b := l.Hop(ip("192.0.2.1")), l.Hop(ip("192.0.2.1"))
	if a != b {
		t.Fatal("two pointers for one address")
	}
	a.Release()
	is := [6]byte{0x02, 0, 0, 0, 0, 0x78}
	waitHop(t, b, HopReady, gw.mac("eth0"))
	gw.setMAC(is)
	waitHop(t, b, HopReady, is) // still kept fresh
	b.Release()
	c := l.Hop(ip("192.0.2.1"))
	if c == b {
		t.Error("a released next hop came back")
	}
	waitHop(t, c, HopReady, is)
}

// gratuitous is an ARP reply that announces addr to all.
func gratuitous(mac [6]byte, addr string) []byte {
	a := ip(addr).As4()
	f := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2)
	f = append(append(f, mac[:]...), a[:]...)
	return append(append(f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), a[:]...)
}

// advertisement is a neighbour advertisement to all nodes.
func advertisement(mac [6]byte, addr string, flags byte) []byte {
	src, dst := ip(addr).As16(), ip("ff02::1").As16()
	m := append([]byte{136, 0, 0, 0, flags, 0, 0, 0}, src[:]...)
	m = append(append(m, 2, 1), mac[:]...)
	sum := uint32(58 + len(m))
	for _, b := range [][]byte{src[:], dst[:], m} {
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	f := append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac[:]...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(m)), 58, 255)
	return append(append(append(f, src[:]...), dst[:]...), m...)
}
