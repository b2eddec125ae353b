// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

func planned(name string, packets, ports int, gap time.Duration) *plan.Target {
	g := plan.Group{Name: "g", NbPackets: packets}
	for p := range ports {
		g.Sources = append(g.Sources, plan.Source{Port: uint16(65000 + p)})
		g.Order = append(g.Order, uint32(p))
	}
	return &plan.Target{
		Name: name, Type: probe.TCPsyn, Family: "ipv4", State: "None", Addrs: addrs(1),
		Timeout: time.Second, Gap: gap, Groups: []plan.Group{g},
	}
}

// Over any mix of targets and any number of comings and goings, each target is
// due exactly as often as planned, in the order of time.
func TestScheduleProbesAsOftenAsPlanned(t *testing.T) {
	const interval = 10 * time.Second
	rng := rand.New(rand.NewPCG(7, 7))
	var s schedule
	want, got := map[*target]int{}, map[*target]int{}
	start := int64(1000 * time.Hour)
	end := start + 5*int64(interval)
	for range 300 {
		packets := 1 + rng.IntN(20)
		tg := newTarget(planned("t", packets, 2, interval/time.Duration(packets)), interval, nil)
		tg.cycle = start + rng.Int64N(int64(interval))
		for due := tg.cycle; due < end; due += int64(interval) {
			for i := range packets {
				if due+int64(i)*int64(tg.plan.Gap) < end {
					want[tg]++
				}
			}
		}
		if rng.IntN(10) == 0 {
			tg.gone.Store(true)
			want[tg] = 0
		}
		s.add(tg)
	}
	last := int64(0)
	for {
		next, ok := s.next()
		if !ok {
			t.Fatal("the schedule is empty")
		}
		if next.due >= end {
			break
		}
		if next.target.gone.Load() {
			s.drop()
			continue
		}
		if next.due < last {
			t.Fatalf("due %d after %d", next.due, last)
		}
		last = next.due
		got[next.target]++
		next.target.advance(int64(interval))
		s.again()
	}
	for tg, n := range want {
		if got[tg] != n {
			t.Errorf("target with %d probes per interval: %d, want %d", tg.total, got[tg], n)
		}
	}
}

func TestExpiryIsOldestFirst(t *testing.T) {
	e := newExpiry(int64(time.Second))
	slots := make([]slot, 5)
	for i := range slots {
		slots[i].sent = int64(i) * int64(time.Millisecond)
		e.push(&slots[i])
	}
	over := int64(time.Second + grace)
	if s := e.pop(over - 1); s != nil {
		t.Error("popped before its time")
	}
	for i := range slots {
		at := over + int64(i)*int64(time.Millisecond)
		if s := e.pop(at); s != &slots[i] || s.queued() {
			t.Fatalf("slot %d is not popped at its time", i)
		}
		if s := e.pop(at); s != nil {
			t.Fatalf("another slot after %d", i)
		}
	}
	e.push(&slots[0])
	if s := e.pop(1 << 62); s != &slots[0] {
		t.Error("an emptied queue does not take slots again")
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
		p := planned("t", packets, ports, gap)
		p.Timeout = time.Duration(1+rng.IntN(3000)) * time.Millisecond
		tg := newTarget(p, interval, nil)
		s := tg.series[0]
		for src := range ports {
			var sent []time.Duration
			for cycle := range 12 {
				for i := range packets {
					if int(s.group.Order[i%ports]) == src {
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
			s.typ = probe.UDPunreachable // any number may be in flight
			if need := s.slotsNeeded(src, interval); need < worst {
				t.Fatalf("%d packets over %d ports each %v, gap %v, timeout %v: %d slots for %d under way", packets, ports, interval, gap, p.Timeout, need, worst)
			}
		}
	}
}

func TestIndexFindsExactlyTheFlow(t *testing.T) {
	secret := packet.NewSecret()
	flows := map[packet.Flow]*flow{}
	for i, a := range addrs(1000) {
		k := packet.Flow{Proto: packet.UDP, Local: addrs(1)[0], Remote: a, LocalPort: uint16(i), RemotePort: 33434}
		flows[k] = &flow{Flow: k, hash: secret.Hash(&k)}
	}
	ix := newIndex(flows)
	for k, f := range flows {
		if ix.lookup(f.hash, &k) != f {
			t.Fatalf("flow %+v is not found", k)
		}
		other := k
		other.RemotePort++
		if ix.lookup(f.hash, &other) != nil {
			t.Fatal("found by its hash alone")
		}
	}
	if newIndex(nil).lookup(1, &packet.Flow{}) != nil {
		t.Error("an empty index finds a flow")
	}
}
