// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// Every address of a subnet is probed, and those that answer worst are named
// first: dead ones, then lossy ones, then the others; whether a path has one
// probe per round or several.
func TestWorst(t *testing.T) {
	t.Parallel()
	const interval = 500 * time.Millisecond
	l := lab.ForTest(t, "engine")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, farEnd := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near + "/24"}, B: []string{far + "/24"}})
	for i := range 8 {
		farEnd.AddAddr(fmt.Sprintf("198.51.100.%d/32", i))
	}
	prober.SetRoute("198.51.100.0/29", lab.Hop{Via: far})
	host.DropAll(lab.Input, lab.Match{Proto: lab.ICMP, To: "198.51.100.3"})
	host.DropTurns(lab.Input, lab.Match{Proto: lab.ICMP, To: "198.51.100.6"}, 1, 2)
	r := newRig(t, nearEnd, 2, interval)
	ping := config.Target{Type: "ICMPping", Destination: "198.51.100.0/29", IsSubnet: true, Timeout: 200 * time.Millisecond}
	one, many := ping, ping
	one.Name, one.NbPackets = "one", 1
	many.Name, many.NbPackets = "many", 4
	for _, target := range []config.Target{one, many} {
		if err := r.Add(planOf(t, interval, [2]uint16{20000, 20003}, target).Targets...); err != nil {
			t.Fatal(err)
		}
	}
	for sent := uint64(0); sent < 10*8*5; time.Sleep(10 * time.Millisecond) {
		sum, _ := r.totals()
		sent = sum.Sent
	}
	for _, name := range []string{"one", "many"} {
		worst, ok := r.Worst(name, 100)
		if !ok || len(worst) != 8 {
			t.Fatalf("%s: %d addresses, want 8: %+v", name, len(worst), worst)
		}
		for i, a := range worst {
			t.Logf("%s: %+v", name, a)
			switch {
			case a.Target != name || a.Sent < 5:
				t.Errorf("%s: %+v", name, a)
			case i == 0:
				if a.Address.String() != "198.51.100.3" || a.Answered != 0 || a.RoundTrip != 0 {
					t.Errorf("%s: the worst is %+v, want the one that never answers", name, a)
				}
			case i == 1:
				if a.Address.String() != "198.51.100.6" || a.Loss() < 0.2 || a.Loss() > 0.8 || a.RoundTrip <= 0 {
					t.Errorf("%s: the second worst is %+v, want the one that answers every other time", name, a)
				}
			case a.RoundTrip <= 0 || a.RoundTrip > 200*time.Millisecond || i > 2 && a.Loss() == worst[i-1].Loss() && a.RoundTrip > worst[i-1].RoundTrip:
				t.Errorf("%s: number %d is %+v", name, i, a)
			}
		}
	}
	if worst, ok := r.Worst("", 3); !ok || len(worst) != 3 || worst[0].Answered+worst[1].Answered != 0 || worst[0].Target == worst[1].Target || worst[2].Address.String() != "198.51.100.6" {
		t.Errorf("the three worst of all are %+v", worst)
	}
	if worst, ok := r.Worst("nobody", 3); ok {
		t.Errorf("a target that is not there has %+v", worst)
	}
	sum, _ := r.totals() // two series, whatever the number of addresses
	if n := len(r.store.Series()); n != 2 {
		t.Errorf("%d series; %s", n, show(sum))
	}
}

// An address on the link that nobody has is lost, and named among the worst: it is
// what a person who sees the loss of a subnet looks for.
func TestWorstNoNeighbour(t *testing.T) {
	t.Parallel()
	const interval, absent = 200 * time.Millisecond, "192.0.2.99"
	l := lab.ForTest(t, "engine")
	nearEnd, _ := l.Connect(l.Host("prober"), l.Host("host"), lab.Link{A: []string{near + "/24"}, B: []string{far + "/24"}})
	r := newRig(t, nearEnd, 1, interval)
	dead := config.Target{Type: "ICMPping", Destination: absent + "/32", IsSubnet: true, Timeout: 100 * time.Millisecond}
	one, many := dead, dead
	one.Name, one.NbPackets = "one", 1
	many.Name, many.NbPackets = "many", 8 // on four ports: two probes of a path in a round
	for _, target := range []config.Target{one, many} {
		if err := r.Add(planOf(t, interval, [2]uint16{20000, 20003}, target).Targets...); err != nil {
			t.Fatal(err)
		}
	}
	for lost := uint64(0); lost < 9*5; time.Sleep(10 * time.Millisecond) {
		sum, _ := r.totals()
		lost = sum.Lost
	}
	for _, name := range []string{"one", "many"} {
		worst, ok := r.Worst(name, 10)
		if !ok || len(worst) != 1 || worst[0].Address.String() != absent || worst[0].Sent == 0 || worst[0].Answered != 0 {
			t.Errorf("%s: the worst are %+v, want %s with no answer", name, worst, absent)
		}
	}
}
