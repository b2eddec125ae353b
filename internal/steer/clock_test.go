// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shiftVariable holds how far the process's time namespace is shifted.
const shiftVariable = "NPX_STEER_TIME_SHIFT"

func TestClockOffset(t *testing.T) {
	needRoot(t)
	shift, _ := time.ParseDuration(os.Getenv(shiftVariable))
	base := time.Now()
	offset, uncertainty, err := ClockOffset(base)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("offset %v ± %v", offset, uncertainty)
	if uncertainty <= 0 {
		t.Errorf("uncertainty %v", uncertainty)
	}
	// CLOCK_MONOTONIC read between two readings of our clock must fit.
	for range 100 {
		before := time.Since(base)
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		after := time.Since(base)
		ours := time.Duration(ts.Nano()) - shift - offset
		if ours < before-uncertainty || ours > after+uncertainty {
			t.Fatalf("the kernel's clock stood at %v of ours, between %v and %v, uncertainty %v", ours, before, after, uncertainty)
		}
	}
}

// TestClockOffsetShifted measures in a time namespace, which shifts the
// process's clock and not bpf_ktime_get_ns.
func TestClockOffsetShifted(t *testing.T) {
	needRoot(t)
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs unshare of util-linux")
	}
	child := exec.Command(unshare, "--time", "--fork", "--monotonic", "1000", os.Args[0], "-test.run=^TestClockOffset$", "-test.v")
	child.Env = append(os.Environ(), shiftVariable+"=1000s")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestCompare(t *testing.T) {
	// Clock b runs 1000 behind a; each reading takes another while.
	now, step := int64(0), int64(0)
	tick := func() int64 { step++; now += 3 + step%5; return now }
	a := func() (int64, error) { return tick() + 1000, nil }
	b := func() (int64, error) { return tick(), nil }
	d, err := compare(50, a, b)
	if err != nil || d.low > 1000 || d.high < 1000 || d.high-d.low > 6 {
		t.Errorf("%+v, %v", d, err)
	}
	drift := func() (int64, error) { return 2 * tick(), nil }
	if d, err := compare(50, drift, b); err == nil {
		t.Errorf("drifting clocks: %+v", d)
	}
}
