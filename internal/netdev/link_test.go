// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

func TestOpenRefuses(t *testing.T) {
	needRoot(t)
	prober, gw := newSide(t), newSide(t)
	open := func(iface, ns string) error {
		l, err := Open(t.Context(), Options{Iface: iface, NetNS: ns, Log: testLog(t)})
		if err == nil {
			_ = l.Close()
		}
		return err
	}
	prober.connect("eth0", gw, "eth0")
	wantError(t, open("eth9", prober.name), exitcode.Unavailable, "eth9 does not exist", prober.name, "existing: ", "lo", "eth0")
	wantError(t, open("an-interface-name-that-is-too-long", prober.name), exitcode.Unavailable, "does not exist")
	wantError(t, open("lo", prober.name), exitcode.Unavailable, "lo", "loopback")
	wantError(t, open("eth0", prober.name), exitcode.Unavailable, "has no address", "ip addr add")
	prober.must(prober.nl.LinkSetDown(prober.link("eth0")))
	wantError(t, open("eth0", prober.name), exitcode.Unavailable, "is down", "ip link set eth0 up")
	wantError(t, open("eth0", "npxnetdev-no-such"), exitcode.Unavailable, "/run/netns/npxnetdev-no-such", "existing: ", prober.name)
	wantError(t, open("eth0", "/no/such/path"), exitcode.Unavailable, "/no/such/path")
	wantError(t, open("eth0", os.Args[0]), exitcode.Unavailable, "enter network namespace "+os.Args[0])

	// An unnumbered link takes its source from the loopback interface.
	prober.must(prober.nl.LinkSetUp(prober.link("eth0")))
	prober.addr("lo", "198.51.100.1/32")
	if err := open("eth0", "/run/netns/"+prober.name); err != nil {
		t.Errorf("unnumbered link, namespace by path: %v", err)
	}
}

func TestNotEthernet(t *testing.T) {
	l := &Link{ns: &namespace{}}
	err := l.usable(&netlink.LinkAttrs{Name: "tun0", EncapType: "none", RawFlags: unix.IFF_UP})
	wantError(t, err, exitcode.Unavailable, "tun0", "not Ethernet")
}

func TestDo(t *testing.T) {
	needRoot(t)
	s := newSide(t)
	here, err := os.Readlink("/proc/thread-self/ns/net")
	s.must(err)
	var there string
	s.must(Do(s.name, func() (err error) {
		there, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	}))
	if there == here || there == "" {
		t.Errorf("inside %q, outside %q", there, here)
	}
	// A name and a path are of the same namespace, and another one is told apart.
	byName, err := NetNS(s.name)
	s.must(err)
	byPath, err := NetNS("/run/netns/" + s.name)
	s.must(err)
	mine, err := NetNS("")
	s.must(err)
	if byName != byPath || byName == mine || !strings.HasSuffix("net:["+strings.Split(byName, ":")[1]+"]", there) {
		t.Errorf("%s is %q by name and %q by path, this is %q", there, byName, byPath, mine)
	}
	if name := NameOf(byName); name != s.name || NameOf("0:0") != "" {
		t.Errorf("%s is called %q", byName, name)
	}
	failed := errors.New("as it should")
	if err := Do(s.name, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("the function's error became %v", err)
	}
	if now, _ := os.Readlink("/proc/thread-self/ns/net"); now != here {
		t.Errorf("left in %s", now)
	}
}

func TestInfo(t *testing.T) {
	prober, _ := network(t)
	l := prober.open()
	i, err := l.Info()
	prober.must(err)
	if i.Name != "eth0" || i.Index != l.Index() || i.Driver != "veth" || i.MTU != 1500 || !i.AdminUp || !i.Carrier {
		t.Errorf("%+v", i)
	}
	if q := i.Queues; q.Receive() != 2 || q.Transmit() != 2 {
		t.Errorf("queues %+v, made 2 of each", q)
	}
	if !strings.Contains(join(i.Addresses), "192.0.2.9/24, 2001:db8::9/64") {
		t.Errorf("addresses %v", i.Addresses)
	}
	if l.MAC() != prober.mac("eth0") || i.MAC != hardwareAddr(l.MAC()).String() {
		t.Errorf("MAC %s and %s", i.MAC, hardwareAddr(l.MAC()))
	}
	for _, on := range []bool{false, true} {
		prober.ethtool("-K", "eth0", "rxvlan", onOff(on))
		if i, err := l.Info(); err != nil || i.VLANStripping != on {
			t.Errorf("rxvlan %s: VLANStripping %v, %v", onOff(on), i.VLANStripping, err)
		}
	}
	prober.ethtool("-L", "eth0", "rx", "1")
	if i, err := l.Info(); err != nil || i.Queues.Receive() != 1 || i.Queues.MaxRX != 2 {
		t.Errorf("after ethtool -L rx 1: %+v, %v", i.Queues, err)
	}
}

