// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"
)

// The protocols that contestants are compared on.
const (
	icmp = "icmp"
	tcp  = "tcp"
)

// load is what a contestant is asked to send.
type load struct {
	Proto   string `json:"proto"`
	Targets int    `json:"targets"`
	PPS     int    `json:"pps"`    // probes per second in all; 0: as fast as it goes
	Probes  int    `json:"probes"` // in all, a multiple of Targets
}

// each is how many probes go to one target.
func (l load) each() int { return l.Probes / l.Targets }

// gap is the time between two probes to one target. As fast as it goes is
// asking for flatPPS, more than anything here can send.
func (l load) gap() time.Duration {
	pps := l.PPS
	if pps == 0 {
		pps = flatPPS
	}
	return time.Duration(l.Targets) * time.Second / time.Duration(pps)
}

// planned is how long sending takes at the pace asked for.
func (l load) planned() time.Duration { return time.Duration(l.each()) * l.gap() }

const flatPPS = 4_000_000

// claims is what a contestant says of itself. Values it cannot tell are NaN.
type claims struct {
	Sent    float64 // probes
	Matched float64 // answers it took for its own
	Lost    float64
	NotSent float64 // ours: not sent by our own side
	Unknown float64 // ours: the answer may have been lost by our own side
	Marked  float64 // ours: samples with an uncertain send time
	P50     float64 // round trip, us
	P99     float64
}

// none stands for what was not, or cannot be, measured.
var none = math.NaN()
