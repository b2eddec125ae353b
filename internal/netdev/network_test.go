// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdpacket "github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// side is one end of a test's network: a namespace with the interface eth0.
type side struct {
	t    testing.TB
	name string
	ns   *namespace
	nl   *netlink.Handle
}

var namespaces atomic.Int32

// newSide makes a namespace that ends with the test.
func newSide(t testing.TB) *side {
	t.Helper()
	s := &side{t: t, name: fmt.Sprintf("npxnetdev%d-%d", os.Getpid(), namespaces.Add(1))}
	made := make(chan error)
	go func() { // the thread is in the new namespace now, and ends with this goroutine
		runtime.LockOSThread()
		h, err := netns.NewNamed(s.name)
		if err == nil {
			h.Close()
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.DeleteNamed(s.name); err != nil {
			t.Error(err)
		}
	})
	var err error
	if s.ns, err = openNamespace(s.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.ns.close)
	if s.nl, err = netlink.NewHandleAt(s.ns.handle, unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nl.Close)
	s.sysctl("net/ipv6/conf/default/accept_dad", "0")
	s.must(s.nl.LinkSetUp(s.link("lo")))
	return s
}

// network is a prober and a gateway with a veth pair between their eth0.
// 192.0.2.9/24 and 2001:db8::9/64 are the prober's, .1 and .2 (::1 and ::2) the gateway's.
func network(t testing.TB) (prober, gw *side) {
	t.Helper()
	needRoot(t)
	prober, gw = newSide(t), newSide(t)
	prober.connect("eth0", gw, "eth0")
	prober.addr("eth0", "192.0.2.9/24", "2001:db8::9/64")
	gw.addr("eth0", "192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64", "2001:db8::2/64", "fe80::1/64")
	return prober, gw
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root to make network namespaces")
	}
	t.Skip("needs root to make network namespaces")
}

func (s *side) connect(name string, peer *side, peerName string) {
	s.t.Helper()
	a := netlink.NewLinkAttrs()
	a.Name, a.NumRxQueues, a.NumTxQueues = name, 2, 2
	s.must(s.nl.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: peerName, PeerNamespace: netlink.NsFd(peer.ns.handle), PeerNumRxQueues: 2, PeerNumTxQueues: 2}))
	s.must(s.nl.LinkSetUp(s.link(name)))
	peer.must(peer.nl.LinkSetUp(peer.link(peerName)))
}

func (s *side) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *side) link(name string) netlink.Link {
	s.t.Helper()
	l, err := s.nl.LinkByName(name)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return l
}

func (s *side) addr(name string, prefixes ...string) {
	s.t.Helper()
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p)
		s.must(err)
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := s.nl.AddrAdd(s.link(name), a); err != nil {
			s.t.Fatalf("%s: %v", p, err)
		}
		// The kernel makes an IPv6 address its own a moment later.
		o := &netlink.RouteGetOptions{}
		if a.IP.IsLinkLocalUnicast() {
			o.OifIndex = s.link(name).Attrs().Index
		}
		eventually(s.t, p+" usable", func() bool {
			r, err := s.nl.RouteGetWithOptions(a.IP, o)
			return err == nil && len(r) == 1 && r[0].Type == unix.RTN_LOCAL
		})
	}
}

func (s *side) delAddr(name string, prefixes ...string) {
	s.t.Helper()
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p)
		s.must(err)
		s.must(s.nl.AddrDel(s.link(name), a))
	}
}

// route adds a route; an empty gateway means on-link.
func (s *side) route(dst, gateway string, change ...func(*netlink.Route)) {
	s.t.Helper()
	_, n, err := net.ParseCIDR(dst)
	s.must(err)
	r := &netlink.Route{Dst: n, LinkIndex: s.link("eth0").Attrs().Index, Gw: net.ParseIP(gateway)}
	for _, f := range change {
		f(r)
	}
	if err := s.nl.RouteAdd(r); err != nil {
		s.t.Fatalf("route %s via %s: %v", dst, gateway, err)
	}
}

func (s *side) sysctl(key, value string) {
	s.t.Helper()
	s.must(s.ns.do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) }))
}

func (s *side) mac(name string) [6]byte {
	s.t.Helper()
	return [6]byte(s.link(name).Attrs().HardwareAddr)
}

func (s *side) setMAC(mac [6]byte) {
	s.t.Helper()
	s.must(s.nl.LinkSetHardwareAddr(s.link("eth0"), mac[:]))
}

// mute stops the side from answering ARP and ND; its carrier stays.
func (s *side) mute(on bool) {
	s.t.Helper()
	if on {
		s.must(s.nl.LinkSetARPOff(s.link("eth0")))
	} else {
		s.must(s.nl.LinkSetARPOn(s.link("eth0")))
	}
}

// send puts a frame on the wire.
func (s *side) send(frame []byte) {
	s.t.Helper()
	s.must(s.ns.do(func() error {
		c, err := mdpacket.Listen(&net.Interface{Index: s.link("eth0").Attrs().Index}, mdpacket.Raw, unix.ETH_P_ALL, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.WriteTo(frame, &mdpacket.Addr{HardwareAddr: frame[:6]})
		return err
	}))
}

// open opens eth0 of the side.
func (s *side) open() *Link {
	s.t.Helper()
	l, err := Open(s.t.Context(), Options{Iface: "eth0", NetNS: s.name, Log: testLog(s.t)})
	s.must(err)
	s.t.Cleanup(func() { _ = l.Close() })
	return l
}

// testLog shows the log of a failed test.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventually waits for ok with a deadline that only a broken program misses.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
	}
}

func waitHop(t *testing.T, h *NextHop, state HopState, mac [6]byte) {
	t.Helper()
	var s HopState
	var m [6]byte
	defer func() {
		if t.Failed() {
			t.Logf("%s is %s at %s", h.Addr, s, hardwareAddr(m))
		}
	}()
	eventually(t, fmt.Sprintf("%s %s at %s", h.Addr, state, hardwareAddr(mac)), func() bool {
		s, m = h.Load()
		return s == state && m == mac
	})
}

func wantError(t *testing.T, err error, code int, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	if got := exitcode.Of(err); got != code {
		t.Errorf("exit code %d of %q, want %d", got, err, code)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }
