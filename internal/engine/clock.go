// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
)

// clock reads the kernel's monotonic clock, that of the receive times, without
// a system call: the runtime's own monotonic clock and a constant offset.
type clock struct {
	base   time.Time
	offset int64 // ns
}

func newClock() (clock, error) {
	base := time.Now()
	offset, _, err := steer.ClockOffset(base)
	return clock{base, int64(offset)}, err
}

// now returns ns of bpf_ktime_get_ns.
func (c *clock) now() int64 { return int64(time.Since(c.base)) + c.offset }

// at is now at a time that has a reading of the monotonic clock: one call of time.Now reads both
// clocks together, two may have anything between them.
func (c *clock) at(t time.Time) int64 { return int64(t.Sub(c.base)) + c.offset }
