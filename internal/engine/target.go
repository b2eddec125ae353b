// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// target is one target of the plan on its way: its place in the schedule and
// its rounds. Its owning worker uses it; the control goroutine rebinds the
// legs and sets gone.
type target struct {
	plan   *plan.Target
	owner  *worker
	series []*series
	total  int         // probes per interval
	gone   atomic.Bool // no further probes

	bound []netip.Addr // where the legs lead now: the plan's, until Move. Control only

	// Owner only.
	cycle int64  // when this interval's first probe is due, ns
	probe int    // next probe of the interval
	round uint32 // counts intervals
}

// series is one target in one group.
type series struct {
	target  *target
	group   *plan.Group
	typ     *probe.Type
	shape   packet.Shape
	result  *result.Series
	timeout int64   // ns
	expiry  *expiry // of the owner, for this timeout

	legs []leg // [address*len(group.Sources)+source]

	// Owner only. A probe of round r counts in rounds[r mod len]: more than
	// one can be open, because the last probes of one interval wait for their
	// answers while the next begins.
	rounds []openRound
}

// leg is one source to one address of a series: what a person calls a path. The
// control goroutine stores flow and why, the owner loads them.
type leg struct {
	series *series
	flow   atomic.Pointer[flow] // nil: cannot be sent
	next   *flow                // to take its place when it is published. Control only
	why    atomic.Uint32        // where flow is nil, the result.Reason
	told   bool                 // the log knows. Control only

	history history // the owner writes, any goroutine may read
}

type openRound struct {
	result.Round
	dispatched int
}

// planned is how many probes a round of the series has.
func (s *series) planned() int { return s.group.NbPackets * len(s.target.plan.Addrs) }

func (s *series) round(n uint32) *openRound { return &s.rounds[int(n)%len(s.rounds)] }

// leg returns the leg of packet i to address a.
func (s *series) leg(i, a int) *leg {
	src := s.group.Order[i%len(s.group.Order)]
	return &s.legs[a*len(s.group.Sources)+int(src)]
}

func newTarget(p *plan.Target, interval time.Duration, percentiles []int) *target {
	t := &target{plan: p, total: p.Probes(), bound: p.Addrs}
	for i := range p.Groups {
		g := &p.Groups[i]
		s := &series{
			target: t, group: g, typ: p.Type, timeout: int64(p.Timeout),
			shape: packet.Shape{DSCP: g.DSCP, DontFragment: p.DontFragment, PayloadLen: uint16(g.PayloadLen)},
			legs:  make([]leg, len(p.Addrs)*len(g.Sources)),
			result: result.NewSeries(result.Labels{
				Metric: p.Type.Metric, Destination: p.Name, Family: p.Family, State: p.State, Group: g.Name,
			}, percentiles),
		}
		for l := range s.legs {
			s.legs[l].series = s
		}
		// From the first probe of a round to the settling of its last, which
		// waits for a worker that gets no time.
		life := p.Gap*time.Duration(t.total) + p.Timeout + grace + time.Duration(stalled)
		s.rounds = make([]openRound, int(life/interval)+2)
		for r := range s.rounds {
			s.rounds[r].Round = result.NewRound(s.planned())
		}
		t.series = append(t.series, s)
	}
	return t
}

// due is when the next probe should leave, ns.
func (t *target) due() int64 { return t.cycle + int64(t.probe)*int64(t.plan.Gap) }

// advance moves on to the next probe.
func (t *target) advance(interval int64) {
	if t.probe++; t.probe == t.total {
		t.probe = 0
		t.round++
		t.cycle += interval
	}
}

// restingSlots is how many slots a flow has that carries one probe at a time:
// that one, and a few answered ones by which second and late answers are known.
const restingSlots = 4

// slotsNeeded bounds how many probes from source src to one address are under
// way or resting at any time: those sent within a window of the timeout, the
// grace and a late window as long as the timeout.
func (s *series) slotsNeeded(src int, interval time.Duration) int {
	order := s.group.Order
	perInterval, stride, last := 0, len(order), -1
	for i := range s.group.NbPackets {
		if int(order[i%len(order)]) != src {
			continue
		}
		if last >= 0 {
			stride = min(stride, i-last)
		}
		last = i
		perInterval++
	}
	window := 2*time.Duration(s.timeout) + grace
	perWindow := perInterval
	if step := s.target.plan.Gap * time.Duration(stride*len(s.target.plan.Addrs)); step > 0 {
		perWindow = min(perWindow, int(window/step)+1)
	}
	needed := perWindow * (int(window/interval) + 2) // a window may begin and end within an interval
	if s.typ.OneInFlight {
		needed = min(needed, restingSlots)
	}
	return needed
}