// ethtool runs ethtool(8) in the namespace.
func (s *side) ethtool(args ...string) {
	s.t.Helper()
	path, err := exec.LookPath("ethtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			s.t.Fatal("needs ethtool")
		}
		s.t.Skip("needs ethtool")
	}
	s.must(s.ns.do(func() error {
		out, err := exec.Command(path, args...).CombinedOutput()
		if err != nil {
			s.t.Logf("ethtool %s: %s", args, out)
		}
		return err
	}))
}

func TestXDPHolder(t *testing.T) {
	prober, _ := network(t)
	l := prober.open()
	if h, err := l.XDPHolder(); h != nil || err != nil {
		t.Fatalf("free slot: %v, %v", h, err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebody", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	prober.must(err)
	defer prog.Close()
	for mode, flags := range map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode} {
		var att link.Link
		prober.must(l.Do(func() (err error) {
			att, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Index(), Flags: flags})
			return err
		}))
		h, err := l.XDPHolder()
		prober.must(err)
		if h == nil || h.Mode != mode || h.Name != "somebody" || h.Tag == "" || h.ProgramID == 0 {
			t.Fatalf("%s: %+v", mode, h)
		}
		if len(h.Processes) != 1 || h.Processes[0].PID != os.Getpid() || !h.Processes[0].Link {
			t.Errorf("%s: processes %+v, want this one (%d)", mode, h.Processes, os.Getpid())
		}
		if s := h.String(); !strings.HasPrefix(s, "XDP slot of eth0 is held by program somebody (id ") {
			t.Error(s)
		}
		r, err := Inspect(t.Context(), Options{Iface: "eth0", NetNS: prober.name})
		prober.must(err)
		if len(r.Problems) != 1 || r.Problems[0] != h.String() {
			t.Errorf("problems %q", r.Problems)
		}
		prober.must(att.Close())
		if h, err := l.XDPHolder(); h != nil || err != nil {
			t.Fatalf("after detaching: %v, %v", h, err)
		}
	}
}

func TestInspect(t *testing.T) {
	prober, _ := network(t)
	prober.route("0.0.0.0/0", "192.0.2.1")
	prober.route("::/0", "fe80::1")
	r, err := Inspect(t.Context(), Options{Iface: "eth0", NetNS: prober.name})
	prober.must(err)
	if len(r.Problems) != 0 || join(r.Gateways) != "192.0.2.1, fe80::1" || r.XDP != nil {
		t.Errorf("%+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	var text strings.Builder
	for _, row := range r.Rows() {
		text.WriteString(row.Label + ": " + row.Value + "\n")
	}
	for _, want := range []string{"driver: veth\n", "MTU: 1500\n", "queues: 2 receive, 2 transmit (at most 2 and 2); a run takes them all, and meanwhile the kernel refuses fewer\n", "XDP slot: free\n", "AF_XDP sockets: yes\n", "CAP_NET_ADMIN: yes\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no line %q in\n%s", want, text.String())
		}
	}
	prober.must(prober.nl.LinkSetDown(prober.link("eth0")))
	if r, err = Inspect(t.Context(), Options{Iface: "eth0", NetNS: prober.name}); err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), "is down") {
		t.Errorf("down: %v, %v", r.Problems, err)
	}
}

