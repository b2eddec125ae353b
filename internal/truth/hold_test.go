// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// A responder holds each answer back by a known time: the median of the round
// trips moves by exactly that, for every type and family.
//
// Whatever else runs on the machine only ever adds to a round trip. So of
// several rounds at one hold the smallest median is the one least disturbed, and
// only such are compared. A machine that is never left alone for a whole round
// gets more rounds, but not without end.
func TestRoundTripMovesByTheHold(t *testing.T) {
	const (
		rounds  = 5  // at each hold, at least
		most    = 12 // and at most
		packets = 15
		within  = 100 * time.Microsecond // a machine that sleeps between probes wakes up late; make bench holds it to 2 us
	)
	l := lab.ForTest(t, "truth")
	p, h := l.Host("prober"), l.Host("responder")
	near, farEnd := l.Connect(p, h, lab.Link{Queues: 2, A: []string{near4 + "/24", near6 + "/64"}, B: []string{far4 + "/24", far6 + "/64"}})
	addrs := map[string]string{"ipv4": "198.51.100.9", "ipv6": "2001:db8:9::9"}
	p.SetRoute("198.51.100.0/24", lab.Hop{Via: far4})
	p.SetRoute("2001:db8:9::/64", lab.Hop{Via: far6})
	responder := lab.AttachReflector(farEnd, lab.ReflectorOptions{Prefixes: []string{"198.51.100.0/24", "2001:db8:9::/64"}, ClosedPorts: []uint16{81}})

	// Six targets of 15 probes a second: held for 5 ms each, the responder is
	// busy for half of the time, and no answer waits for another.
	s := setup{on: p, ifaces: []string{near.Name}, interval: time.Second, gap: 60 * time.Millisecond}
	for family, addr := range addrs {
		for _, tg := range []target{
			{name: "open", kind: "TCPsyn", port: 80},
			{name: "echo", kind: "ICMPping"},
			{name: "udp", kind: "UDPunreachable", port: 33434},
		} {
			tg.name, tg.addr, tg.packets, tg.timeout = tg.name+"-"+family, addr, packets, 400*time.Millisecond
			s.targets = append(s.targets, tg)
		}
	}
	r := start(t, s)
	best := map[time.Duration]map[string]time.Duration{}
	holds := []time.Duration{0, time.Millisecond, 5 * time.Millisecond}
	moved := func(hold time.Duration) (worst time.Duration) {
		for _, tg := range s.targets {
			off := best[hold][tg.name] - best[0][tg.name] - hold
			worst = max(worst, off.Abs())
		}
		return worst
	}
	for _, hold := range holds {
		best[hold] = map[string]time.Duration{}
		if err := responder.SetHold(hold); err != nil {
			t.Fatal(err)
		}
		// The round under way has answers of both holds.
		done := r.all().Rounds + 1
		for n := range uint64(most) {
			r.wait(func() bool { return r.all().Rounds > done+n }, 10*time.Second, func() string { return "no round" })
			for _, tg := range s.targets {
				got := r.of(tg.name)
				median := got.RoundTrips[0]
				if was, ok := best[hold][tg.name]; !ok || median < was {
					best[hold][tg.name] = median
				}
			}
			if n+1 >= rounds && moved(hold) <= within {
				break
			}
		}
		for _, tg := range s.targets {
			t.Logf("held %v: %s: median %v, moved by %v", hold, tg.name, best[hold][tg.name], best[hold][tg.name]-best[0][tg.name])
		}
		if off := moved(hold); off > within {
			t.Errorf("held back by %v, a median moved by %v more or less than that; allowed are %v", hold, off, within)
		}
	}
	if all := r.all(); all.Lost != 0 || notSent(all) != 0 || unknown(all) != 0 {
		t.Errorf("%s; want none lost", show(all))
	}
}
