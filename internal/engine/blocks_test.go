// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// Two addresses are of one block here when they are for the plan, which judges the cap at load.
func TestBlockIsThePlans(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[blockKey]netip.Prefix{}
	for range 100_000 {
		var b [16]byte
		a := netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		if rng.IntN(2) == 0 {
			b = [16]byte{0x20, 1, 0xd, 0xb8, byte(rng.IntN(2)), byte(rng.IntN(256)), byte(rng.IntN(256)), 15: byte(rng.IntN(256))}
			a = netip.AddrFrom16(b)
		}
		b = a.As16()
		key, block := blockOf(&b), plan.Block(a)
		if before, known := seen[key]; known && before != block {
			t.Fatalf("%v and %v are one block", before, block)
		}
		seen[key] = block
	}
	blocks := map[netip.Prefix]bool{}
	for _, p := range seen {
		if blocks[p] {
			t.Fatalf("%v is two blocks", p)
		}
		blocks[p] = true
	}
}

// crowd is a number of targets in one block on a worker's schedule: it asks the caps as the
// worker does, and nothing is sent.
type crowd struct {
	*worker
	flow    *flow // that all of them have
	targets []target
	skipped int
	looks   int
}

// leave looks at a batch of what is due by now, and returns how many left and whether
// that was all.
func (c *crowd) leave(t *testing.T, now int64) (left int, all bool) {
	interval := c.engine.interval.Load()
	for range sendBatch {
		n, key, ok := c.schedule.next()
		if !ok || key > now {
			return left, true
		}
		c.schedule.drop()
		c.looks++
		tg := &c.targets[n]
		if tg.behind(now, interval) {
			c.skipped++
		} else {
			at, wait := c.admit(&upcoming{target: tg, flow: c.flow}, now)
			if wait > 0 {
				t.Fatal("the cap of all is far away, and a probe has to wait for it")
			}
			if at > now {
				block, number := c.engine.Blocks.of(&c.flow.remote), tg.place()
				if block.places[number-1].given.Load() <= now && block.free(number) <= now {
					t.Fatal("a place that is free cannot be left by")
				}
				c.schedule.add(n, at)
				continue
			}
			left++
		}
		tg.hold(0)
		tg.advance(interval)
		c.schedule.add(n, tg.due())
	}
	return left, false
}

// Whatever a block has to catch up with, no window of 100 ms sees more than the cap; what
// can leave within its interval does, in the order in which it was due on each worker; and
// each probe is looked at a few times, however many wait.
func TestBlockCatchesUpUnderItsCap(t *testing.T) {
	const interval = int64(2 * time.Second)
	for _, c := range []struct {
		pps, targets int
		pause        time.Duration
	}{
		{2000, 3600, 1500 * time.Millisecond}, {2000, 3900, 300 * time.Millisecond}, {2000, 2000, 10 * time.Second},
		{105, 180, time.Second}, {15, 27, 900 * time.Millisecond}, {3, 5, 500 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d/s, %d targets, %v", c.pps, c.targets, c.pause), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, uint64(c.pps)))
			addr := netip.MustParseAddr("192.0.2.1")
			e := &Engine{Options: Options{Limiter: NewLimiter(1e8), Blocks: NewBlocks(float64(c.pps))}}
			e.interval.Store(interval)
			e.Blocks.count(addr, 2*c.targets)
			e.Blocks.publish(0)
			f := &flow{remote: addr.As16()}
			limit := e.Blocks.of(&f.remote)
			workers := []*crowd{{worker: &worker{engine: e}, flow: f}, {worker: &worker{engine: e}, flow: f}}
			start := int64(time.Hour)
			for i := range c.targets {
				w := workers[i%2]
				w.targets = append(w.targets, target{plan: planned(1, 1, time.Second), cycle: start + rng.Int64N(interval)})
				w.schedule.add(uint32(len(w.targets)-1), w.targets[len(w.targets)-1].due())
			}
			var sent []int64
			step := func(from, to int64) {
				for now := from; now < to; now += 20_000 + rng.Int64N(100_000) {
					for over := 0; over != 3; { // the workers are at it at the same time
						which := rng.IntN(2)
						left, all := workers[which].leave(t, now)
						for range left {
							sent = append(sent, now)
						}
						if all {
							over |= 1 << which
						}
					}
				}
			}
			step(start, start+3*interval)
			calm := workers[0].skipped + workers[1].skipped
			again := start + 3*interval + int64(c.pause)
			end := again + 20*interval
			step(again, end)
			var window []int64
			for _, at := range sent {
				window = append(window, at)
				for at-window[0] >= limit.window {
					window = window[1:]
				}
				if len(window) > len(limit.places) {
					t.Fatalf("%d probes within %v, allowed %d", len(window), time.Duration(limit.window), len(limit.places))
				}
			}
			skipped := workers[0].skipped + workers[1].skipped
			missed := max(0, float64(c.pause)/float64(interval)-1) * float64(c.targets)
			if calm > 0 || float64(skipped) > 1.01*missed+1 {
				t.Errorf("%d given up before the pause, %d with it; want none, and %.0f", calm, skipped, missed)
			}
			if looks := float64(workers[0].looks + workers[1].looks); looks > 4*float64(len(sent)+skipped) {
				t.Errorf("each probe was looked at %.1f times", looks/float64(len(sent)+skipped))
			}
			late := int64(0)
			for _, w := range workers {
				for i := range w.targets {
					late = max(late, end-w.targets[i].due())
				}
			}
			if asked := float64(c.targets) / 2; asked < 0.95*float64(c.pps) && late > max(int64(limitWindow), 5*int64(time.Second)/int64(c.pps)) {
				t.Errorf("at the end a probe is %v late", time.Duration(late))
			}
		})
	}
}