func TestLinkRenamedAndDeleted(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	h := l.Hop(ip("192.0.2.1"))
	waitHop(t, h, HopReady, gw.mac("eth0"))

	prober.must(prober.nl.LinkSetName(prober.link("eth0"), "wan0"))
	eventually(t, "the new name", func() bool { return l.Name() == "wan0" })
	if i, err := l.Info(); err != nil || i.Name != "wan0" {
		t.Errorf("Info after renaming: %+v, %v", i, err)
	}
	mac := [6]byte{2, 0, 0, 0, 0, 0x31}
	prober.must(prober.nl.LinkSetHardwareAddr(prober.link("wan0"), mac[:]))
	prober.must(prober.nl.LinkSetMTU(prober.link("wan0"), 1400))
	eventually(t, "own MAC and MTU", func() bool { return l.MAC() == mac && l.MTU() == 1400 })
	waitHop(t, h, HopReady, gw.mac("eth0"))
	if !l.Up() || l.Gone() {
		t.Error("renaming took the link down")
	}

	// The bridge announces a port that leaves it as a deleted link of its own
	// family.
	bridge := netlink.NewLinkAttrs()
	bridge.Name = "br0"
	prober.must(prober.nl.LinkAdd(&netlink.Bridge{LinkAttrs: bridge}))
	prober.must(prober.nl.LinkSetMaster(prober.link("wan0"), prober.link("br0")))
	if i, err := l.Info(); err != nil || i.Master != "br0" || i.MasterKind != "bridge" {
		t.Errorf("Info of a bridge's port: %+v, %v", i, err)
	}
	prober.must(prober.nl.LinkSetNoMaster(prober.link("wan0")))
	drain(l)
	if !l.Up() || l.Gone() {
		t.Error("leaving a bridge took the link down")
	}

	prober.must(prober.nl.LinkDel(prober.link("wan0")))
	waitHop(t, h, HopDown, noMAC)
	if l.Up() || !l.Gone() {
		t.Errorf("deleted: Up %v, Gone %v", l.Up(), l.Gone())
	}
	waitChange(t, l, "deletion")
	prober.connect("eth0", gw, "eth0") // one of the same name is another
	if l.Hop(ip("192.0.2.2")); l.Up() {
		t.Error("a deleted link came back")
	}
	_, err := l.Info()
	wantError(t, err, 1, "wan0")
}

func TestChanges(t *testing.T) {
	prober, gw := network(t)
	l := prober.open()
	_, dst, _ := net.ParseCIDR("203.0.113.0/24")
	route := &netlink.Route{Dst: dst, LinkIndex: l.Index(), Gw: net.ParseIP("192.0.2.1")}
	rule := netlink.NewRule()
	rule.Src, rule.Table, rule.Priority, rule.Family = dst, 100, 1000, netlink.FAMILY_V4
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"route", func() error { return prober.nl.RouteAdd(route) }},
		{"route deleted", func() error { return prober.nl.RouteDel(route) }},
		{"rule", func() error { return prober.nl.RuleAdd(rule) }},
		{"rule deleted", func() error { return prober.nl.RuleDel(rule) }},
		{"address", func() error { prober.addr("eth0", "192.0.2.10/24"); return nil }},
		{"IPv6 address", func() error { prober.addr("eth0", "2001:db8::10/64"); return nil }},
		{"IPv6 route", func() error { prober.route("2001:db8:1::/48", "2001:db8::1"); return nil }},
		{"carrier", func() error { return gw.nl.LinkSetDown(gw.link("eth0")) }},
	} {
		drain(l)
		prober.must(step.do())
		waitChange(t, l, step.what)
	}
}

// TestOverflow: announcements were lost, so everything must be learnt anew.
func TestOverflow(t *testing.T) {
	prober, _ := network(t)
	l, _, err := find(Options{Iface: "eth0", NetNS: prober.name, Log: testLog(t)})
	prober.must(err)
	t.Cleanup(func() { _ = l.Close() })
	sub, err := l.subscribe()
	prober.must(err)
	prober.must(sub.SetReceiveBufferSize(1, false)) // the kernel makes it its minimum
	for i := range 100 {
		prober.route(fmt.Sprintf("203.0.113.%d/32", i), "192.0.2.1")
	}
	prober.must(prober.nl.LinkSetMTU(prober.link("eth0"), 1300))

	replaced := make(chan struct{})
	l.wg.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			case e := <-l.events:
				if _, ok := e.(kernelReplaced); ok {
					close(replaced)
				}
			}
		}
	})
	l.wg.Go(func() { l.follow(sub) })
	select {
	case <-replaced:
	case <-time.After(20 * time.Second):
		t.Fatal("the kernel's neighbours were not read again")
	}
	if l.MTU() != 1300 {
		t.Errorf("MTU %d, want the 1300 that was not announced", l.MTU())
	}
	waitChange(t, l, "overflow")
	drain(l)
	prober.route("203.0.113.200/32", "192.0.2.1")
	waitChange(t, l, "route after the overflow")
}

func drain(l *Link) {
	for quiet := time.Now(); time.Since(quiet) < 4*settle; {
		select {
		case <-l.Changes():
			quiet = time.Now()
		case <-time.After(settle):
		}
	}
}

func waitChange(t *testing.T, l *Link, what string) {
	t.Helper()
	select {
	case <-l.Changes():
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: no change was signalled", what)
	}
}
