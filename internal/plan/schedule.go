// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"hash/fnv"
	"time"
)

// phase spreads targets over the interval by their names alone: a restart does
// not move them, and two probers do not reach the same target in step.
func phase(probeName, target string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(probeName))
	h.Write([]byte{0})
	h.Write([]byte(target))
	x := h.Sum64()
	// FNV hardly mixes its last bytes: web-1, web-2, ... would be evenly stepped
	// rather than spread. This is the finaliser of MurmurHash3 (64 bits).
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return time.Duration(x % uint64(interval))
}

// gap returns the time between two probes of a target: interval_packets where
// it is given, as in netprobify; else all of them evenly over the interval, or
// none under engine.pacing burst.
func (b *builder) gap(t *Target) time.Duration {
	switch {
	case b.cfg.Global.IntervalPackets > 0:
		return b.cfg.Global.IntervalPackets
	case b.cfg.Engine.Pacing == "burst":
		return 0
	}
	probes := 0
	for i := range t.Groups {
		probes += t.Groups[i].NbPackets * max(1, len(t.Addrs)) // a name will have one address
	}
	return b.cfg.Global.Interval / time.Duration(max(1, probes))
}
