// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// However probes arrive, no window of 100 ms holds more than the cap allows,
// and a steady demand at the cap is met.
func TestLimiterHoldsOverEveryWindow(t *testing.T) {
	for _, pps := range []float64{3, 10, 15, 100, 105, 1999, 2000, 20000, 1e6} {
		rng := rand.New(rand.NewPCG(1, uint64(pps)))
		l := NewLimiter(pps)
		var grants [2]grant // of two workers
		var sent []int64
		now := int64(time.Hour)
		for end := now + int64(time.Second); now < end; {
			g := &grants[rng.IntN(2)]
			switch wait := l.take(g, now); {
			case wait == 0:
				sent = append(sent, now)
				now += rng.Int64N(2)
			case rng.IntN(1000) == 0:
				g.rest()
				now += wait + rng.Int64N(int64(limitWindow)/2) // a pause, after which there is much to catch up
			default:
				grants[0].rest()
				grants[1].rest()
				now += wait
			}
		}
		allowed := int(math.Ceil(pps / 10))
		for first, last := 0, 0; last < len(sent); last++ {
			for sent[last]-sent[first] >= int64(limitWindow) {
				first++
			}
			if n := last - first + 1; n > allowed {
				t.Fatalf("%v/s: %d probes within 100 ms, allowed %d", pps, n, allowed)
			}
		}
	}
	// Probes may be let through a little late, but none later than the ones before.
	for _, pps := range []int{3, 15, 105, 1999, 20000, 1e6} {
		l := NewLimiter(float64(pps))
		var g grant
		now, late := int64(0), int64(0)
		for i := range 10 * pps {
			due := int64(time.Hour) + int64(i)*int64(time.Second)/int64(pps)
			now = max(now, due)
			for wait := l.take(&g, now); wait > 0; wait = l.take(&g, now) {
				g.rest()
				now += wait
			}
			late = max(late, now-due)
		}
		if late > int64(100*time.Microsecond) {
			t.Errorf("a steady demand at the cap of %d/s: a probe was let through %v late", pps, time.Duration(late))
		}
	}
}

// A worker that is taken off its CPU between admitting probes and sending them lets the caps
// know: the places are free a window after the probes left, not after they were admitted.
func TestLateKickCounts(t *testing.T) {
	for _, pps := range []float64{2000, 1e6} { // one probe of a place, and several
		now := int64(time.Hour)
		e := &Engine{Options: Options{Limiter: NewLimiter(pps), Blocks: NewBlocks(2000)}}
		w := &worker{engine: e}
		f := &flow{remote: netip.MustParseAddr("192.0.2.1").As16()}
		e.Blocks.count(netip.MustParseAddr("192.0.2.1"), 1000)
		e.Blocks.publish(now)
		p := &upcoming{flow: f, target: &target{plan: &plan.Target{}, cycle: now}, due: now}
		if at, wait := w.admit(p, now); at > now || wait > 0 {
			t.Fatal("not admitted though nothing has left")
		}
		left := now + int64(50*time.Millisecond)
		w.leftBy(w.admitted, left)
		w.grant.rest()
		block := e.Blocks.of(&f.remote)
		for name, place := range map[string]*atomic.Int64{"of all": w.admitted.all, "of the block": w.admitted.block} {
			if place == nil || place.Load() != left {
				t.Errorf("%v/s: the place %s is not one that was left by late", pps, name)
			}
		}
		if block.newest() != left {
			t.Errorf("%v/s: the block's newest is not the late one", pps)
		}
		w.leftBy(admission{at: now, all: w.admitted.all, block: w.admitted.block}, now)
		if w.admitted.all.Load() != left || w.admitted.block.Load() != left {
			t.Errorf("%v/s: a place is free earlier than what was said last", pps)
		}
	}
}
