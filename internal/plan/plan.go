// SPDX-License-Identifier: Apache-2.0

// Package plan turns a configuration and resolved addresses into the probes to
// send: pure, no I/O.
package plan

import (
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// Plan is everything the engine has to send. It is immutable once Build
// returned it.
type Plan struct {
	ProbeName   string
	Interval    time.Duration
	Percentiles []int
	Targets     []*Target // those of the configuration that are in a group, in its order

	// PPS is the probes per second over all targets, as judged against
	// safety.max_pps: a name that has no address yet counts as one address, and
	// so do addresses of this host.
	PPS float64

	// Warnings are things that will work, but not as their writer may expect.
	Warnings []config.Fault
}

// Target is one target with at least one group. With no Addrs it is inactive.
//
// Within one interval its probes leave in a fixed order, Gap apart, the first
// at Phase: groups in order; within a group packet n to every address, in the
// order of Addrs, before packet n+1 to any. Probe tells which is which.
type Target struct {
	// What each probe needs stands together, in one line of the cache or two.

	Addrs  []netip.Addr
	Groups []Group       // shared with the other targets that have the same settings
	Gap    time.Duration // the time between two consecutive probes

	Name         string
	Type         *probe.Type
	Family       string // "ipv4" or "ipv6"
	State        string // "None" when unset
	DstPort      uint16
	DontFragment bool
	Timeout      time.Duration

	// Phase is when in each interval the first probe leaves, in [0, Interval):
	// a hash of probe name and target name, so that a restart does not move it.
	Phase time.Duration

	// Once: there is a single interval, which begins when the engine is told so,
	// and nobody publishes what comes of it. It is no target of a configuration.
	Once bool
}

// Group is one series of a target: what netprobify publishes under one group
// label.
type Group struct {
	Name       string
	DSCP       uint8
	NbPackets  int // per address and interval
	PayloadLen int // bytes after the L4 header, at least the type's MinPayload

	// Packet i of an address (i < NbPackets) leaves from
	// Sources[Order[i%len(Order)]]. Sources are distinct.
	Sources []Source
	Order   []uint32
}

// Source is where a probe leaves from.
type Source struct {
	Addr netip.Addr // zero: the kernel's choice for the route
	Port uint16     // 0 for types without source ports
}

// Probes returns how many probes one interval holds for this target.
func (t *Target) Probes() int {
	n := 0
	for i := range t.Groups {
		n += t.Groups[i].NbPackets
	}
	return n * len(t.Addrs)
}

// Probe returns what probe i of an interval is, 0 <= i < Probes(): packet n of
// group Groups[g] to Addrs[a]. It leaves at Phase + i*Gap.
func (t *Target) Probe(i int) (g, n, a int) {
	for g = range t.Groups {
		size := t.Groups[g].NbPackets * len(t.Addrs)
		if i < size {
			break
		}
		i -= size
	}
	return g, i / len(t.Addrs), i % len(t.Addrs)
}
