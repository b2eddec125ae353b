// SPDX-License-Identifier: Apache-2.0

//go:build kernels

package truth

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// monotonic reads the clock that nobody can set.
func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestKernelClockStepped sets the wall clock ahead by an hour, and back by two,
// while probing goes on: not a probe is lost, missing, or sent twice, and the
// round trips do not notice. It is here because the clock is the machine's: every other
// program on it would notice.
func TestKernelClockStepped(t *testing.T) {
	const probes = 200
	p := newPair(t, 1)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := everyKind(p, probes)
	r := start(t, s)
	wall, began := time.Now().Round(0), monotonic(t)
	set := func(off time.Duration) {
		t.Helper()
		tv := unix.NsecToTimeval(wall.Add(monotonic(t) - began + off).UnixNano())
		if err := unix.Settimeofday(&tv); err != nil {
			t.Fatal(err)
		}
	}
	defer set(0)
	r.wait(func() bool { return arrived(t, p.host) > 100 }, 30*time.Second, func() string { return "no probes arrive" })
	for _, off := range []time.Duration{time.Hour, -time.Hour, 0} {
		set(off)
		seen := time.Now()
		if moved := seen.Round(0).Sub(wall) - (monotonic(t) - began); (moved - off).Abs() > time.Second {
			t.Fatalf("the clock moved by %v, not by %v: the test is void", moved, off)
		}
		before := arrived(t, p.host)
		r.wait(func() bool { return arrived(t, p.host) > before+100 }, 10*time.Second, func() string { return "probing stands still" })
	}
	for round := uint64(1); round <= 2; round++ {
		r.quiet(round, func() {
			for _, tg := range s.targets {
				// An emulated machine is slow enough for a SYN-ACK to be repeated.
				if got := r.of(tg.name); got.Sent != round*probes || got.Lost > r.unable() || notSent(got)+unknown(got)+got.Late != 0 {
					t.Errorf("%s: %s; want %d sent and answered", tg.name, show(got), round*probes)
				}
				if trip := r.median(tg.name); trip <= 0 || trip > time.Second {
					t.Errorf("%s: median round trip %v", tg.name, trip)
				}
			}
		})
	}
}
