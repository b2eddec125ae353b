// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// MostHeard is of how many probes a Heard may be told one by one.
const MostHeard = 1 << 17

// Heard adds up what another program tells of the probes that it sends, for when it is
// cut short and does not tell the sums. The zero value is ready; one goroutine uses it.
type Heard struct {
	all     Tally
	each    map[heardOf]*Tally
	order   []heardOf
	planned uint64
	done    uint64
}

// heardOf is one address of a target of the request.
type heardOf struct {
	target  int
	address string
}

// Event takes one, and says whether it is of a single probe.
func (h *Heard) Event(e api.ProbeEvent) (single bool) {
	switch e.Kind {
	case api.ProbeBegun:
		if h.planned += e.Planned; e.Address != "" {
			h.of(e)
		}
		return false
	case api.ProbeMissed:
		h.all.Unread(e.Done, "not_told")
		return true
	case api.ProbeAnswered, api.ProbeLost, api.ProbeRefused, api.ProbeUnknown, api.ProbeNotSent:
		h.done++
	case api.ProbeDup, api.ProbeLate:
	default:
		return false
	}
	for _, t := range []*Tally{&h.all, h.of(e)} {
		switch e.Kind {
		case api.ProbeAnswered:
			var trip time.Duration
			if e.RoundTrip != nil {
				trip = time.Duration(*e.RoundTrip*1e9 + 0.5)
			}
			t.Answer(trip, e.Marked, e.Reordered)
		case api.ProbeLost, api.ProbeRefused:
			t.Lose(e.Cause)
			if e.Kind == api.ProbeLost && e.RoundTrip != nil { // an answer after the timeout
				t.Late()
			}
		case api.ProbeUnknown:
			t.Doubt(e.Cause)
		case api.ProbeNotSent:
			t.Skip(e.Cause)
		case api.ProbeDup:
			t.Duplicate()
		case api.ProbeLate:
			t.Late()
		}
	}
	return true
}

func (h *Heard) of(e api.ProbeEvent) *Tally {
	key := heardOf{e.Target, e.Address}
	t := h.each[key]
	if t == nil {
		if h.each == nil {
			h.each = map[heardOf]*Tally{}
		}
		t = &Tally{}
		h.each[key], h.order = t, append(h.order, key)
	}
	return t
}

// End tells emit what it came to until now, as the other program would have: each
// address that was heard of, and all.
func (h *Heard) End(emit func(api.ProbeEvent)) {
	now := time.Now()
	for _, key := range h.order {
		s := h.each[key].Summary()
		emit(api.ProbeEvent{Kind: api.ProbeSummary, Time: now, Target: key.target, Address: key.address, Summary: &s})
	}
	s := h.all.Summary()
	emit(api.ProbeEvent{Kind: api.ProbeDone, Time: now, Done: h.done, Planned: h.planned, Summary: &s})
}
