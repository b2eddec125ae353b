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

// add notes that answers that arrived in [from, to] may be gone. keep is how
// long probes can still be under way that it concerns.
func (s *suspects) add(from, to int64, why result.Doubt, keep time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := &s.spans[s.last]
	next := &s.spans[(s.last+1)%len(s.spans)]
	touches := last.to.Load() != 0 && from <= last.to.Load() && result.Doubt(last.why.Load()) == why
	if touches || next.to.Load()+int64(keep) > to {
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

const (
	// stalled is how long a worker may not look at its sockets before the
	// others no longer wait for what it may find there.
	stalled = int64(10 * time.Second)
)

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
		w.engine.suspects.add(w.seen.Load(), w.engine.clock.now(), result.Detached, w.longestTimeout())
	}
	if total > w.dropped {
		w.engine.suspects.add(w.seen.Load(), w.engine.clock.now(), result.RingOverflow, w.longestTimeout())
	}
	w.dropped = total
	w.seen.Store(now)
}

// longestTimeout bounds how long a probe of this engine is under way.
func (w *worker) longestTimeout() time.Duration {
	longest := int64(0)
	for _, e := range w.expiries {
		longest = max(longest, e.timeout)
	}
	return time.Duration(longest) + 2*grace
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
			e.suspects.add(at, now, result.StalledWorker, stalledSpan)
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

// stalledSpan is how long a stalled worker's span is kept apart from others.
const stalledSpan = time.Minute
