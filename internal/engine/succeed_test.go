// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// A target that begins anew with more probes under way than before has room for
// them, on the same paths.
func TestMoreUnderWayThanBefore(t *testing.T) {
	t.Parallel()
	const interval = 200 * time.Millisecond
	l := lab.ForTest(t, "engine")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, _ := l.Connect(prober, host, lab.Link{A: []string{near + "/24"}, B: []string{far + "/24"}})
	host.DropAll(lab.Input, lab.Match{Proto: lab.ICMP})
	host.DropAll(lab.Input, lab.Match{Proto: lab.UDP})
	r := newRig(t, nearEnd, 1, interval)
	of := func(timeout time.Duration, packets int) []config.Target {
		return []config.Target{
			{Name: "echo", Type: "ICMPping", Destination: far, NbPackets: packets, Timeout: timeout},
			{Name: "udp", Type: "UDPunreachable", DstPort: 33434, Destination: far, NbPackets: packets, Timeout: timeout},
		}
	}
	reach := func(n uint64) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			sum, _ := r.totals()
			if sum.NotSent[result.TupleBusy] > 0 {
				t.Fatalf("%s; the flow is there, and has no room", show(sum))
			}
			if sum.Sent >= n {
				return
			}
			if time.Now().After(end) {
				t.Fatal(show(sum))
			}
		}
	}
	if err := r.Add(planOf(t, interval, [2]uint16{20000, 20000}, of(50*time.Millisecond, 1)...).Targets...); err != nil {
		t.Fatal(err)
	}
	reach(6)
	if err := r.Remove("echo", "udp"); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(planOf(t, interval, [2]uint16{20000, 20000}, of(time.Second, 8)...).Targets...); err != nil {
		t.Fatal(err)
	}
	reach(160)
}

// A target that moves to where another one was before has the four-tuple as soon
// as the other's probes are over, whichever worker had it.
func TestMoveToWhereAnotherWas(t *testing.T) {
	t.Parallel()
	const interval, targets = 200 * time.Millisecond, 8
	l := lab.ForTest(t, "engine")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, _ := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near + "/24"}, B: []string{far + "/24"}})
	prober.SetRoute("198.18.0.0/16", lab.Hop{Via: far})
	if _, err := host.Exec(t.Context(), "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	addr := func(net, i int) string { return "198.18." + strconv.Itoa(net) + "." + strconv.Itoa(1+i%targets) }
	r := newRig(t, nearEnd, 2, interval)
	var all []config.Target
	for i := range targets {
		all = append(all, config.Target{Name: "t" + strconv.Itoa(i), Type: "TCPsyn", DstPort: 81, Destination: addr(0, i), NbPackets: 1, Timeout: 100 * time.Millisecond})
	}
	if err := r.Add(planOf(t, interval, [2]uint16{20000, 20000}, all...).Targets...); err != nil {
		t.Fatal(err)
	}
	more := func(n uint64) {
		t.Helper()
		before, _ := r.totals()
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			sum, _ := r.totals()
			if sum.Sent >= before.Sent+n {
				return
			}
			if time.Now().After(end) {
				t.Fatal(show(sum))
			}
		}
	}
	move := func(net, by int) {
		t.Helper()
		for i := range targets {
			if err := r.Move(all[i].Name, netip.MustParseAddr(addr(net, i+by))); err != nil {
				t.Fatal(err)
			}
		}
	}
	more(5 * targets)
	move(1, 0) // away, and
	more(targets)
	move(0, 1) // to where the next was
	more(20 * targets)
	sum, _ := r.totals()
	if sum.NotSent[result.TupleBusy] > 2*targets || sum.Lost > 0 {
		t.Errorf("%s; want the four-tuples that were left to be taken at once or nearly so, and nothing lost", show(sum))
	}
	t.Log(show(sum))
}
