// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

// TestMain lets the test binary be its own children, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == roleFlag {
		if err := mainOr(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Both of our own contestants account for every probe, and for every answer that
// the far end dropped. Nothing here depends on how fast they are.
func TestAccounting(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, and must not be skipped where CI=true")
		}
		t.Skip("needs root to make network namespaces: run it with sudo")
	}
	p, err := newPhases(100)
	if err != nil {
		t.Fatal(err)
	}
	const probes = 2100
	for _, s := range []setting{
		// As fast as it goes, a TCP flow whose answer was dropped is busy, and
		// the probe that wanted it is not sent: nothing is dropped there.
		{name: "flat", load: load{Proto: icmp, Targets: 100, Probes: probes}},
		{name: "paced", drop: 10, load: load{Proto: tcp, Targets: 100, PPS: 2000, Probes: probes}},
	} {
		for _, c := range []contestant{&bare{batch: 64}, &ours{phases: p}} {
			t.Run(s.name+" "+c.name(), func(t *testing.T) {
				got, err := contest(c, s, 1)
				if err != nil {
					t.Fatal(err)
				}
				if got.LossErr != 0 || got.Matched != 1 || got.NotSent > 0 || got.Unknown > 0 {
					t.Errorf("not every probe is accounted for: %+v", got)
				}
				if s.load.PPS > 0 && (math.IsNaN(got.P50) || got.P50 <= 0 || got.P99 < got.P50) {
					t.Errorf("round trips: %+v", got)
				}
				if got.Memory <= 0 || got.LifeCPU <= 0 {
					t.Errorf("it used nothing: %+v", got)
				}
			})
		}
	}
}

// A child that is killed, or does not do what it should, is an error and not a
// figure.
func TestChildFails(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, and must not be skipped where CI=true")
		}
		t.Skip("needs root to make network namespaces: run it with sudo")
	}
	r, err := newRig(rigOptions{queues: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	c, err := startSelf(where{r.prober, t.TempDir(), anyCPU}, "nobody", nil)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := c.line(10 * time.Second); err == nil {
		t.Errorf("a child without a role said %q", l)
	}
	if err := c.wait(10 * time.Second); err == nil {
		t.Error("a child without a role ended well")
	}
	if _, err := start(where{r.prober, "", anyCPU}, "/nonexistent"); err == nil {
		t.Error("a program that is not there was started")
	}
}
