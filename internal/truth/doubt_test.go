// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// A receive ring overflows while the process gets no time: the answers that it
// had no room for are unknown, each of them, and nothing is lost. Afterwards
// the figures are clean again.
func TestRingOverflowIsUnknown(t *testing.T) {
	t.Parallel()
	const packets = 500
	l := lab.ForTest(t, "truth")
	prober, host := l.Host("prober"), l.Host("host")
	near, farEnd, wire := l.ConnectDelayed(prober, host, lab.Link{
		A: []string{near4 + "/24", near6 + "/64"}, B: []string{far4 + "/24", far6 + "/64"},
	})
	host.UnlimitedICMP()
	s := setup{on: prober, ifaces: []string{near.Name}, interval: 10 * time.Second, gap: 2 * time.Millisecond, lead: 2500 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20999}}, targets: everyType("", packets, 4*time.Second, far)}
	all := uint64(len(s.targets) * packets)
	c := startChild(t, s, nil, true)

	// Neighbour discovery would be held back as well, for longer than a next hop may be silent.
	farEnd.SetNeighbour(near4, near.MAC)
	farEnd.SetNeighbour(near6, near.MAC)
	near.SetNeighbour(far4, farEnd.MAC)
	near.SetNeighbour(far6, farEnd.MAC)
	// All answers are held back until all probes are out and the process is
	// stopped; there are more than the 2,048 that its ring has room for.
	wire.SetHold(0, 3*time.Second)
	c.wait(func() bool { return arrived(t, host) == all }, 20*time.Second, func() string { return fmt.Sprintf("the host saw %d probes of %d", arrived(t, host), all) })
	c.stopFor(3500 * time.Millisecond)
	wire.SetHold(0, 0)
	f, _ := c.pause(packets, 0, 20*time.Second)
	p := c.page()
	dropped, _ := p.sum(t, "netprobe_ring_dropped_total")
	overflow, _ := p.sum(t, "netprobe_unknown_total", `reason="ring_overflow"`)
	full, _ := p.sum(t, "netprobe_ring_dropped_total", `ring="rx"`)
	empty, _ := p.sum(t, "netprobe_ring_dropped_total", `ring="fill"`)
	t.Logf("%s; the ring dropped %d: it was full for %d, and for %d there was no empty frame", f, dropped, full, empty)
	if wireLost, err := wire.Lost(); err != nil || wireLost != 0 {
		t.Fatalf("the wire lost %d frames (%v): the test is void", wireLost, err)
	}
	if dropped == 0 {
		t.Fatal("the ring did not overflow: the test is void")
	}
	if f.lost != 0 || f.notSent != 0 || f.late != 0 || f.duplicates != 0 || f.unknown != dropped || overflow != dropped || f.sent+f.unknown != all {
		t.Errorf("%s, of them %d for ring_overflow; want %d unknown, the rest answered", f, overflow, dropped)
	}
	after, _ := c.pause(packets, 1, 20*time.Second)
	if after.sent-f.sent != all || after.lost != 0 || after.unknown != f.unknown || after.notSent != 0 || after.late != 0 || arrived(t, host) != 2*all {
		t.Errorf("the round after it: from %s to %s; want %d more sent and answered; the host saw %d", f, after, all, arrived(t, host))
	}
	if faults, _ := c.page().sum(t, "netprobe_clock_faults_total"); faults != 0 {
		t.Errorf("%d clock faults", faults)
	}
}

