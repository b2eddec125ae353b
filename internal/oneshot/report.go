// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Report sums up what comes of a request, and tells it. One goroutine calls its
// methods; another, its own, calls emit, so that a slow reader holds nothing up.
type Report struct {
	req    *Request
	layout *Layout
	all    Tally
	each   []Tally // by address, or, of very many:
	few    []brief

	events  chan api.ProbeEvent
	told    sync.WaitGroup
	missed  uint64
	done    uint64
	ticked  time.Time
	planned uint64
}

// brief is a Tally of one of very many addresses.
type brief struct{ answered, lost, skipped, doubted uint32 }

// mostTallies is of how many addresses all figures are kept.
const mostTallies = 1 << 16

// eventRoom is how many events may wait for who reads them.
const eventRoom = 1 << 16

// progressEvery is how often it is told how far it is.
const progressEvery = time.Second / 2

// NewReport returns a Report that tells emit.
func NewReport(req *Request, l *Layout, emit func(api.ProbeEvent)) *Report {
	r := &Report{req: req, layout: l, events: make(chan api.ProbeEvent, eventRoom), planned: l.Probes(), ticked: time.Now()}
	if len(l.Addrs) <= mostTallies {
		r.each = make([]Tally, len(l.Addrs))
	} else {
		r.few = make([]brief, len(l.Addrs))
	}
	r.told.Go(func() {
		for e := range r.events {
			emit(e)
		}
	})
	return r
}

// NotFound tells of a name without an address.
func (r *Report) NotFound(target int, err error) {
	r.events <- api.ProbeEvent{Kind: api.ProbeNotFound, Time: time.Now(), Target: target, Cause: err.Error()}
}

// Begin tells what will be probed.
func (r *Report) Begin() {
	count := map[int]uint64{}
	one := map[int]string{}
	for i, t := range r.layout.Of {
		if count[t]++; count[t] == 1 {
			one[t] = r.layout.Addrs[i].String()
		} else {
			delete(one, t)
		}
	}
	for t := range r.req.Targets {
		if count[t] > 0 {
			r.events <- api.ProbeEvent{Kind: api.ProbeBegun, Time: time.Now(), Target: t, Address: one[t], Planned: count[t] * uint64(r.req.Count)}
		}
	}
}

// Event takes what happened to a probe of an address, and says whether the probe is
// accounted for by that.
func (r *Report) Event(e *engine.Event, addr int) (counted bool) {
	counted = true
	var brief brief
	for _, t := range r.tallies(addr) {
		switch e.Kind {
		case engine.Answered:
			brief.answered++
			t.Answer(e.RoundTrip, e.Uncertain, e.Reordered)
		case engine.Lost, engine.Refused:
			brief.lost++
			t.Lose(e.Cause.String())
			if e.TooLate {
				t.Late()
			}
		case engine.Unknown:
			brief.doubted++
			t.Doubt(e.Doubt.String())
		case engine.NotSent:
			brief.skipped++
			t.Skip(e.Reason.String())
		case engine.Duplicate:
			t.Duplicate()
			counted = false
		case engine.Late:
			t.Late()
			counted = false
		default:
			counted = false
		}
	}
	if r.few != nil {
		f := &r.few[addr]
		f.answered, f.lost, f.skipped, f.doubted = f.answered+brief.answered, f.lost+brief.lost, f.skipped+brief.skipped, f.doubted+brief.doubted
	}
	if counted {
		r.done++
	}
	if !r.req.Quiet {
		out := Describe(e)
		out.Target = r.layout.Of[addr]
		select {
		case r.events <- out:
		default:
			r.missed++
		}
	}
	return counted
}

func (r *Report) tallies(addr int) []*Tally {
	if r.each == nil {
		return []*Tally{&r.all}
	}
	return []*Tally{&r.all, &r.each[addr]}
}

// Unread counts probes of which nobody told.
func (r *Report) Unread(n uint64) {
	r.all.Unread(n, "not_told")
	r.done += n
}

// Tick tells now and then how far it is.
func (r *Report) Tick() {
	if time.Since(r.ticked) < progressEvery {
		return
	}
	r.ticked = time.Now()
	e := api.ProbeEvent{Kind: api.ProbeProgress, Time: r.ticked, Done: r.done, Planned: r.planned}
	select {
	case r.events <- e:
	default:
	}
	if r.missed > 0 {
		select {
		case r.events <- api.ProbeEvent{Kind: api.ProbeMissed, Time: r.ticked, Done: r.missed}:
			r.missed = 0
		default:
		}
	}
}

// End tells what it all comes to, and waits until that is told.
func (r *Report) End() {
	now := time.Now()
	if r.missed > 0 {
		r.events <- api.ProbeEvent{Kind: api.ProbeMissed, Time: now, Done: r.missed}
	}
	for i, a := range r.layout.Addrs {
		s := r.summary(i)
		r.events <- api.ProbeEvent{Kind: api.ProbeSummary, Time: now, Target: r.layout.Of[i], Address: a.String(), Summary: &s}
	}
	s := r.all.Summary()
	r.events <- api.ProbeEvent{Kind: api.ProbeDone, Time: now, Done: r.done, Planned: r.planned, Summary: &s}
	close(r.events)
	r.told.Wait()
}

func (r *Report) summary(addr int) api.Summary {
	if r.few == nil {
		return r.each[addr].Summary()
	}
	f := r.few[addr]
	s := api.Summary{Sent: uint64(f.answered) + uint64(f.lost), Answered: uint64(f.answered), Lost: uint64(f.lost)}
	if f.skipped > 0 {
		s.NotSent = map[string]uint64{"": uint64(f.skipped)}
	}
	if f.doubted > 0 {
		s.Unknown = map[string]uint64{"": uint64(f.doubted)}
	}
	return s
}
