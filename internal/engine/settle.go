// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// expire counts the probes whose time is over, and those that another worker
// saw answered. Until seen, all answers that had arrived have been read, and
// what our own side dropped or missed is known.
func (w *worker) expire(seen int64) {
	e := w.engine
	for _, q := range w.expiries {
		for n, fl := q.pop(seen); fl != nil; n, fl = q.pop(seen) {
			w.queued--
			sl := e.slots.at(fl.slot)
			word := sl.word.Load()
			to := uint64(expired)
			why, ours := e.suspects.during(fl.sent, fl.sent+q.timeout)
			if ours {
				to = doubted
			}
			if stateOf(word) == inFlight && sl.word.CompareAndSwap(word, wordOf(genOf(word), to, 0)) {
				l := e.legs.at(sl.leg.Load())
				s := e.series.at(l.series)
				r := s.round(fl.round)
				w.flights.give(n)
				if r == nil { // its target is gone
					continue
				}
				e.noteLost(l, r.number)
				if ours {
					r.Unknown(why)
				} else {
					r.Lose(result.Timeout)
				}
				w.finish(s, r)
				continue
			}
			if sl.busy() {
				w.settle(n)
			}
		}
	}
}

// uncertainty is how much longer than the running median a kick may take
// before the sample is marked, ns.
const uncertainty = int64(20 * time.Microsecond)

// settle counts the probe of a flight whose slot another worker found the answer
// for. Only the owner calls it.
func (w *worker) settle(n uint32) {
	word := w.engine.slots.at(w.flights.at(n).slot).word.Load()
	w.conclude(n, word, stateOf(word), word)
}

// conclude counts the probe of flight n, whose slot's word is as given, as
// answered or refused at the time in the low bits of received, unless another worker
// was faster. Only the owner calls it.
func (w *worker) conclude(n uint32, word, outcome, received uint64) bool {
	e := w.engine
	fl := w.flights.at(n)
	sl := e.slots.at(fl.slot)
	l := e.legs.at(sl.leg.Load())
	s := e.series.at(l.series)
	r := s.round(fl.round)
	rtt := roundTrip(fl.sent, received)
	next := uint64(settled)
	switch {
	case r == nil: // its target is gone
		next = free
	case outcome == answered && rtt > s.class.timeout:
		next = lateAnswered
	}
	if !sl.word.CompareAndSwap(word, wordOf(genOf(word), next, 0)) {
		return false
	}
	if fl.queued() {
		w.expiries[0].remove(fl) // whichever it is in
		w.queued--
	}
	w.flights.give(n) // until the next probe it stays as it is
	switch {
	case r == nil:
		return true
	case outcome == refused:
		r.Lose(result.ICMPError)
		e.noteLost(l, fl.round)
	case next == lateAnswered:
		r.Lose(result.Timeout)
		s.result.LateAnswer()
		e.noteLost(l, fl.round)
	case rtt < 0:
		e.clockFaults.Add(1)
		s.result.ClockFault()
		r.AnswerWithoutTime()
		e.noteLost(l, fl.round)
	default:
		r.Answer(rtt, w.mark(int64(fl.bracket)))
		e.noteAnswered(l, fl.round, rtt)
		// After a change of source address the leg's flow is another one.
		if f, _ := l.way(); f != 0 && e.flows.at(f).holds(fl.slot) && e.flows.at(f).reordered(genOf(word), fl.sent+int64(rtt)) {
			s.result.Reorder()
		}
	}
	w.finish(s, r)
	return true
}

// mark says whether a kick took unusually long, and lets the running median
// follow: a step towards each observation, so that half lie on either side.
func (w *worker) mark(bracket int64) bool {
	if w.median == 0 {
		w.median = bracket
		return false
	}
	step := max(16, w.median/32)
	if bracket > w.median {
		w.median += step
	} else {
		w.median -= step
	}
	return bracket > w.median+uncertainty
}
