// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

func planned(packets, ports int, gap time.Duration) *plan.Target {
	g := plan.Group{Name: "g", NbPackets: packets}
	for p := range ports {
		g.Sources = append(g.Sources, plan.Source{Port: uint16(65000 + p)})
		g.Order = append(g.Order, uint32(p))
	}
	return &plan.Target{
		Name: "t", Type: probe.TCPsyn, Family: "ipv4", State: "None", Addrs: addrs(1),
		Timeout: time.Second, Gap: gap, Groups: []plan.Group{g},
	}
}

// Over any mix of targets and any number of comings and goings, each target is
// due exactly as often as planned, in the order of time.
func TestScheduleProbesAsOftenAsPlanned(t *testing.T) {
	const interval = 10 * time.Second
	rng := rand.New(rand.NewPCG(7, 7))
	var s schedule
	targets := make([]target, 300)
	want, got := make([]int, len(targets)), make([]int, len(targets))
	start := int64(1000 * time.Hour)
	end := start + 5*int64(interval)
	for n := range targets {
		packets := 1 + rng.IntN(20)
		tg := &targets[n]
		tg.plan = planned(packets, 2, interval/time.Duration(packets))
		tg.cycle = start + rng.Int64N(int64(interval))
		for due := tg.cycle; due < end; due += int64(interval) {
			for i := range packets {
				if due+int64(i)*int64(tg.plan.Gap) < end {
					want[n]++
				}
			}
		}
		if rng.IntN(10) == 0 {
			tg.state.Or(targetGone)
			want[n] = 0
		}
		s.add(uint32(n), tg.due())
	}
	last := int64(0)
	for {
		n, due, ok := s.next()
		if !ok {
			t.Fatal("the schedule is empty")
		}
		if due >= end {
			break
		}
		tg := &targets[n]
		s.drop()
		if tg.gone() {
			continue
		}
		if due < last {
			t.Fatalf("due %d after %d", due, last)
		}
		last = due
		got[n]++
		tg.advance(int64(interval))
		s.add(n, tg.due())
	}
	for n := range targets {
		if got[n] != want[n] {
			t.Errorf("target with %d probes per interval: %d, want %d", targets[n].plan.Probes(), got[n], want[n])
		}
	}
}

func TestExpiryIsOldestFirst(t *testing.T) {
	var all flights
	e := newExpiry(int64(time.Second), &all)
	first := all.take()
	for i := range uint32(5) {
		if n := all.take(); n != first+1+i {
			t.Fatalf("flight %d after %d", n, first+i)
		}
		all.at(first + i).sent = int64(i) * int64(time.Millisecond)
		e.push(first + i)
	}
	e.remove(all.at(first + 2)) // answered meanwhile
	over := int64(time.Second + grace)
	if _, s := e.pop(over - 1); s != nil {
		t.Error("popped before its time")
	}
	for _, i := range []uint32{0, 1, 3, 4} {
		at := over + int64(i)*int64(time.Millisecond)
		if n, s := e.pop(at); n != first+i || s != all.at(n) || s.queued() {
			t.Fatalf("slot %d is not popped at its time", i)
		}
		if _, s := e.pop(at); s != nil {
			t.Fatalf("another slot after %d", i)
		}
	}
	e.push(first)
	if n, _ := e.pop(1 << 62); n != first {
		t.Error("an emptied queue does not take slots again")
	}
}

// What was given up counts for a span at least, and for two at the most.
func TestOwedForgets(t *testing.T) {
	const span = 100
	var o owed
	for _, c := range []struct {
		at     int64
		adds   int
		lately int
	}{{1000, 5, 5}, {1050, 2, 7}, {1100, 1, 8}, {1101, 1, 9}, {1201, 0, 9}, {1202, 0, 1}, {1303, 3, 3}, {1600, 0, 0}} {
		o.roll(c.at, span)
		o.current += c.adds
		if got := o.lately(); got != c.lately {
			t.Errorf("at %d: %d lately, want %d", c.at, got, c.lately)
		}
	}
}

func TestArenaNumbersNeverMove(t *testing.T) {
	var a arena[target]
	var kept []*target
	for range 3 * chunkLen / 7 {
		n := a.take(7)
		for i := range uint32(7) {
			a.at(n + i).round = n + i
			kept = append(kept, a.at(n+i))
		}
	}
	for i, k := range kept {
		if k.round != uint32(i+1) || a.at(uint32(i+1)) != k {
			t.Fatalf("entry %d moved", i+1)
		}
	}
	a.give(8, 7)
	if n := a.take(3); n == 8 {
		t.Error("a number of seven in a row was handed out for three")
	}
	if n := a.take(7); n != 8 || a.at(8).round != 0 {
		t.Errorf("numbers that were given back: %d, entry %+v", n, a.at(8).round)
	}
}

