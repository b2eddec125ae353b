// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// star is a prober with three links, each to a host.
func star(t *testing.T) (prober *lab.Host, ends []*lab.End, addrs []map[string]string) {
	t.Helper()
	l := lab.ForTest(t, "truth")
	prober = l.Host("prober")
	for i, name := range []string{"a", "b", "c"} {
		h := l.Host(name)
		addrs = append(addrs, map[string]string{"ipv4": fmt.Sprintf("198.51.%d.2", 100+i), "ipv6": fmt.Sprintf("2001:db8:%d::2", i+1)})
		near, _ := l.Connect(prober, h, lab.Link{
			Queues: 2,
			A:      []string{fmt.Sprintf("198.51.%d.1/24", 100+i), fmt.Sprintf("2001:db8:%d::1/64", i+1)},
			B:      []string{addrs[i]["ipv4"] + "/24", addrs[i]["ipv6"] + "/64"},
		})
		h.UnlimitedICMP()
		ends = append(ends, near)
	}
	return prober, ends, addrs
}

// Two interfaces are probed through, each with the targets behind it.
func TestTwoInterfaces(t *testing.T) {
	t.Parallel()
	const packets = 200
	prober, ends, addrs := star(t)
	s := setup{on: prober, hosts: []*lab.Host{ends[0].Peer.Host, ends[1].Peer.Host}, ifaces: []string{ends[0].Name, ends[1].Name}, interval: 5 * time.Second, gap: 10 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}}
	s.targets = append(everyType("a-", packets, 0, addrs[0]), everyType("b-", packets, 0, addrs[1])...)
	r := start(t, s)
	r.quiet(1, func() {
		for _, tg := range s.targets {
			r.whole(tg.name, packets)
		}
		r.accounted()
		p := r.page()
		for i, e := range ends[:2] {
			steered, _ := p.sum(t, "netprobe_steered_total", `interface="`+e.Name+`"`)
			if want := uint64(len(s.targets) / 2 * packets); steered+r.unable() < want || steered > want {
				t.Errorf("interface %s: %d answers, want %d", e.Name, steered, want)
			}
			if seen, want := arrived(t, e.Peer.Host), uint64(len(s.targets)/2*packets); seen != want {
				t.Errorf("host %d saw %d probes, want %d", i, seen, want)
			}
		}
	})
}

// A target behind an interface that is not named is a fault of the
// configuration, with its place in the file; nothing is probed.
func TestTargetBehindAnotherInterface(t *testing.T) {
	t.Parallel()
	prober, ends, addrs := star(t)
	s := setup{on: prober, ifaces: []string{ends[0].Name, ends[1].Name}, interval: 5 * time.Second, gap: 10 * time.Millisecond}
	s.targets = append(everyType("a-", 1, 0, addrs[0]), target{name: "elsewhere", kind: "ICMPping", addr: addrs[2]["ipv6"]})
	r := begin(t, s)
	err := r.started()
	if exitcode.Of(err) != exitcode.Config {
		t.Fatalf("exit code %d, want %d: %v", exitcode.Of(err), exitcode.Config, err)
	}
	m := regexp.MustCompile(`(?m)^(.*netprobe\.yaml):(\d+): targets\.(\S+)\.destination: the route to (\S+) leaves by interface (\S+); .*--iface (\S+),`).FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("the fault is not said as it should be: %v", err)
	}
	b, ferr := os.ReadFile(m[1])
	if ferr != nil {
		t.Fatal(ferr)
	}
	line, _ := strconv.Atoi(m[2])
	if text := strings.Split(string(b), "\n")[line-1]; !strings.Contains(text, "destination: "+addrs[2]["ipv6"]) && !strings.Contains(text, addrs[2]["ipv6"]) {
		t.Errorf("line %d is %q, which does not hold the destination", line, text)
	}
	if m[3] != r.names["elsewhere"] || m[4] != addrs[2]["ipv6"] || m[5] != ends[2].Name || m[6] != ends[2].Name {
		t.Errorf("the fault names others: %v", err)
	}
	if n := strings.Count(err.Error(), "netprobe.yaml:"); n != 1 {
		t.Errorf("%d faults, want 1: %v", n, err)
	}
}

