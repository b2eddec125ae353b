// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// suspects are the spans of time in which our own side dropped answers, or did
// not look for so long that it may have. A probe that stays unanswered over one
// of them is unknown, not lost. Any goroutine may read; writers lock, which
// happens only when something was dropped.
type suspects struct {
	mu    sync.Mutex
	last  int
	spans [16]span
}

type span struct {
	from, to atomic.Int64 // ns; to 0: unused
	why      atomic.Uint32
}

// add notes that answers that arrived in [from, to] may be gone. Spans that ended
// before judged may be forgotten: they concern no probe that is still to be counted.
func (s *suspects) add(from, to int64, why result.Doubt, judged int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := &s.spans[s.last]
	next := &s.spans[(s.last+1)%len(s.spans)]
	touches := last.to.Load() != 0 && from <= last.to.Load() && result.Doubt(last.why.Load()) == why
	if touches || next.to.Load() >= judged && next.to.Load() != 0 {
		// Rather one span too wide than one forgotten.
		last.from.Store(min(last.from.Load(), from))
		last.to.Store(max(last.to.Load(), to))
		return
	}
	next.to.Store(0)
	next.from.Store(from)
	next.why.Store(uint32(why))
	next.to.Store(to)
	s.last = (s.last + 1) % len(s.spans)
}

// during says whether a span of doubt overlaps [from, to], and why; where several
// do, the reason that says most: the first in the order of result.Doubt.
func (s *suspects) during(from, to int64) (why result.Doubt, doubtful bool) {
	for i := range s.spans {
		sp := &s.spans[i]
		if end := sp.to.Load(); end != 0 && end >= from && sp.from.Load() <= to {
			if one := result.Doubt(sp.why.Load()); !doubtful || one < why {
				why, doubtful = one, true
			}
		}
	}
	return why, doubtful
}

// suspect notes that answers that arrived in [from, to] may be gone. Any goroutine may
// call it.
func (e *Engine) suspect(from, to int64, why result.Doubt) {
	e.suspects.add(from, to, why, e.judged(to))
}

// judged is when the oldest probe was sent that may still have to be counted, ns: however
// late a worker comes to it, which gets no CPU. One that comes round no more is not waited for
// longer than a minute beyond the longest timeout.
func (e *Engine) judged(now int64) int64 {
	oldest := now
	for _, w := range e.workers {
		oldest = min(oldest, w.judged.Load())
	}
	return max(oldest, now-e.longest.Load()-int64(time.Minute))
}

// oldest is when the oldest probe was sent that waits for its answer, ns; now where none
// does.
func (w *worker) oldest(now int64) int64 {
	for _, q := range w.expiries {
		if _, f := q.oldest(); f != nil {
			now = min(now, f.sent)
		}
	}
	return now
}

// stalled is how long a worker may not look at its sockets before the others no longer
// wait for what it may find there, ns.
const stalled = int64(10 * time.Second)

// checkDrops asks the sockets what they dropped since the last time. now was
// read before the rings were read.
func (w *worker) checkDrops(now int64) {
	w.round.Store(now)
	total, whole := uint64(0), len(w.sockets) > 0
	for _, s := range w.sockets {
		st, err := s.Stats()
		if err != nil {
			return // nothing is known until it is asked again
		}
		total += st.RxRingFull + st.FillRingEmpty + st.RxDropped
		whole = whole && !s.Dead()
	}
	if !whole { // from the last time that all was well until now, and so on
		w.engine.suspect(w.seen.Load(), w.engine.clock.now(), result.Detached)
	}
	if total > w.dropped {
		w.engine.suspect(w.seen.Load(), w.engine.clock.now(), result.RingOverflow)
	}
	w.dropped = total
	w.seen.Store(now)
}

// seenByAll returns until when every worker has read all answers that had
// arrived: an answer may wait on a queue whose worker gets no CPU, and is no
// loss while it does. A worker that stalls for longer than the others can wait
// makes the span doubtful.
func (e *Engine) seenByAll(now int64) int64 {
	seen := now
	for _, w := range e.workers {
		at := w.seen.Load()
		if now-at > stalled {
			e.suspect(at, now, result.StalledWorker)
			at = now
		}
		seen = min(seen, at)
	}
	return seen
}

// roundSince returns until when every worker has come round.
func (e *Engine) roundSince() int64 {
	at := int64(math.MaxInt64)
	for _, w := range e.workers {
		at = min(at, w.seen.Load())
	}
	return at
}