// A block is looked after from when more may leave for it within a window than its cap
// allows until that is over, and what left it counts when the cap changes.
func TestCrowdedBlocks(t *testing.T) {
	b := NewBlocks(2000)
	addr := netip.MustParseAddr("192.0.2.9")
	mapped := addr.As16()
	now := int64(time.Hour)
	b.count(addr, 200)
	b.count(netip.MustParseAddr("198.51.100.1"), 200)
	if b.publish(now); b.of(&mapped) != nil {
		t.Fatal("looked after at what its cap allows")
	}
	b.count(netip.MustParseAddr("192.0.2.200"), 1)
	b.publish(now)
	limit := b.of(&mapped)
	if limit == nil || len(*b.crowded.Load()) != 1 {
		t.Fatalf("%d blocks are looked after, want one", len(*b.crowded.Load()))
	}
	for range 150 {
		if place, at := limit.give(now); at != now || !limit.leave(place, now) {
			t.Fatal("no place though none is taken")
		}
	}
	b.SetRate(1000)
	if limit = b.of(&mapped); limit == nil {
		t.Fatal("with the lower cap, it is not looked after")
	}
	if _, at := limit.give(now + 1); at <= now+1 {
		t.Error("the places that were taken are free under a lower cap")
	}
	if len(*b.crowded.Load()) != 2 {
		t.Error("with the lower cap, the other block is not looked after")
	}
	b.SetRate(2000)
	b.count(addr, -200)
	if b.publish(now + 1); b.of(&mapped) == nil {
		t.Error("what left a moment ago is forgotten")
	}
	b.count(addr, 1)
	if b.publish(now + keepIdle + 1); b.of(&mapped) != nil {
		t.Error("still looked after")
	}
}

// Whatever comes and goes, in whatever order, at whatever cap: a block into which more may
// leave within a window than its cap allows is looked after, the others mostly are not, and
// when all are gone nothing is left of the counts.
func TestCountsComeAndGo(t *testing.T) {
	type one struct {
		addr   netip.Addr
		probes int
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(1, seed))
		rates := []float64{1, 40, 200, 2000, 100_000_000}
		pps := rates[rng.IntN(len(rates))]
		b := NewBlocks(pps)
		var engines [2][]one // what each of two engines has counted
		now := int64(time.Hour)
		addr := func() netip.Addr {
			// Few blocks, some of which share an entry of few, and many.
			if rng.IntN(2) == 0 {
				return netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(20)), 1})
			}
			return netip.AddrFrom4([4]byte{11, byte(rng.IntN(256)), byte(rng.IntN(256)), 1})
		}
		needless, judged := 0, 0
		for range 3000 {
			which := rng.IntN(2)
			has := &engines[which]
			switch op := rng.IntN(100); {
			case op < 60:
				o := one{addr(), 1 + rng.IntN(1+rng.IntN(90))}
				b.count(o.addr, o.probes)
				*has = append(*has, o)
			case op < 98 && len(*has) > 0:
				i := rng.IntN(len(*has))
				b.count((*has)[i].addr, -(*has)[i].probes)
				(*has)[i] = (*has)[len(*has)-1]
				*has = (*has)[:len(*has)-1]
			case op == 98:
				pps = rates[rng.IntN(len(rates))]
				before := b.epoch
				if b.SetRate(pps); b.epoch != before {
					for _, has := range engines { // as Engine.Recount does
						for _, o := range has {
							b.count(o.addr, o.probes)
						}
					}
				}
			}
			now += keepIdle / 100
			b.publish(now)
			if rng.IntN(50) > 0 {
				continue
			}
			most := map[blockKey]int{}
			for _, has := range engines {
				for _, o := range has {
					mapped := o.addr.As16()
					most[blockOf(&mapped)] += o.probes
				}
			}
			crowded := map[blockKey]*blockLimit{}
			if all := b.crowded.Load(); all != nil {
				crowded = *all
			}
			for key, n := range most {
				_, looked := crowded[key]
				if n > int(placesOf(pps)) && !looked {
					t.Fatalf("seed %d: %d probes may leave for a block within a window, of %d allowed, and nobody looks after it", seed, n, placesOf(pps))
				}
				judged++
				if _, idle := b.idle[key]; looked && !idle && n <= int(placesOf(pps))-int(b.fewest) {
					needless++
				}
			}
		}
		if needless > judged/100 {
			t.Errorf("seed %d: %d of %d blocks are looked after and need not be", seed, needless, judged)
		}
		for _, has := range engines {
			for _, o := range has {
				b.count(o.addr, -o.probes)
			}
		}
		if len(b.most) > 0 || b.few != [len(b.few)]uint8{} {
			t.Fatalf("seed %d: all are gone, and %d blocks are counted", seed, len(b.most))
		}
	}
}

// What a probe pays that leaves for a block that is looked after, beside 4,000 others.
func BenchmarkBlocks(b *testing.B) {
	blocks := NewBlocks(2000)
	addrs := make([][16]byte, 4096)
	for i := range addrs {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		addrs[i] = a.As16()
		blocks.count(a, 201)
	}
	now := int64(time.Hour)
	blocks.publish(now)
	b.ReportAllocs()
	for i := range b.N {
		now += 50_000
		block := blocks.of(&addrs[i%len(addrs)])
		place, at := block.give(now)
		if at > now || block.free(place) > now || !block.leave(place, now) {
			b.Fatal("had to wait")
		}
	}
}
