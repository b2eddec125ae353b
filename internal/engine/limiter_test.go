// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// However probes arrive, no window of 100 ms holds more than the cap allows,
// and a steady demand at the cap is met.
func TestLimiterHoldsOverEveryWindow(t *testing.T) {
	for _, pps := range []float64{10, 100, 2000, 20000, 1e6} {
		rng := rand.New(rand.NewPCG(1, uint64(pps)))
		l := NewLimiter(pps)
		var sent []int64
		now := int64(time.Hour)
		for end := now + int64(time.Second); now < end; {
			switch wait := l.take(now); {
			case wait == 0:
				sent = append(sent, now)
			case rng.IntN(1000) == 0:
				now += wait + rng.Int64N(limitWindow/2) // a pause, after which there is much to catch up
			default:
				now += wait
			}
		}
		allowed := max(1, int(pps/10))
		for first, last := 0, 0; last < len(sent); last++ {
			for sent[last]-sent[first] >= limitWindow {
				first++
			}
			if n := last - first + 1; n > allowed {
				t.Fatalf("%v/s: %d probes within 100 ms, allowed %d", pps, n, allowed)
			}
		}
	}
	l, n := NewLimiter(20000), 0
	for now := int64(time.Hour); now < int64(time.Hour+time.Second); now += int64(50 * time.Microsecond) {
		if l.take(now) == 0 {
			n++
		}
	}
	if n != 20000 {
		t.Errorf("a steady demand at the cap: %d of 20000 probes let through", n)
	}
}
