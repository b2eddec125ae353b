// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair connects "a" (192.0.2.1) and "b" (192.0.2.2) and returns the ends.
func pair(l *Lab) (a, b *End) {
	return l.Connect(l.Host("a"), l.Host("b"), Link{
		Queues: 2,
		A:      []string{"192.0.2.1/24", "2001:db8::1/64"},
		B:      []string{"192.0.2.2/24", "2001:db8::2/64"},
	})
}

// ping sends n echo requests from h and fails unless all are answered.
func ping(t *testing.T, h *Host, addr string, n string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), "ping", "-n", "-i", "0.002", "-c", n, "-W", "2", addr)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, " 0% packet loss") {
		t.Fatalf("ping %s from %s:\n%s", addr, h.Name, out)
	}
	return out
}

func TestPingThroughRouter(t *testing.T) {
	l := ForTest(t, "lab")
	prober, r1, far := l.Host("prober"), l.Router("r1"), l.Host("far")
	p, pr := l.Connect(prober, r1, Link{
		A: []string{"192.0.2.1/24", "2001:db8::1/64"},
		B: []string{"192.0.2.254/24", "2001:db8::fe/64"},
	})
	_, f := l.Connect(r1, far, Link{
		A: []string{"198.51.100.254/24", "2001:db8:1::fe/64"},
		B: []string{"198.51.100.1/24", "2001:db8:1::1/64"},
	})
	prober.SetRoute(Default4, Hop{Via: "192.0.2.254"})
	// The IPv6 gateway is a link-local one.
	prober.SetRoute(Default6, Hop{Via: pr.LinkLocal().String(), On: p})
	far.SetRoute(Default4, Hop{Via: "198.51.100.254"})
	far.SetRoute(Default6, Hop{Via: "2001:db8:1::fe"})

	if p.Name != "to-r1" || f.Name != "to-r1" || pr.Name != "to-prober" {
		t.Errorf("interface names %s, %s, %s", p.Name, f.Name, pr.Name)
	}
	ping(t, prober, "198.51.100.1", "5")
	ping(t, prober, "2001:db8:1::1", "5")
}

func TestLinkIsWhatItSays(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := l.Host("a"), l.Host("b")
	ea, eb := l.Connect(a, b, Link{Queues: 3, MTU: 2000})
	if ea.Peer != eb || eb.Peer != ea {
		t.Error("the ends are not each other's peers")
	}
	for _, e := range []*End{ea, eb} {
		link, err := e.Host.nl.LinkByIndex(e.Index)
		if err != nil {
			t.Fatal(err)
		}
		at := link.Attrs()
		if at.Name != e.Name || at.HardwareAddr.String() != e.MAC.String() || at.MTU != 2000 ||
			at.NumRxQueues != 3 || at.NumTxQueues != 3 {
			t.Errorf("end %+v is %+v", e, at)
		}
		if ll := e.LinkLocal(); !ll.IsLinkLocalUnicast() {
			t.Errorf("link-local address %v", ll)
		}
	}
	second, _ := l.Connect(a, b, Link{})
	if second.Name != "to-b-2" {
		t.Errorf("the second link is called %s", second.Name)
	}
}

func TestChecksumOffload(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := l.Host("a"), l.Host("b")
	on, off := l.Connect(a, b, Link{ChecksumB: true})
	for _, tt := range []struct {
		end  *End
		want string
	}{{on, "tx-checksum-ip-generic: on"}, {off, "tx-checksum-ip-generic: off"}} {
		out, err := tt.end.Host.Exec(t.Context(), "ethtool", "-k", tt.end.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, tt.want) {
			t.Errorf("%s of %s: want %q in\n%s", tt.end.Name, tt.end.Host.Name, tt.want, out)
		}
	}
}

