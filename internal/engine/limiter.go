// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"sync/atomic"
	"time"
)

// limitWindow is the span over which a rate never exceeds its cap, rounded up to
// a whole probe.
const limitWindow = 100 * time.Millisecond

// Limiter keeps all workers together under a rate: it remembers when the last
// probes left, as many as one window may hold, and the next may go when the
// oldest of them is a window ago. A demand at exactly the cap is met in full.
// Any number of goroutines may use it; it does not lock.
type Limiter struct{ now atomic.Pointer[limit] }

// limit is one rate.
type limit struct {
	sent   []atomic.Int64 // when, ns; a ring
	window int64          // in which the ring may be filled once, ns
	next   atomic.Uint64  // counts probes
}

// NewLimiter returns a Limiter of pps probes per second.
func NewLimiter(pps float64) *Limiter {
	l := &Limiter{}
	l.now.Store(newLimit(pps))
	return l
}

func newLimit(pps float64) *limit {
	n := max(1, math.Ceil(pps*limitWindow.Seconds()))
	l := &limit{sent: make([]atomic.Int64, int(n)), window: int64(n / pps * float64(time.Second))}
	for i := range l.sent {
		l.sent[i].Store(-l.window)
	}
	return l
}

// SetRate lets pps probes per second through from now on. What left before
// counts; of what leaves at this very moment a probe or two may not.
func (l *Limiter) SetRate(pps float64) {
	old, next := l.now.Load(), newLimit(pps)
	if len(old.sent) == len(next.sent) && old.window == next.window {
		return
	}
	// The newest stand last, so that the ring begins with the oldest.
	keep := min(len(old.sent), len(next.sent))
	for i := range keep {
		from := (old.next.Load() + uint64(len(old.sent)-keep+i)) % uint64(len(old.sent))
		next.sent[len(next.sent)-keep+i].Store(old.sent[from].Load())
	}
	l.now.Store(next)
}

// take lets one probe through and returns 0, or returns how long until the
// next may go, ns.
func (l *Limiter) take(now int64) int64 { return l.now.Load().take(now) }

func (l *limit) take(now int64) int64 {
	for {
		n := l.next.Load()
		slot := &l.sent[n%uint64(len(l.sent))]
		if wait := slot.Load() + l.window - now; wait > 0 {
			return wait
		}
		if l.next.CompareAndSwap(n, n+1) {
			slot.Store(now)
			return 0
		}
	}
}
