// SPDX-License-Identifier: Apache-2.0

package engine

import (
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
				w.givenUp.current++
				l := e.legs.at(sl.leg.Load())
				s := e.series.at(l.series)
				r := s.round(fl.round)
				w.flights.give(n)
				if r == nil { // its target is gone
					continue
				}
				e.noteLost(l, r.number)
				kind, cause := Lost, uint8(result.Timeout)
				if ours {
					r.Unknown(why)
					kind, cause = Unknown, uint8(why)
				} else {
					r.Lose(result.Timeout)
				}
				if on := s.watch.Load(); on != nil {
					w.noteCounted(on, kind, cause, 0, s, l, fl, word, seen)
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
	if r == nil {
		return true
	}
	on, kind, cause, marks := s.watch.Load(), Answered, uint8(0), uint8(0)
	switch {
	case outcome == refused:
		kind, cause = Refused, uint8(result.ICMPError)
		r.Lose(result.ICMPError)
		e.noteLost(l, fl.round)
	case next == lateAnswered:
		kind, cause, marks = Lost, uint8(result.Timeout), tooLate
		r.Lose(result.Timeout)
		s.result.LateAnswer()
		e.noteLost(l, fl.round)
	case rtt < 0:
		e.clockFaults.Add(1)
		s.result.ClockFault()
		marks = untimed
		r.AnswerWithoutTime()
		e.noteLost(l, fl.round)
	default:
		marked := w.mark(s, fl.bracket)
		if marked {
			marks = uncertain
		}
		if on != nil && on.once {
			r.AnswerWithoutTime() // who watches keeps what is wanted
		} else {
			r.Answer(rtt, marked)
		}
		e.noteAnswered(l, fl.round, rtt)
		// After a change of source address the leg's flow is another one.
		if f, _ := l.way(); f != 0 && e.flows.at(f).holds(fl.slot) && e.flows.at(f).reordered(genOf(word), fl.sent+int64(rtt)) {
			s.result.Reorder()
			marks |= reordered
		}
	}
	if on != nil {
		w.noteCounted(on, kind, cause, marks, s, l, fl, word, fl.sent+int64(rtt))
	}
	w.finish(s, r)
	return true
}
