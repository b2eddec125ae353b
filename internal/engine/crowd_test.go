// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// crowding is an engine whose workers have no sockets and whose time the test makes: what is
// due goes through sendDue and ends as not sent, link_down, which stands for having left.
type crowding struct {
	*Engine
	t     *testing.T
	now   int64
	wake  []int64 // of each worker
	watch Watch
	left  []leaver
	next  map[uint32][2]uint32 // round and probe of each target that are to come
}

// leaver is a probe that left, and between which times.
type leaver struct {
	target   uint32
	block    blockKey
	from, to int64
}

func newCrowding(t *testing.T, pps float64, interval time.Duration, workers int) *crowding {
	e := newLoop().engine
	e.Interval, e.Tick, e.tick = interval, time.Millisecond, int64(time.Millisecond)
	e.interval.Store(int64(interval))
	e.Limiter, e.Blocks, e.Stopped = NewLimiter(1e8), NewBlocks(pps), new(atomic.Bool)
	e.leaving, e.waiting, e.retired, e.moved = map[uint32]leaving{}, map[uint32]bool{}, map[uint32]retired{}, map[uint32]netip.Addr{}
	c := &crowding{Engine: e, t: t, now: int64(time.Hour), wake: make([]int64, workers), next: map[uint32][2]uint32{}}
	e.workers = nil
	for i := range workers {
		e.workers = append(e.workers, &worker{engine: e, number: uint8(i), gear: &gear{}, ahead: make([]upcoming, 0, maxPerKick), perKick: 1})
	}
	c.watch.rings = make([]ring, workers)
	for i := range c.watch.rings {
		c.watch.rings[i].notes = make([]note, 1<<10)
	}
	return c
}

// add makes a target of so many probes an interval, the first of which is due at phase.
func (c *crowding) add(addr netip.Addr, probes int, phase time.Duration) uint32 {
	p := &plan.Target{
		Name: "crowd", Type: probe.ICMPping, Family: "ipv4", Addrs: []netip.Addr{addr}, Timeout: 2 * time.Second, Gap: c.Interval / time.Duration(probes),
		Groups: []plan.Group{{Name: "g", NbPackets: probes, PayloadLen: 8, Sources: []plan.Source{{}}, Order: []uint32{0}}},
	}
	n := c.enter(p)
	tg := c.targets.at(n)
	s := c.series.at(tg.series)
	s.watch.Store(&c.watch)
	c.lead(n, addr)
	c.Blocks.publish(c.now)
	tg.cycle = c.now + int64(phase)
	c.workers[tg.owner()].schedule.add(n, tg.due())
	return n
}

// lead gives a target a flow to an address.
func (c *crowding) lead(n uint32, addr netip.Addr) {
	number := c.flows.take(1)
	c.flows.at(number).remote = addr.As16()
	c.legs.at(c.series.at(c.targets.at(n).series).legs).flow.Store(number)
}

// move leads a target elsewhere, as Move does.
func (c *crowding) move(n uint32, to netip.Addr) {
	c.countBlocks(n, -1)
	c.moved[n] = to
	c.countBlocks(n, 1)
	c.Blocks.publish(c.now)
	c.lead(n, to)
}

// run lets the workers work until a time.
func (c *crowding) run(until int64) {
	for {
		next := 0
		for i := range c.wake {
			if c.wake[i] < c.wake[next] {
				next = i
			}
		}
		if c.wake[next] >= until {
			c.now = max(c.now, until)
			return
		}
		c.now = max(c.now, c.wake[next])
		c.work(next)
	}
}

// work lets one worker look at what is due now.
func (c *crowding) work(number int) {
	from := c.now
	c.clock = clock{time.Now(), from}
	wait := c.workers[number].sendDue()
	c.now = c.clock.now()
	c.wake[number] = c.now + max(wait, 1000)
	c.watch.rings[number].read(func(n *note) {
		flow, _ := c.legs.at(c.series.at(c.targets.at(n.target).series).legs).way()
		l := leaver{n.target, blockOf(&c.flows.at(flow).remote), from, c.now}
		next := c.next[n.target]
		if next != [2]uint32{n.round, n.probe} {
			c.t.Fatalf("target %d: probe %d of round %d, want %d of %d", n.target, n.probe, n.round, next[1], next[0])
		}
		if next[1]++; int(next[1]) == c.targets.at(n.target).plan.Probes() {
			next = [2]uint32{next[0] + 1, 0}
		}
		c.next[n.target] = next
		if result.Reason(n.cause) != result.Behind && flow != 0 {
			c.left = append(c.left, l)
		}
	})
	if c.watch.rings[number].missed.Load() > 0 {
		c.t.Fatal("the test does not hear of all probes")
	}
}

