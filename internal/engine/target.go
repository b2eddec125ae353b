// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// target is one target of the plan on its way: its place in the schedule. Its
// owning worker uses it; the control goroutine sets gone.
type target struct {
	plan   *plan.Target
	cycle  int64         // when this interval's first probe is due, ns. Owner only
	probe  uint32        // next probe of the interval. Owner only
	round  uint32        // counts intervals. Owner only
	series uint32        // of its first group; the others follow
	state  atomic.Uint32 // the owner's number (8 bits), targetGone, targetLeft, and the owner's: place
}

const (
	targetGone = 1 << 8 // control: no further probes
	targetLeft = 1 << 9 // owner: it is out of the schedule

	placeShift = 10
)

func (t *target) owner() uint8 { return uint8(t.state.Load()) }

func (t *target) gone() bool { return t.state.Load()&targetGone != 0 }

// place is the number of the place in its block by which the next probe leaves; 0: it was
// not given one yet.
func (t *target) place() uint32 { return t.state.Load() >> placeShift }

// hold keeps a place for the next probe; 0: none.
func (t *target) hold(place uint32) {
	if t.place() != place { // control changes other bits at the same time
		t.state.And(1<<placeShift - 1)
		t.state.Or(place << placeShift)
	}
}

// series is one target in one group.
type series struct {
	result result.Series
	class  *class
	target uint32
	legs   uint32 // first of len(Addrs)*len(Sources): address*len(Sources)+source

	// watch is told of each probe; nil: nobody is. The control side stores it.
	watch atomic.Pointer[Watch]

	// open are the rounds that are not complete, newest first: more than one,
	// because the last probes of an interval wait for their answers while the
	// next begins. Owner only.
	open *openRound
}

// class is what the series of many targets have in common.
type class struct {
	classKey
	kind   *result.Kind   // of those that nobody relabelled. Control only
	expiry int            // number of the timeout's expiry queue, the same on all workers
	kick   uint8          // which of a worker's medians is that of its kicks
	spare  [][]*openRound // rounds to use again, by worker
}

// classKey tells classes apart.
type classKey struct {
	typ           *probe.Type
	shape         packet.Shape
	timeout       time.Duration
	packets       int // per address and interval
	family, state string
	group         string
}

// leg is one source to one address of a series: what a person calls a path. The
// control goroutine stores flow and told.
type leg struct {
	short  atomic.Uint64 // its history, where it has one probe per round at most; else the newest round of that
	flow   atomic.Uint32 // or unsendable and the result.Reason
	series uint32
	long   uint32 // number of its history where a round has several probes; 0: short
	told   bool   // the log knows why it cannot be sent. Control only
	round  uint8  // of the newest entry of short, its low bits. Owner only
	median median // of the first of a series: how long the series' kicks take. Owner only
}

// unsendable says that a leg has no flow; the reason is in the low bits.
const unsendable = 1 << 31

// way returns the number of the leg's flow; 0 and the reason where it has none.
func (l *leg) way() (flow uint32, why result.Reason) {
	v := l.flow.Load()
	if v&unsendable != 0 {
		return 0, result.Reason(v)
	}
	return v, 0
}

// openRound is a round under way. Its series' owner uses it.
type openRound struct {
	result.Round
	number uint32
	left   int        // probes that are yet to leave, or to be given up
	next   *openRound // an older one of the same series
	late   bool       // a newer one is complete
}

// round returns the series' round with this number; nil when it is not open.
func (s *series) round(number uint32) *openRound {
	for r := s.open; r != nil; r = r.next {
		if r.number == number {
			return r
		}
	}
	return nil
}

// begin returns the round for its next probe, and opens it for its first.
func (w *worker) begin(s *series, number uint32) *openRound {
	r := s.round(number)
	if r != nil {
		return r
	}
	planned := w.engine.planned(w.engine.targets.at(s.target), s)
	spare := &s.class.spare[w.number]
	if n := len(*spare); n > 0 {
		r = (*spare)[n-1]
		*spare = (*spare)[:n-1]
	} else {
		r = &openRound{Round: result.NewRound(planned)}
	}
	r.number, r.left, r.next = number, planned, s.open
	s.open = r
	return r
}

// finish publishes the round when its last probe is accounted for.
func (w *worker) finish(s *series, r *openRound) {
	if r.left > 0 || r.Pending() > 0 {
		return
	}
	// A probe may wait for its answer while the rounds after its own are
	// answered: what they published is the newer.
	if r.late {
		s.result.PublishLate(&r.Round)
	} else {
		s.result.Publish(&r.Round, time.Now())
	}
	for at := &s.open; *at != nil; at = &(*at).next {
		if *at == r {
			*at = r.next
			break
		}
	}
	for older := r.next; older != nil; older = older.next {
		older.late = true
	}
	r.Round.Reset()
	r.next, r.late = nil, false
	spare := &s.class.spare[w.number]
	*spare = append(*spare, r)
}

// due is when the next probe should leave, ns.
func (t *target) due() int64 { return t.cycle + int64(t.probe)*int64(t.plan.Gap) }

// advance moves on to the next probe, and says whether there is one.
func (t *target) advance(interval int64) bool {
	if t.probe++; int(t.probe) == t.plan.Probes() {
		t.probe = 0
		t.round++
		t.cycle += interval
		return !t.plan.Once
	}
	return true
}

// behind says whether the next probe is so late that it is not sent any more. One
// that is sent once is never too late: no other comes after it.
func (t *target) behind(now, interval int64) bool {
	return now-t.due() > interval && !t.plan.Once
}

// restingSlots bounds the slots of a flow that carries one probe at a time: that
// one, and answered ones by which second and late answers are known. They are
// looked through one by one.
const restingSlots = 64

// slotsNeeded bounds how many probes of a group from source src to one address
// are under way or resting at any time: those sent within a window of the
// timeout, the grace and a late window as long as the timeout.
func slotsNeeded(t *plan.Target, g *plan.Group, src int, interval time.Duration) int {
	window := 2*t.Timeout + grace
	if t.Once {
		return slotsOnce(t, g, src, window)
	}
	perInterval, stride, last := 0, len(g.Order), -1
	for i := range g.NbPackets {
		if int(g.Order[i%len(g.Order)]) != src {
			continue
		}
		if last >= 0 {
			stride = min(stride, i-last)
		}
		last = i
		perInterval++
	}
	perWindow := perInterval
	if step := t.Gap * time.Duration(stride*len(t.Addrs)); step > 0 {
		perWindow = min(perWindow, int(window/step)+1)
	}
	needed := perWindow * (int(window/interval) + 2) // a window may begin and end within an interval
	if perInterval == 1 {
		needed = int(window/interval) + 1
	}
	if t.Type.OneInFlight {
		needed = min(needed, restingSlots)
	}
	return needed
}

// slotsOnce is slotsNeeded of a target that is probed once, whose sources take turns
// in their order.
func slotsOnce(t *plan.Target, g *plan.Group, src int, window time.Duration) int {
	k := len(g.Order)
	needed := (g.NbPackets - src + k - 1) / k
	if step := t.Gap * time.Duration(k*len(t.Addrs)); step > 0 {
		needed = min(needed, int(window/step)+2)
	}
	if t.Type.OneInFlight {
		needed = min(needed, restingSlots)
	}
	return needed
}
