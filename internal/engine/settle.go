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
				s := e.series.at(e.legs.at(sl.leg.Load()).series)
				r := s.round(sl.round)
				if r == nil { // its target is gone
					continue
				}
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

// settle counts an answered or refused slot. Only the owner calls it.
func (w *worker) settle(n uint32) {
	e := w.engine
	sl := e.slots.at(n)
	word := sl.word.Load()
	l := e.legs.at(sl.leg.Load())
	s := e.series.at(l.series)
	r := s.round(sl.round)
	if sl.queued() {
		w.expiries[0].remove(sl) // whichever it is in
		w.queued--
	}
	if r == nil { // its target is gone
		sl.word.Store(wordOf(genOf(word), free, 0))
		return
	}
	next := uint64(settled)
	switch rtt := roundTrip(sl.sent, word); {
	case stateOf(word) == refused:
		r.Lose(result.ICMPError)
	case rtt > s.class.timeout:
		r.Lose(result.Timeout)
		s.result.LateAnswer()
		next = lateAnswered
	case rtt < 0:
		e.clockFaults.Add(1)
		s.result.ClockFault()
		r.AnswerWithoutTime()
	default:
		r.Answer(rtt, w.mark(int64(sl.bracket)))
		e.noteAnswered(l, sl.round, rtt)
		// After a change of source address the leg's flow is another one.
		if f, _ := l.way(); f != 0 && e.flows.at(f).holds(n) && e.flows.at(f).reordered(genOf(word), sl.sent+int64(rtt)) {
			s.result.Reorder()
		}
	}
	sl.word.Store(wordOf(genOf(word), next, 0))
	w.finish(s, r)
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