// The link by which a route goes is down, and the kernel has a second route by
// another of the named interfaces: probing goes on there, and comes back with the
// first.
func TestRouteFailsOverToTheOtherInterface(t *testing.T) {
	t.Parallel()
	const packets, anycast = 50, "203.0.113.9"
	prober, ends, addrs := star(t)
	for i, e := range ends[:2] {
		must(t, e.Peer.Host, "ip", "route", "add", "local", anycast+"/32", "dev", "lo")
		must(t, prober, "ip", "route", "add", anycast+"/32", "via", addrs[i]["ipv4"], "metric", fmt.Sprint(10+i))
	}
	r := start(t, setup{
		on: prober, ifaces: []string{ends[0].Name, ends[1].Name}, interval: 2 * time.Second, gap: 10 * time.Millisecond,
		targets: []target{{name: "anycast", kind: "ICMPping", addr: anycast, packets: packets, timeout: 300 * time.Millisecond}},
	})
	goesTo := func(e *lab.End) {
		t.Helper()
		before := arrived(t, e.Peer.Host)
		r.wait(func() bool { return arrived(t, e.Peer.Host) >= before+packets }, 20*time.Second, func() string { return "no probes arrive by " + e.Name })
	}
	goesTo(ends[0])
	ends[0].SetUp(false)
	goesTo(ends[1])
	ends[0].SetUp(true) // which the kernel does without the routes that were there
	must(t, prober, "ip", "route", "replace", anycast+"/32", "via", addrs[0]["ipv4"], "metric", "10")
	goesTo(ends[0])
	r.wait(func() bool { return r.of("anycast").Rounds > 0 }, 10*time.Second, func() string { return "no round" }) // it began anew
	if got := r.of("anycast"); got.Lost != 0 || got.Sent == 0 {
		t.Errorf("%s; want none lost", show(got))
	}
}

// A route that moves to another of the named interfaces takes its target with
// it: probing goes on there.
func TestRouteMovesToTheOtherInterface(t *testing.T) {
	t.Parallel()
	const packets, anycast = 50, "203.0.113.9"
	prober, ends, addrs := star(t)
	for _, e := range ends[:2] {
		must(t, e.Peer.Host, "ip", "route", "add", "local", anycast+"/32", "dev", "lo")
	}
	prober.SetRoute(anycast+"/32", lab.Hop{Via: addrs[0]["ipv4"]})
	r := start(t, setup{
		on: prober, hosts: []*lab.Host{ends[0].Peer.Host, ends[1].Peer.Host}, ifaces: []string{ends[0].Name, ends[1].Name},
		interval: 2 * time.Second, gap: 10 * time.Millisecond,
		targets: []target{{name: "anycast", kind: "ICMPping", addr: anycast, packets: packets, timeout: 300 * time.Millisecond}},
	})
	r.quiet(1, func() {
		if first, second := arrived(t, ends[0].Peer.Host), arrived(t, ends[1].Peer.Host); first != packets || second != 0 {
			t.Errorf("%d probes arrived by the route, %d elsewhere; want %d and none", first, second, packets)
		}
		prober.SetRoute(anycast+"/32", lab.Hop{Via: addrs[1]["ipv4"]})
	})
	r.wait(func() bool { return arrived(t, ends[1].Peer.Host) >= 2*packets }, 20*time.Second, func() string { return "the other interface's host sees no probes" })
	if got := r.of("anycast"); got.Lost != 0 || got.Sent == 0 {
		t.Errorf("after the route moved: %s", show(got))
	}
	if first := arrived(t, ends[0].Peer.Host); first > 2*packets {
		t.Errorf("the old way was used for %d probes", first)
	}
}
