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
		for n, sl := q.pop(seen); sl != nil; n, sl = q.pop(seen) {
			w.queued--
			word := sl.word.Load()
			to := uint64(expired)
			why, ours := e.suspects.during(sl.sent, sl.sent+q.timeout)
			if ours {
				to = doubted
			}
			if stateOf(word) == inFlight && sl.word.CompareAndSwap(word, wordOf(genOf(word), to, 0)) {
				l := e.legs.at(sl.leg.Load())
				s := e.series.at(l.series)
				r := s.round(sl.round)
				if r == nil { // its target is gone
					continue
				}
				e.noteLost(l, sl.round)
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

// settle counts a slot that was found answered or refused. Only the owner calls it.
func (w *worker) settle(n uint32) {
	sl := w.engine.slots.at(n)
	word := sl.word.Load()
	w.conclude(n, sl, word, stateOf(word), word)
}

// conclude counts the probe seen in word as answered or refused at the time in the
// low bits of received, unless another worker was faster. Only the owner calls it.
func (w *worker) conclude(n uint32, sl *slot, word, outcome, received uint64) bool {
	e := w.engine
	l := e.legs.at(sl.leg.Load())
	s := e.series.at(l.series)
	r := s.round(sl.round)
	rtt := roundTrip(sl.sent, received)
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
	if sl.queued() {
		w.expiries[0].remove(sl) // whichever it is in
		w.queued--
	}
	switch {
	case r == nil:
		return true
	case outcome == refused:
		r.Lose(result.ICMPError)
		e.noteLost(l, sl.round)
	case next == lateAnswered:
		r.Lose(result.Timeout)
		s.result.LateAnswer()
		e.noteLost(l, sl.round)
	case rtt < 0:
		e.clockFaults.Add(1)
		s.result.ClockFault()
		r.AnswerWithoutTime()
		e.noteLost(l, sl.round)
	default:
		r.Answer(rtt, w.mark(int64(sl.bracket)))
		e.noteAnswered(l, sl.round, rtt)
		// After a change of source address the leg's flow is another one.
		if f, _ := l.way(); f != 0 && e.flows.at(f).holds(n) && e.flows.at(f).reordered(genOf(word), sl.sent+int64(rtt)) {
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