// One of two workers gets no time, longer than the other can wait for it: the
// answers that lie on its queue are unknown. Its own probes are not sent. Nothing
// is lost, every probe is accounted for, and afterwards the figures are clean.
func TestStalledWorkerIsUnknown(t *testing.T) {
	t.Parallel()
	const packets = 100
	p := newPair(t, 2)
	s := setup{on: p.prober, ifaces: []string{p.nearEnd.Name}, interval: 2 * time.Second, gap: 10 * time.Millisecond, groups: []group{{name: "g", a: 20000, z: 20255}}}
	for i := range 16 { // addresses enough for both workers to have some
		addr := fmt.Sprintf("192.0.2.%d", 10+i)
		p.farEnd.AddAddr(addr + "/32")
		tg := everyType(fmt.Sprintf("t%d-", i), packets, 400*time.Millisecond, map[string]string{"ipv4": addr})
		s.targets = append(s.targets, tg[i%len(tg)])
	}
	all := uint64(len(s.targets) * packets)
	c := startChild(t, s, nil, true)
	before, rounds := c.pause(packets, 0, 20*time.Second)
	if before.lost+before.unknown+before.notSent+before.late != 0 {
		t.Fatalf("before: %s", before)
	}
	workers := c.workers()
	if len(workers) != 2 {
		t.Fatalf("threads %v sleep in ppoll, want two workers", workers)
	}
	c.stopThread(workers[0], 14*time.Second)

	// The round under way has probes of both kinds; the next is clean.
	f, rounds := c.pause(packets, rounds+4, 30*time.Second)
	pg := c.page()
	stalled, _ := pg.sum(t, "netprobe_unknown_total", `reason="stalled_worker"`)
	seen := arrived(t, p.host)
	t.Logf("%s, %d for stalled_worker, after %d rounds; the host saw %d", f, stalled, rounds, seen)
	if f.lost != 0 || f.unknown == 0 || f.unknown != stalled || f.sent+f.unknown != seen {
		t.Errorf("%s, %d for stalled_worker; the host saw and answered %d: none of them is lost", f, stalled, seen)
	}
	if f.late != 0 || f.duplicates != 0 {
		t.Errorf("%s: every answer came in time, and once", f)
	}
	after, _ := c.pause(packets, rounds, 20*time.Second)
	if after.sent-f.sent != all || after.lost != 0 || after.unknown != f.unknown || after.notSent != f.notSent || arrived(t, p.host)-seen != all {
		t.Errorf("the round after it: from %s to %s; want %d more sent and answered", f, after, all)
	}
	if faults, _ := c.page().sum(t, "netprobe_clock_faults_total"); faults != 0 {
		t.Errorf("%d clock faults", faults)
	}
}

// A process that is stopped again and again, in the middle of what it does and
// for longer than several intervals, loses no answer, and every target's rounds
// go on.
func TestStopsLeaveNoTargetBehind(t *testing.T) {
	t.Parallel()
	const targets = 1000
	l := lab.ForTest(t, "truth")
	prober, host := l.Host("prober"), l.Host("host")
	near, farEnd := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near4 + "/24"}, B: []string{far4 + "/24"}})
	prober.SetRoute("198.18.0.0/15", lab.Hop{Via: far4})
	responder := lab.AttachReflector(farEnd, lab.ReflectorOptions{Prefixes: []string{"198.18.0.0/15"}})
	s := setup{on: prober, ifaces: []string{near.Name}, interval: time.Second}
	for i := range targets {
		s.targets = append(s.targets, target{name: fmt.Sprintf("t%d", i), kind: "ICMPping", addr: fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250), packets: 20, timeout: 200 * time.Millisecond})
	}
	c := startChild(t, s, nil, false)
	for range 5 {
		time.Sleep(1100 * time.Millisecond)
		c.stopFor(3700 * time.Millisecond)
	}
	time.Sleep(2500 * time.Millisecond)
	before := c.page().destinations(t)
	time.Sleep(2500 * time.Millisecond)
	pg := c.page()
	stuck := 0
	for name, n := range pg.destinations(t) {
		if n == before[name] {
			stuck++
		}
	}
	if len(before) != targets || stuck > 0 {
		t.Errorf("%d of %d targets publish no rounds any more", stuck, len(before))
	}
	f := pg.figures(t)
	counted, err := responder.Counts()
	t.Logf("%s; the responder answered %d (%v)", f, counted.Echo, err)
	if f.lost != 0 || f.late != 0 || f.duplicates != 0 {
		t.Errorf("%s; nothing was dropped by the responder", f)
	}
}
