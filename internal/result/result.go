// SPDX-License-Identifier: Apache-2.0

// Package result holds what was measured: per target and group, the totals and
// the figures of the last whole round. Writers never wait; readers see whole
// rounds.
package result

import (
	"sync"
	"sync/atomic"
	"time"
)

// Labels are what tells one series from another.
type Labels struct {
	Metric      string // prefix of the type's series: "tcpsyn"
	Destination string // the target's name
	Family      string // "ipv4" or "ipv6"
	State       string
	Group       string
}

// Kind is what many series have in common, so that each needs to hold only its
// target's name. Immutable.
type Kind struct {
	Metric      string // prefix of the type's series: "tcpsyn"
	Family      string // "ipv4" or "ipv6"
	State       string
	Group       string
	Percentiles []int
}

// Series is the result of one target in one group. The engine's owning worker
// is the only one to publish; any goroutine may call Snapshot. There may be
// millions: what most of them never need is in rare.
type Series struct {
	kind atomic.Pointer[Kind]
	name *string // the target's

	version    atomic.Uint32 // odd while a round is being replaced
	rounds     atomic.Uint32
	sent, lost atomic.Uint64

	roundSent, roundLost, roundAnswered atomic.Uint32
	roundEnd                            atomic.Uint32    // Unix time, s
	roundTrips                          [2]atomic.Uint32 // float32 of ns, of the first percentiles
	rare                                atomic.Pointer[rare]
}

// rare is what a series holds beyond that once there is something to hold.
type rare struct {
	duplicates, late, marked  atomic.Uint64
	reordered, ttlChanges     atomic.Uint64
	unmatched, clockFaults    atomic.Uint64
	icmpErrors                [errorKinds]icmpErrors
	causes                    [numCauses]atomic.Uint64 // but timeouts, which are the rest
	notSent                   [numReasons]atomic.Uint64
	unknown                   [numDoubts]atomic.Uint64
	spread                    atomic.Bool // the figures below are of the last round
	uncertain                 atomic.Bool
	shortest, longest, jitter atomic.Uint32                   // float32 of ns
	bands                     [4]atomic.Uint32                // float32 of ns, of BandPercents between the first and the last
	roundTrips                atomic.Pointer[[]atomic.Uint32] // float32 of ns, of the percentiles beyond the first two; nil: not known yet
	histogram                 *histogram                      // nil: not asked for
}

// Snapshot is a consistent copy of a Series.
type Snapshot struct {
	kind *Kind
	name *string

	Sent, Lost, Rounds uint64 // totals over whole rounds
	NotSent            [numReasons]uint64
	Causes             [numCauses]uint64
	Duplicates, Late   uint64
	Marked             uint64
	Reordered          uint64 // answers that came after that of a later probe of the same path
	TTLChanges         uint64 // answers with another TTL or hop limit than the one before on their path
	Unmatched          uint64 // answers on a path of ours whose acknowledgement fits none of its probes
	ClockFaults        uint64 // answers received before their probe was sent
	Unknown            [numDoubts]uint64
	ICMPErrors         [errorKinds]ICMPErrors // those with Count 0 are unused
	Histogram          Histogram

	// The last whole round. RoundSent 0 means that nothing could be sent: there
	// is no loss ratio and no round trip.
	RoundSent, RoundLost, RoundAnswered uint64
	RoundEnd                            time.Time
	RoundTrips                          []time.Duration // one per percentile; all 0 on total loss; Unpublished
	Min, Max, Jitter                    time.Duration
	Bands                               [len(BandPercents)]time.Duration // all 0 where there are no round trips
	// Uncertain: the send times of all answered probes were uncertain, and so
	// are the round trips.
	Uncertain bool
}

// BandPercents are the percentiles of Snapshot.Bands, whatever is published: a
// past that is kept goes on when other percentiles are asked for.
var BandPercents = [...]int{0, 25, 50, 75, 95, 100}

// Unpublished stands in Snapshot.RoundTrips for a percentile that was asked for
// since the last whole round.
const Unpublished time.Duration = -1

// LossRatio is lost/sent of the last round; ok is false when nothing was sent.
func (s *Snapshot) LossRatio() (ratio float64, ok bool) {
	if s.RoundSent == 0 {
		return 0, false
	}
	return float64(s.RoundLost) / float64(s.RoundSent), true
}

// Store is the set of series being measured.
type Store struct {
	mu     sync.Mutex
	series atomic.Pointer[[]*Series]
}
