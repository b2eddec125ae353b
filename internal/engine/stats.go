// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// icmpErrors counts ICMP errors that quote our probes and are no answers, by
// family, type and code. Any goroutine may use it.
type icmpErrors struct {
	counts [2][256][16]atomic.Uint64 // codes of 15 and above share the last
}

func (c *icmpErrors) count(r *packet.Reply) {
	family := 0
	if !r.Flow.Remote.Is4() {
		family = 1
	}
	c.counts[family][r.Type][min(r.Code, 15)].Add(1)
}

// ICMPError is how often one kind of ICMP error came.
type ICMPError struct {
	Family     string // "ipv4" or "ipv6"
	Type, Code uint8  // Code 15 stands for 15 and above
	Count      uint64
}

// Stats are an engine's own figures.
type Stats struct {
	Lag         time.Duration // the most that a probe was late in the last 15 to 30 s
	Foreign     uint64        // steered frames that match no probe
	ClockFaults uint64        // answers received before their probe was sent
	ICMPErrors  []ICMPError   // those that came
}

// Stats may be called from any goroutine.
func (e *Engine) Stats() Stats {
	st := Stats{ClockFaults: e.clockFaults.Load()}
	for _, w := range e.workers {
		st.Lag = max(st.Lag, w.lag.read())
		st.Foreign += w.foreign.Load()
	}
	for f, family := range [2]string{"ipv4", "ipv6"} {
		for t := range e.icmpErrors.counts[f] {
			for c := range e.icmpErrors.counts[f][t] {
				if n := e.icmpErrors.counts[f][t][c].Load(); n > 0 {
					st.ICMPErrors = append(st.ICMPErrors, ICMPError{family, uint8(t), uint8(c), n})
				}
			}
		}
	}
	return st
}
