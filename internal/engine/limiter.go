// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"
)

// Limiter keeps all workers together under a rate. Any number of goroutines may
// use it; it does not lock.
type Limiter struct {
	step  int64        // ns between probes
	burst int64        // ns by which probes may run ahead
	next  atomic.Int64 // when the next probe is due at the full rate, ns
}

// NewLimiter returns a Limiter that lets at most pps*window probes through in
// any window of 100 ms or more. It is the generic cell rate algorithm, which
// lets rate*window + burst through: so the burst, a hundredth of the window,
// is taken off the rate.
func NewLimiter(pps float64) *Limiter {
	const window, share = 100 * time.Millisecond, 100
	return &Limiter{
		step:  int64(float64(time.Second) / pps * share / (share - 1)),
		burst: int64(window / share),
	}
}

// take lets one probe through and returns 0, or returns how long until the
// next may go, ns.
func (l *Limiter) take(now int64) int64 {
	for {
		next := l.next.Load()
		if ahead := next - l.burst - now; ahead > 0 {
			return ahead
		}
		if l.next.CompareAndSwap(next, max(next, now)+l.step) {
			return 0
		}
	}
}
