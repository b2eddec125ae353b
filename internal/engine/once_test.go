// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// onceTo plans a target that is probed once, from these source ports in turn.
func onceTo(typ *probe.Type, port uint16, packets int, gap time.Duration, ports []uint16, addrs ...netip.Addr) *plan.Target {
	p := &plan.Target{
		Name: "once", Type: typ, Family: "ipv4", State: "None", Addrs: addrs, DstPort: port,
		Timeout: 150 * time.Millisecond, Gap: gap, Once: true,
	}
	g := plan.Group{Name: "once", NbPackets: packets, PayloadLen: typ.MinPayload}
	if !typ.SourcePorts {
		ports = []uint16{0}
	}
	for i, port := range ports {
		g.Sources = append(g.Sources, plan.Source{Port: port})
		g.Order = append(g.Order, uint32(i))
	}
	p.Groups = []plan.Group{g}
	return p
}

// seen is what a Watch told of targets: how each probe counts, by address, and
// what came beside.
type seen struct {
	counted map[netip.Addr][]engine.Event
	beside  []engine.Event
}

// gather reads a Watch until it told of n probes, or for so long.
func gather(w *engine.Watch, n int, most time.Duration) seen {
	s := seen{counted: map[netip.Addr][]engine.Event{}}
	for end := time.Now().Add(most); n > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		w.Read(func(e *engine.Event) {
			switch e.Kind {
			case engine.Sent, engine.Duplicate, engine.Late:
				s.beside = append(s.beside, *e)
			default:
				a := e.Target.Addrs[e.Addr]
				s.counted[a] = append(s.counted[a], *e)
				n--
			}
		})
	}
	return s
}

// begin begins once the next hops are known.
func begin(t *testing.T, w *engine.Watch, targets ...*plan.Target) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); w.Pending(targets...); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a next hop stays pending")
		}
	}
	w.Begin(time.Now(), targets...)
}

// Over any number of queues, beside other targets that come and go, each address is
// probed once exactly as often as asked, each probe is told of once, and a target that is
// forgotten midway is probed no more. What it took is given back.
func TestOnceIsExactlyOnce(t *testing.T) {
	for queues := 1; queues <= 3; queues++ {
		t.Run(fmt.Sprintf("%d queues", queues), func(t *testing.T) {
			t.Parallel()
			exactlyOnce(t, queues)
		})
	}
}

func exactlyOnce(t *testing.T, queues int) {
	const interval = 500 * time.Millisecond
	l := lab.ForTest(t, "once")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, farEnd := l.Connect(prober, host, lab.Link{Queues: queues, A: []string{near + "/24"}, B: []string{far + "/24"}})
	host.UnlimitedICMP()
	prober.SetRoute("198.18.0.0/16", lab.Hop{Via: far})
	if _, err := host.Exec(t.Context(), "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, uint64(queues)))
	arrived := watch(t, farEnd)
	r := newRig(t, nearEnd, queues, interval)

	next := netip.MustParseAddr("198.18.0.0")
	fresh := func(n int) (all []netip.Addr) {
		for range n {
			next = next.Next()
			all = append(all, next)
		}
		return all
	}
	types := []*probe.Type{probe.ICMPping, probe.TCPsyn, probe.UDPunreachable}
	port := map[*probe.Type]uint16{probe.TCPsyn: 81, probe.UDPunreachable: 33434}
	for step := range 12 {
		// Others come and go.
		name := fmt.Sprint("other", step)
		p := planOf(t, interval, [2]uint16{20000, 20001}, config.Target{Name: name, Type: "TCPsyn", DstPort: 81, Destination: fresh(1)[0].String(), NbPackets: 2, Timeout: 100 * time.Millisecond})
		if err := r.Add(p.Targets...); err != nil {
			t.Fatal(err)
		}
		if step > 1 {
			if err := r.Remove(fmt.Sprint("other", step-2)); err != nil {
				t.Fatal(err)
			}
		}
		w := r.Once(4096)
		var whole, cut []*plan.Target
		for range 1 + rnd.IntN(4) {
			typ := types[rnd.IntN(len(types))]
			packets, addrs := 1+rnd.IntN(6), fresh(1+rnd.IntN(40))
			gap := time.Duration(rnd.IntN(int(2 * time.Millisecond)))
			if typ == probe.TCPsyn {
				gap = max(gap, 200*time.Microsecond)
			}
			one := onceTo(typ, port[typ], packets, gap, []uint16{61000, 61001, 61002, 61003, 61004, 61005}, addrs...)
			one.Phase = time.Duration(rnd.IntN(int(20 * time.Millisecond)))
			whole = append(whole, one)
		}
		long := onceTo(probe.ICMPping, 0, 1000, time.Millisecond, nil, fresh(1)...)
		cut = append(cut, long)
		all := append(whole, cut...)
		if err := w.Add(all...); err != nil {
			t.Fatal(err)
		}
		begin(t, w, all...)
		time.Sleep(30 * time.Millisecond)
		if err := w.Forget(cut...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // a probe may be about to leave
		planned := 0
		for _, one := range whole {
			planned += one.Probes()
		}
		got := gather(w, planned, 10*time.Second)
		if err := arrived.frames.CatchUp(); err != nil {
			t.Fatal(err)
		}
		stopped := len(arrived.at(long.Addrs[0]))
		for _, one := range whole {
			for _, a := range one.Addrs {
				events := got.counted[a]
				if len(events) != one.Groups[0].NbPackets || len(arrived.at(a)) != one.Groups[0].NbPackets {
					t.Fatalf("%s %s: %d arrived, %d told, want %d", one.Type.Name, a, len(arrived.at(a)), len(events), one.Groups[0].NbPackets)
				}
				packets := map[int]bool{}
				for _, e := range events {
					packets[e.Packet] = true
					if e.Kind != engine.Answered || e.RoundTrip <= 0 || e.TTL != 64 || e.Local.String() != near || e.Sent.IsZero() {
						t.Fatalf("%s %s: %+v", one.Type.Name, a, e)
					}
				}
				if len(packets) != len(events) {
					t.Fatalf("%s %s: a packet is told of twice: %+v", one.Type.Name, a, events)
				}
			}
		}
		if w.Missed() > 0 || len(got.beside) > 0 {
			t.Fatalf("%d missed, and beside: %+v", w.Missed(), got.beside)
		}
		if now := len(arrived.at(long.Addrs[0])); now != stopped || now > 500 { // of 1,000, in 30 ms and what a busy machine adds
			t.Errorf("%d probes before it was forgotten, %d in all", stopped, now)
		}
		if err := w.Forget(whole...); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	for end := time.Now().Add(15 * time.Second); r.HeldOnce() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d paths are held", r.HeldOnce())
		}
	}
	if _, series := r.totals(); series != 2 {
		t.Errorf("%d series are published, want those of the two targets that are no one-shot ones", series)
	}
}

// at returns when probes of an address arrived.
func (w *watcher) at(a netip.Addr) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[a]
}

