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

// limitPlaces is how many places a Limiter has at the most, if its window can be
// divided into them.
const limitPlaces = 4096

// grantSpan is how far what a place says may be behind while a worker uses it, ns.
const grantSpan = int64(time.Millisecond)

// Limiter keeps all workers together under a rate: it remembers when the last
// probes left, as many as one window may hold, and the next may go when the
// oldest of them is a window ago. A demand at exactly the cap is met in full.
// High rates are counted by several probes in a place. Any number of goroutines may
// use it; it does not lock.
type Limiter struct{ now atomic.Pointer[limit] }

// limit is one rate.
type limit struct {
	sent   []atomic.Int64 // when the last probe of each place left, ns; a ring
	each   int            // probes of one place
	window int64          // in which the ring may be filled once, ns
	next   atomic.Uint64  // counts places
}

// NewLimiter returns a Limiter of pps probes per second.
func NewLimiter(pps float64) *Limiter {
	l := &Limiter{}
	l.now.Store(newLimit(pps))
	return l
}

// SetRate lets pps probes per second through from now on. What left before
// counts; of what leaves at this very moment a few may not.
func (l *Limiter) SetRate(pps float64) {
	old, next := l.now.Load(), newLimit(pps)
	if len(old.sent) == len(next.sent) && old.each == next.each && old.window == next.window {
		return
	}
	// The newest stand last, so that the ring begins with the oldest.
	for back := range len(next.sent) {
		from := back * next.each / old.each
		if from >= len(old.sent) {
			break
		}
		place := (old.next.Load() + uint64(len(old.sent)-1-from)) % uint64(len(old.sent))
		next.sent[len(next.sent)-1-back].Store(old.sent[place].Load())
	}
	l.now.Store(next)
}

// placesOf is how many probes per window a rate is.
func placesOf(pps float64) uint32 {
	return uint32(max(1, math.Ceil(pps*limitWindow.Seconds())))
}

// windowOf is the window of a rate, ns.
func windowOf(pps float64) int64 {
	return int64(float64(placesOf(pps)) / pps * float64(time.Second))
}

func newLimit(pps float64) *limit {
	n := int(placesOf(pps))
	each := max(1, n/limitPlaces)
	for n%each != 0 { // whole places, or the cap would not be met or not be held
		each--
	}
	l := &limit{sent: make([]atomic.Int64, n/each), each: each, window: windowOf(pps)}
	for i := range l.sent {
		l.sent[i].Store(-l.window)
	}
	return l
}

// grant is a place of a limit that a worker has taken, and uses up. Only the
// worker touches it.
type grant struct {
	of    *limit        // nil: none was taken yet
	place *atomic.Int64 // in it
	left  int           // probes
	last  int64         // when its last probe so far left, ns
	told  int64         // what place says, ns
}

// take lets one probe through and returns 0, or returns how long until the
// next may go, ns. It uses what is left of g, or a new place. The worker must
// rest g before it sleeps.
func (l *Limiter) take(g *grant, now int64) int64 {
	of := l.now.Load()
	// Long before others may take the place, if it is old.
	if g.left > 0 && g.of == of && now-g.told < of.window/2 {
		g.last = now
		if g.left--; g.left == 0 || now-g.told > grantSpan {
			g.rest()
		}
		return 0
	}
	g.rest()
	for {
		n := of.next.Load()
		place := &of.sent[n%uint64(len(of.sent))]
		if wait := place.Load() + of.window - now; wait > 0 {
			return wait
		}
		if of.next.CompareAndSwap(n, n+1) {
			place.Store(now)
			*g = grant{of: of, place: place, left: of.each - 1, last: now, told: now}
			return 0
		}
	}
}

// rest lets the others know when the last probe left.
func (g *grant) rest() {
	if g.told < g.last {
		g.place.Store(g.last)
		g.told = g.last
	}
}