// Whatever happens to the targets of crowded blocks, and to the cap: no window sees more of a
// block than its cap, each target's probes leave or are given up one after the other, and each
// target is in the schedule of its worker once.
func TestCrowdedBlocksLoseNothing(t *testing.T) {
	t.Parallel()
	const interval = 2 * time.Second
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(1, seed))
		pps, most := 300.0, 300.0
		c := newCrowding(t, pps, interval, 1+int(seed%3))
		addr := func() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(rng.IntN(3)), byte(rng.IntN(256))}) }
		var live []uint32
		add := func() {
			probes := 1
			if rng.IntN(4) == 0 {
				probes = 1 + rng.IntN(20)
			}
			live = append(live, c.add(addr(), probes, time.Duration(rng.Int64N(int64(interval)))))
		}
		for range 400 {
			add()
		}
		windows := map[blockKey][]leaver{}
		for range 300 {
			c.run(c.now + rng.Int64N(int64(100*time.Millisecond)))
			i := rng.IntN(len(live))
			switch n := live[i]; rng.IntN(10) {
			case 0, 1, 2, 3:
				c.move(n, addr())
			case 4, 5:
				c.targets.at(n).state.Or(targetGone)
				c.countBlocks(n, -1)
				live = slices.Delete(live, i, i+1)
				add()
			case 6:
				pps = []float64{150, 300, 600}[rng.IntN(3)]
				c.Blocks.SetRate(pps)
				c.Recount()
			case 7:
				c.legs.at(c.series.at(c.targets.at(n).series).legs).flow.Store(unsendable | uint32(result.NoRoute))
			case 8:
				c.now += rng.Int64N(int64(interval) * 3 / 2)
			}
			for _, l := range c.left {
				w := append(windows[l.block], l)
				for len(w) > 0 && l.to-w[0].from >= int64(limitWindow) { // what is nearer left within a window for certain
					w = w[1:]
				}
				if windows[l.block] = w; len(w) > int(placesOf(most)) {
					t.Fatalf("seed %d: %d probes within a window, allowed %d", seed, len(w), placesOf(most))
				}
			}
			if len(c.left) > 0 && c.now-c.left[0].from > int64(limitWindow) {
				most = pps // what left under another cap is over
			}
			most = max(most, pps)
			c.left = c.left[:0]
		}
		scheduled := map[uint32]int{}
		for _, w := range c.workers {
			for _, n := range w.schedule.targets {
				scheduled[n]++
			}
		}
		for _, n := range live {
			if scheduled[n] != 1 {
				t.Errorf("seed %d: target %d is in the schedule %d times", seed, n, scheduled[n])
			}
		}
		for n, times := range scheduled {
			if times > 1 {
				t.Errorf("seed %d: target %d is in the schedule %d times", seed, n, times)
			}
		}
	}
}

// A worker allocates nothing while probes wait for their block, and get it.
func TestCrowdedBlockAllocatesNothing(t *testing.T) {
	const interval = time.Second
	c := newCrowding(t, 200, interval, 1)
	for i := range 190 {
		n := c.add(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1+i%3, time.Duration(i)*time.Millisecond)
		c.series.at(c.targets.at(n).series).watch.Store(nil)
	}
	w := c.workers[0]
	mapped := [16]byte{10: 0xff, 11: 0xff, 12: 192, 14: 2}
	block := c.Blocks.of(&mapped)
	turn := func() {
		c.clock = clock{time.Now(), c.now}
		c.now += int64(time.Millisecond)
		w.sendDue()
	}
	for range 20_000 {
		turn()
	}
	given := block.next.Load()
	if got := testing.AllocsPerRun(2000, turn); got != 0 {
		t.Errorf("%v allocations", got)
	}
	waiting := 0
	for n := uint32(1); n < c.targets.used; n++ {
		if c.targets.at(n).place() > 0 {
			waiting++
		}
	}
	if block.next.Load() == given || waiting == 0 {
		t.Errorf("%d places were given, %d wait: want some of both", block.next.Load()-given, waiting)
	}
}