// A Watch says of each probe what came back and why it counts as it does.
func TestWatchSaysWhy(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, "why")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, _ := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near + "/24"}, B: []string{far + "/24"}})
	host.UnlimitedICMP()
	prober.SetRoute("198.18.0.0/16", lab.Hop{Via: far})
	for _, args := range [][]string{
		{"ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo"},
		{"nft", "add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip daddr 198.18.0.9 drop; add rule ip t in ip daddr 198.18.0.8 reject with icmp type admin-prohibited"},
	} {
		if _, err := host.Exec(t.Context(), args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, nearEnd, 2, 500*time.Millisecond)
	ip := netip.MustParseAddr
	for name, c := range map[string]struct {
		target *plan.Target
		want   func(engine.Event) bool
	}{
		"answered": {onceTo(probe.ICMPping, 0, 2, time.Millisecond, nil, ip(far)),
			func(e engine.Event) bool {
				return e.Kind == engine.Answered && e.Reply == packet.Echo && e.RoundTrip > 0
			}},
		"closed": {onceTo(probe.TCPsyn, 81, 2, time.Millisecond, []uint16{61000, 61001}, ip(far)),
			func(e engine.Event) bool {
				return e.Kind == engine.Answered && e.Reply == packet.RstAck && e.SourcePort == uint16(61000+e.Packet)
			}},
		"dropped": {onceTo(probe.TCPsyn, 81, 2, time.Millisecond, []uint16{61000, 61001}, ip("198.18.0.9")),
			func(e engine.Event) bool { return e.Kind == engine.Lost && e.Cause == result.Timeout && e.Reply == 0 }},
		"rejected": {onceTo(probe.TCPsyn, 81, 2, time.Millisecond, []uint16{61000, 61001}, ip("198.18.0.8")),
			func(e engine.Event) bool {
				return e.Kind == engine.Refused && e.Reply == packet.Error && e.Type == 3 && e.Code == 13 && e.From == ip("198.18.0.8")
			}},
		"no neighbour": {onceTo(probe.ICMPping, 0, 2, time.Millisecond, nil, ip("192.0.2.77")),
			func(e engine.Event) bool {
				return e.Kind == engine.Lost && e.Cause == result.NoNeighbour && e.Sent.IsZero()
			}},
		"no route": {onceTo(probe.ICMPping, 0, 2, time.Millisecond, nil, ip("203.0.113.1")),
			func(e engine.Event) bool { return e.Kind == engine.NotSent && e.Reason == result.NoRoute }},
	} {
		w := r.Once(64)
		if err := w.Add(c.target); err != nil {
			t.Fatal(err)
		}
		begin(t, w, c.target)
		got := gather(w, 2, 5*time.Second)
		events := got.counted[c.target.Addrs[0]]
		if len(events) != 2 || !c.want(events[0]) || !c.want(events[1]) {
			t.Errorf("%s: %+v", name, events)
		}
		if err := w.Forget(c.target); err != nil {
			t.Fatal(err)
		}
	}

	// Of a target that goes on, each step of a round is told.
	p := planOf(t, 500*time.Millisecond, [2]uint16{20000, 20001}, config.Target{Name: "open", Type: "TCPsyn", Destination: far, DstPort: 81, NbPackets: 4, Timeout: 100 * time.Millisecond})
	if err := r.Add(p.Targets...); err != nil {
		t.Fatal(err)
	}
	if r.WatchOne("closed") != nil {
		t.Error("there is a watch on a target that there is not")
	}
	w := r.WatchOne("open")
	if r.WatchOne("open") != nil {
		t.Error("there are two watches on a target")
	}
	got := gather(w, 12, 10*time.Second)
	w.Close()
	rounds := map[uint32][2]int{}
	for _, e := range got.beside {
		n := rounds[e.Round]
		n[0]++
		rounds[e.Round] = n
	}
	for _, e := range got.counted[p.Targets[0].Addrs[0]] {
		n := rounds[e.Round]
		n[1]++
		rounds[e.Round] = n
		if e.Kind != engine.Answered || e.SourcePort != uint16(20000+e.Packet%2) {
			t.Errorf("%+v", e)
		}
	}
	whole := 0
	for _, n := range rounds {
		if n == [2]int{4, 4} {
			whole++
		}
	}
	if whole < 2 {
		t.Errorf("sent and counted by round: %v", rounds)
	}
	if again := r.WatchOne("open"); again == nil {
		t.Error("a watch that was closed stays")
	} else {
		again.Close()
	}
}
