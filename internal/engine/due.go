// SPDX-License-Identifier: Apache-2.0

package engine

import "math"

// sendDue sends the probes that are due within a tick, and returns how long
// until the next thing to do, ns; 0 when more is due already.
func (w *worker) sendDue() int64 {
	defer w.kick()
	now := w.engine.clock.now() // not before the replies were read: the cap counts from when probes leave
	horizon := now + w.engine.tick
	interval := w.engine.interval.Load()
	for sent := 0; ; {
		n, due, ok := w.schedule.next()
		if !ok {
			return int64(longestSleep)
		}
		if sent == 0 { // the schedule may have a later time, from its block
			w.lag.observe(now, max(0, now-w.engine.targets.at(n).due()))
		}
		if due > horizon {
			w.perKick = 1
			return min(due-now, int64(longestSleep), w.untilExpiry(now))
		}
		if sent >= sendBatch {
			w.perKick = 1
			if now-due > int64(overdue) {
				w.perKick = maxPerKick
			}
			return 0
		}
		ahead := w.lookAhead(horizon)
		soonest, stuck := int64(math.MaxInt64), 0
		for i := range ahead {
			p := &ahead[i]
			t := p.target
			var at, wait int64
			if !t.behind(now, interval) { // what is given up anyway must not use up a cap
				at, wait = w.admit(p, now)
			}
			if wait > 0 {
				w.putBack(ahead[i:])
				return min(wait, int64(longestSleep))
			}
			sent++
			if at > now {
				w.schedule.add(p.number, at)
				if at <= horizon {
					soonest = min(soonest, at)
					stuck++
				}
				continue
			}
			w.probe(p, now)
			t.hold(0)
			if t.advance(interval) {
				w.schedule.add(p.number, t.due())
			} else {
				t.state.Or(targetLeft)
			}
			now = max(now, w.kicked)
		}
		if stuck > 0 && stuck == len(ahead) {
			return min(max(1, soonest-now), int64(longestSleep), w.untilExpiry(now))
		}
	}
}

// admit asks the caps for a probe that is about to leave. It may when both results are in
// the past; else it may leave for its block at, or nothing may leave for wait ns.
func (w *worker) admit(p *upcoming, now int64) (at, wait int64) {
	e := w.engine
	var block *blockLimit
	if p.flow != nil {
		block = e.Blocks.of(&p.flow.remote)
	}
	var number uint32
	if block != nil {
		if number = p.target.place(); number == 0 || int(number) > len(block.places) { // the cap may have changed
			number, at = block.give(now)
		}
		if at = max(at, block.free(number)); at > now {
			p.target.hold(number)
			return at, 0
		}
	}
	if wait = e.Limiter.take(&w.grant, now); wait > 0 {
		p.target.hold(number)
		return 0, wait
	}
	w.admitted = admission{at: now, all: w.grant.place}
	if block != nil {
		if !block.leave(number, now) { // another worker was faster: the cap has changed meanwhile, or the target moved
			p.target.hold(number)
			return max(now+1, block.free(number)), 0 // not now, however old its time is
		}
		w.admitted.block = &block.places[number-1].left
	}
	return 0, 0
}

// untilExpiry is how long until a round may be completed by a timeout, ns: not
// before the sockets are asked again what they dropped.
func (w *worker) untilExpiry(now int64) int64 {
	wait := int64(longestSleep)
	next := w.seen.Load() + int64(checkDrops) - now
	for _, e := range w.expiries {
		if _, s := e.oldest(); s != nil {
			wait = min(wait, max(1, next+1, s.sent+e.timeout+int64(grace)-now))
		}
	}
	return wait
}
