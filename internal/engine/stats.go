// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Stats are an engine's own figures.
type Stats struct {
	Lag         time.Duration // the most that a probe was late in the last 15 to 30 s
	Foreign     uint64        // steered frames that match no probe
	ClockFaults uint64        // answers received before their probe was sent
	Stalled     time.Duration // the longest that a worker has not come round; 0 before it begins
}

// Stats may be called from any goroutine.
func (e *Engine) Stats() Stats {
	st := Stats{ClockFaults: e.clockFaults.Load()}
	for _, w := range e.workers {
		st.Lag = max(st.Lag, w.lag.read())
		st.Foreign += w.foreign.Load()
		if at := w.round.Load(); at > 0 {
			st.Stalled = max(st.Stalled, time.Duration(e.clock.now()-at))
		}
	}
	return st
}
