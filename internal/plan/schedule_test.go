// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// The phase of a name is fixed for ever: a new version must not move targets.
func TestPhaseIsStable(t *testing.T) {
	for _, tt := range []struct {
		probe, target string
		want          time.Duration
	}{
		{"probe", "web-1", 7557121118},
		{"probe", "web-2", 7734599889},
		{"prob", "eweb-1", 8476864237},
	} {
		if got := phase(tt.probe, tt.target, 10*time.Second); got != tt.want {
			t.Errorf("phase(%s, %s) = %d, want %d", tt.probe, tt.target, got, tt.want)
		}
	}
}

// Names that differ in a digit fill the interval evenly, and not in step.
func TestPhaseSpreads(t *testing.T) {
	const targets, bins = 100_000, 100
	var count [bins]int
	for i := range targets {
		count[phase("probe", fmt.Sprintf("web-%d", i), 10*time.Second)*bins/(10*time.Second)]++
	}
	chi2, mean := 0.0, float64(targets)/bins
	for _, n := range count {
		chi2 += (float64(n) - mean) * (float64(n) - mean) / mean
	}
	// 99 degrees of freedom: 99.98% of random draws lie between 56 and 160.
	if chi2 < 56 || chi2 > 160 {
		t.Errorf("chi-square of %d targets in %d bins is %.0f", targets, bins, chi2)
	}
}

func TestGap(t *testing.T) {
	tests := []struct {
		name    string
		pacing  string
		packets time.Duration
		dest    string
		want    time.Duration
	}{
		{"spread", "spread", 0, "192.0.2.0/30", 10 * time.Second / 12},
		{"burst", "burst", 0, "192.0.2.0/30", 0},
		{"interval_packets", "spread", 7 * time.Millisecond, "192.0.2.0/30", 7 * time.Millisecond},
		{"interval_packets wins over burst", "burst", 7 * time.Millisecond, "192.0.2.0/30", 7 * time.Millisecond},
		{"a name without address counts as one", "spread", 0, "www.example.com", 10 * time.Second / 3},
	}
	for _, tt := range tests {
		p := mustBuild(t, configOf(func(c *config.Config) {
			c.Engine.Pacing, c.Global.IntervalPackets = tt.pacing, tt.packets
			tg := &c.Targets[0]
			tg.Type, tg.NbPackets, tg.Destination, tg.IsSubnet = "ICMPping", 3, tt.dest, tt.dest[0] == '1'
		}), Inputs{})
		if got := p.Targets[0].Gap; got != tt.want {
			t.Errorf("%s: gap %s, want %s", tt.name, got, tt.want)
		}
	}
}