// A flow has a slot for every probe that can be under way on it: the bound
// holds against a simulation of the schedule.
func TestSlotsNeededBoundsTheSchedule(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		interval := time.Duration(1+rng.IntN(10)) * time.Second
		packets, ports := 1+rng.IntN(60), 1+rng.IntN(8)
		gap := interval / time.Duration(packets)
		if rng.IntN(3) == 0 {
			gap = time.Duration(rng.Int64N(int64(gap)))
		}
		p := planned(packets, ports, gap)
		p.Timeout = time.Duration(1+rng.IntN(3000)) * time.Millisecond
		p.Type = probe.UDPunreachable // any number may be in flight
		g := &p.Groups[0]
		for src := range ports {
			var sent []time.Duration
			for cycle := range 12 {
				for i := range packets {
					if int(g.Order[i%ports]) == src {
						sent = append(sent, time.Duration(cycle)*interval+time.Duration(i)*gap)
					}
				}
			}
			worst := 0
			for first, last := 0, 0; last < len(sent); last++ {
				for sent[last]-sent[first] > p.Timeout+grace {
					first++
				}
				worst = max(worst, last-first+1)
			}
			if need := slotsNeeded(p, g, src, interval); need < worst {
				t.Fatalf("%d packets over %d ports each %v, gap %v, timeout %v: %d slots for %d under way", packets, ports, interval, gap, p.Timeout, need, worst)
			}
		}
	}
}

func TestLookupFindsExactlyTheFlow(t *testing.T) {
	secret := packet.NewSecret()
	e := &Engine{
		Options: Options{Secret: secret, Interval: time.Second}, numbers: map[netip.Addr]uint32{}, fresh: map[uint32]int{}, dead: map[uint32]int64{},
	}
	e.index.Store(newIndex(0))
	e.locals.Store(new([]netip.Addr))
	var tg target
	tg.plan = planned(1, 1, time.Second)
	if n, _ := e.lookup(1, &packet.Flow{}); n != 0 {
		t.Error("an empty index finds a flow")
	}
	flows := map[packet.Flow]uint32{}
	for i, a := range addrs(1000) {
		k := packet.Flow{Proto: packet.UDP, Local: addrs(1)[0], Remote: a, LocalPort: uint16(i), RemotePort: 33434}
		flows[k] = e.acquire(k, &tg, &tg.plan.Groups[0], 0)
	}
	for k, want := range flows {
		n, f := e.lookup(secret.Hash(&k), &k)
		if n != want || f != e.flows.at(n) || identityOf(e, f) != k {
			t.Fatalf("flow %+v: %d, want %d", k, n, want)
		}
		other := k
		other.RemotePort++
		if n, _ := e.lookup(f.hash, &other); n != 0 {
			t.Fatal("found by its hash alone")
		}
		if again := e.acquire(k, &tg, &tg.plan.Groups[0], 0); again != want || f.users != 2 {
			t.Fatalf("acquired again: %d with %d users", again, f.users)
		}
	}
}

// What a target costs is a promise: these are most of it.
func TestSizes(t *testing.T) {
	for name, c := range map[string]struct{ size, most uintptr }{
		"slot": {reflect.TypeFor[slot]().Size(), 40}, "flow": {reflect.TypeFor[flow]().Size(), 64},
		"leg": {reflect.TypeFor[leg]().Size(), 24}, "series": {reflect.TypeFor[series]().Size(), 104}, "target": {reflect.TypeFor[target]().Size(), 40},
	} {
		if c.size > c.most {
			t.Errorf("%s: %d bytes, at most %d", name, c.size, c.most)
		}
	}
}

func identityOf(e *Engine, f *flow) (key packet.Flow) {
	e.identify(f, &key)
	return key
}

// A flight is given out once, in no queue, and used again when it was given back; what
// stands for it stays where it is.
func TestFlightsAreUsedAgain(t *testing.T) {
	var all flights
	seen := map[uint32]*flight{}
	for range 3 * chunkLen {
		n := all.take()
		if n == 0 || seen[n] != nil {
			t.Fatalf("flight %d is given out twice", n)
		}
		seen[n] = all.at(n)
	}
	for n, f := range seen {
		if all.at(n) != f {
			t.Fatalf("flight %d moved", n)
		}
		all.give(n)
		if f.queued() {
			t.Fatal("a flight that was given back is in a queue")
		}
	}
	for range len(seen) {
		n := all.take()
		if seen[n] == nil {
			t.Fatalf("flight %d is new, or is given out twice", n)
		}
		delete(seen, n)
	}
}
