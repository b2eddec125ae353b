// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/bpf"
)

// ClockOffset compares the clock that Meta's times are of, bpf_ktime_get_ns,
// with the monotonic clock of this process: a frame's rxNS is, on the process's
// clock, int64(rxNS) - offset nanoseconds after base, right to within uncertainty.
// base must have a monotonic reading. Both clocks are CLOCK_MONOTONIC, apart by
// a constant: where the process counts from, and the shift of a time namespace if it
// is in one. Measure it once.
func ClockOffset(base time.Time) (offset, uncertainty time.Duration, err error) {
	var objects bpf.ClockObjects
	if err := bpf.LoadClockObjects(&objects, nil); err != nil {
		return 0, 0, loadError(fmt.Errorf("clock: %w", err))
	}
	defer objects.Close()
	data := make([]byte, 64)
	ktime := func() (int64, error) {
		_, out, err := objects.Clock.Test(data)
		if err != nil {
			return 0, fmt.Errorf("read the kernel's clock by BPF_PROG_RUN: %w", err)
		}
		return int64(binary.NativeEndian.Uint64(out)), nil
	}
	process := func() (int64, error) { return int64(time.Since(base)), nil }

	shift, err := compare(64, ktime, monotonic)
	if err != nil {
		return 0, 0, err
	}
	source, tries := ktime, 256
	if shift.low <= 0 && shift.high >= 0 {
		// No time namespace. A system call brackets CLOCK_MONOTONIC several
		// times closer than a test run does the same clock.
		source, tries = monotonic, 1024
	}
	o, err := compare(tries, source, process)
	if err != nil {
		return 0, 0, err
	}
	return time.Duration(o.low + (o.high-o.low)/2), time.Duration(o.high-o.low+1) / 2, nil
}

func monotonic() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return ts.Nano(), nil
}

// bounds is what the difference of two clocks lies between, in nanoseconds.
type bounds struct{ low, high int64 }

// compare reads clock a between two readings of clock b, several times. The
// difference a - b is constant, so it lies within every bracket: their
// intersection is closer than any of them.
func compare(tries int, a, b func() (int64, error)) (bounds, error) {
	d := bounds{-1 << 63, 1<<63 - 1}
	for range tries {
		before, err1 := b()
		middle, err2 := a()
		after, err3 := b()
		if err := errors.Join(err1, err2, err3); err != nil {
			return bounds{}, err
		}
		d.low = max(d.low, middle-after)
		d.high = min(d.high, middle-before)
	}
	if d.low > d.high {
		return bounds{}, errors.New("the kernel's clock and this process's drift apart: receive times cannot be trusted")
	}
	return d, nil
}