func TestRouteECMPAndMove(t *testing.T) {
	l := ForTest(t, "lab")
	a, b, c := l.Host("a"), l.Host("b"), l.Host("c")
	l.Connect(a, b, Link{A: []string{"192.0.2.1/25", "2001:db8:b::1/64"}, B: []string{"192.0.2.2/25", "2001:db8:b::2/64"}})
	l.Connect(a, c, Link{A: []string{"192.0.2.129/25", "2001:db8:c::1/64"}, B: []string{"192.0.2.130/25", "2001:db8:c::2/64"}})
	routes := func(args ...string) string {
		out, err := a.Exec(t.Context(), "ip", args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	a.SetRoute("198.51.100.0/24", Hop{Via: "192.0.2.2"}, Hop{Via: "192.0.2.130"})
	a.SetRoute("2001:db8:f::/48", Hop{Via: "2001:db8:b::2"}, Hop{Via: "2001:db8:c::2"})
	for _, tt := range [][3]string{{"198.51.100.0/24", "192.0.2.130", "-4"}, {"2001:db8:f::/48", "2001:db8:c::2", "-6"}} {
		if out := routes(tt[2], "route", "show", tt[0]); strings.Count(out, "nexthop") != 2 || !strings.Contains(out, "via "+tt[1]) {
			t.Errorf("equal-cost route: %s", out)
		}
	}
	a.SetRoute("198.51.100.0/24", Hop{Via: "192.0.2.130"})
	if out := routes("route", "show", "198.51.100.0/24"); strings.Contains(out, "nexthop") || !strings.Contains(out, "via 192.0.2.130") {
		t.Errorf("moved route: %s", out)
	}
	a.DelRoute("198.51.100.0/24")
	if out := routes("route", "show", "198.51.100.0/24"); out != "" {
		t.Errorf("deleted route: %s", out)
	}
}

func TestEndChanges(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	b.SetMAC(mac)
	a.SetNeighbour("192.0.2.2", mac)
	ping(t, a.Host, "192.0.2.2", "1")
	b.AddAddr("192.0.2.3/24")
	ping(t, a.Host, "192.0.2.3", "1")
	b.DelAddr("192.0.2.3/24")
	if len(b.Addrs) != 2 {
		t.Errorf("addresses %v", b.Addrs)
	}
	b.SetUp(false)
	if out, err := a.Host.Exec(t.Context(), "ping", "-n", "-c", "1", "-W", "1", "192.0.2.2"); err == nil {
		t.Errorf("answered over a link that is down:\n%s", out)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	l := ForTest(t, "lab")
	a, _ := pair(l)
	mine := func() []string {
		names, err := filepath.Glob(filepath.Join(netnsDir, l.prefix+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := mine(); len(got) != 2 {
		t.Fatalf("namespaces %v", got)
	}
	ino := inode(t, filepath.Join(netnsDir, a.Host.Netns))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mine(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	// Nothing in this process keeps the namespace alive either.
	if holds := holders(t, ino); len(holds) != 0 {
		t.Errorf("still open: %v", holds)
	}
}

func TestCloseAfterFailure(t *testing.T) {
	if os.Geteuid() != 0 {
		ForTest(t, "lab")
	}
	l := New(Options{})
	a, b := l.Host("a"), l.Host("b")
	l.Connect(a, b, Link{A: []string{"192.0.2.300/24"}})
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "192.0.2.300") {
		t.Errorf("error %v", err)
	}
	a.SetRoute(Default4, Hop{Via: "192.0.2.1"}) // does nothing now
	c := l.Host("c")
	if err := c.Do(func() error { return nil }); err == nil {
		t.Error("entered a host that was never made")
	}
	if _, err := AttachReflector(&End{Host: c}, ReflectorOptions{}).Counts(); err == nil {
		t.Error("read the counters of a reflector that was never attached")
	}
	if _, _, w := l.ConnectDelayed(a, b, Link{}); w != nil {
		if _, err := w.Lost(); err == nil {
			t.Error("read the counters of a wire that was never built")
		}
	}
	if _, err := a.DropAll(Input, Match{}).Counts(); err == nil {
		t.Error("read the counters of a filter that was never installed")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(netnsDir, l.prefix+"-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSweep(t *testing.T) {
	l := ForTest(t, "lab")
	living := l.Host("a")

	// Leftovers of a process that is dead: a namespace, and a name without
	// one. Process ids end at 2^22.
	dead := namePrefix + "lab4194999-a"
	ns, err := createNetns(dead)
	if err != nil {
		t.Fatal(err)
	}
	ns.Close()
	file := filepath.Join(netnsDir, namePrefix+"lab4194999.2-b")
	if err := os.WriteFile(file, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	// One that no Lab made stays.
	other := filepath.Join(netnsDir, "npxlab-of-somebody-else-"+itoa(os.Getpid()))
	if err := os.WriteFile(other, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(other)

	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{filepath.Join(netnsDir, dead), file} {
		if _, err := os.Lstat(gone); err == nil {
			t.Errorf("%s was not swept", gone)
		}
	}
	for _, stays := range []string{filepath.Join(netnsDir, living.Netns), other} {
		if _, err := os.Lstat(stays); err != nil {
			t.Errorf("swept what lives: %v", err)
		}
	}
	if err := living.Do(func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", "Upper", "dot.ted", "much-too-long"} {
		if validHostName(name) {
			t.Errorf("host name %q passed", name)
		}
	}
	for _, name := range []string{"", "lab1", "a-b"} {
		if validName(name) {
			t.Errorf("lab name %q passed", name)
		}
	}
	if p := netip.MustParsePrefix("192.0.2.7/24"); ipNet(p).String() != "192.0.2.7/24" {
		t.Errorf("ipNet(%v) = %v", p, ipNet(p))
	}
}

// A process that is killed leaves its namespaces, none of its commands, and
// the next Sweep takes the rest away.
func TestKilledProcess(t *testing.T) {
	l := ForTest(t, "lab")
	const childEnv = "LAB_TEST_CHILD"
	if os.Getenv(childEnv) != "" {
		p, err := l.Host("a").Start(context.Background(), "sleep", "1000")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("ready %s %d\n", l.hosts[0].Netns, p.PID())
		time.Sleep(time.Minute)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	child.Env = append(os.Environ(), childEnv+"=1")
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var name string
	var pid int
	_, scanErr := fmt.Fscanf(stdout, "ready %s %d\n", &name, &pid)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if scanErr != nil {
		t.Fatalf("the child said nothing: %v", scanErr)
	}
	ns := filepath.Join(netnsDir, name)
	if _, err := os.Lstat(ns); err != nil {
		t.Fatalf("the killed child left no namespace: %v", err)
	}
	waitFor(t, func() bool { return !running(pid) }, func() string { return "the command of the killed child still runs" })
	if err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(ns); err == nil {
		t.Errorf("%s was not swept", ns)
	}
}

// running says whether a process lives; one that nobody has waited for yet
// does not.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
