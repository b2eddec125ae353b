// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// App holds the state of the program that netprobify's users watch. Any
// goroutine may set and read it; the zero value is ready.
type App struct {
	// ReloadFailed is whether the last load of the configuration failed.
	ReloadFailed atomic.Bool

	// Stopped is whether all sending is stopped, by safety.kill_file.
	Stopped atomic.Bool

	iteration atomic.Int64 // ns + 1; 0: no round is over yet

	mu       sync.Mutex
	repeated map[string]uint64 // by name of target
}

// SetIterationTime says how long the last round took beyond its planned span.
// Until the first call there is no such series.
func (a *App) SetIterationTime(d time.Duration) { a.iteration.Store(int64(max(d, 0)) + 1) }

// AddRepeated counts targets of inventories that were left out because another
// has their name.
func (a *App) AddRepeated(byName map[string]uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.repeated == nil {
		a.repeated = map[string]uint64{}
	}
	for name, n := range byName {
		if _, known := a.repeated[name]; known || len(a.repeated) < maxRepeated {
			a.repeated[name] += n
		}
	}
}

// maxRepeated bounds the series of app_target_name_dup_total.
const maxRepeated = 1000

func (a *App) names() map[string]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.repeated)
}

// Resolution says what became of a target's destination.
type Resolution uint8

const (
	ResolutionPending Resolution = iota // not asked yet: no series
	ResolutionFailed
	Resolved
)

// Target is what is shown of a target beside its measurements. It is immutable
// once handed over: a change is a new Target in its place.
type Target struct {
	Type        *probe.Type
	Destination string // the target's name
	Family      string // "ipv4" or "ipv6"
	State       string // "None" or "" when unset
	AlertLevel  string
	Groups      []string

	Address string // address or prefix probed; "" while there is none
	Port    uint16 // 0 for types without one

	ThresholdLoss    *float64 // percent; nil: none
	ThresholdLatency *float64 // seconds; nil: none

	Labels []Label // of its own, in the order they are shown

	Resolution        Resolution
	ResolutionChanges uint64        // the first resolution included
	ResolutionTook    *atomic.Int64 // how long the last question took, ns, 0 before the first; nil: none is asked
}

// Label is something more that is known of a target.
type Label struct{ Name, Value string }

// Link is an interface probes leave by, as its XDP program and its sockets
// count.
type Link struct {
	Interface string
	Mode      string // of XDP: "native" or "generic"
	Bind      string // of the sockets: "copy" or "zerocopy"
	Queues    []Queue

	ReceiveClock string // who stamps what comes in: steer.ReceiveClock

	// PassedReasons says why the XDP program left packets to the host.
	PassedReasons []ReasonCount

	// ScheduleLag is the most that a probe left later than planned in the last
	// 15 to 30 s.
	ScheduleLag time.Duration

	Foreign     uint64 // packets that reached our sockets and answer no probe
	ClockFaults uint64 // answers received before their probe was sent
}

// Queue is what was counted on a receive queue, in packets.
type Queue struct {
	ID      int
	Steered uint64 // handed to our socket
	Passed  uint64 // left to the host

	// Answers that our own side lost, from XDP_STATISTICS (linux/if_xdp.h):
	RxRingFull    uint64 // rx_ring_full: the worker was too slow to take them
	FillRingEmpty uint64 // rx_fill_ring_empty_descs: no free frame to put them in
}

// ReasonCount is a number of packets under one reason of the XDP program.
type ReasonCount struct {
	Reason string
	Count  uint64
}
