// SPDX-License-Identifier: Apache-2.0

package history

import (
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// identity is what tells a series from others, but for the target's name. Many
// records share one. What the engine gives a target anew when it is changed is the
// same series all the same, as it is for Prometheus.
type identity struct{ metric, family, group string }

// record is the past of one series. The lock of its History guards it.
type record struct {
	series *result.Series
	name   string // the target's
	id     *identity
	before totals // when it was read last

	of     *tiers
	points []point // ring after ring, finest first
	newest int64   // Unix time of a moment in the newest fine step; 0: there is nothing yet
	left   int64   // Unix time when its series went
}

// totals are what a series counted since it began.
type totals struct {
	sent, lost, notSent, unknown uint64
	rounds                       uint32
}

func totalsOf(s *result.Snapshot) totals {
	t := totals{sent: s.Sent, lost: s.Lost, rounds: uint32(s.Rounds)}
	for _, n := range s.NotSent {
		t.notSent += n
	}
	for _, n := range s.Unknown {
		t.unknown += n
	}
	return t
}

// read takes up what the series published since it was read last.
func (r *record) read(snap *result.Snapshot) {
	if r.series.Rounds() == r.before.rounds {
		return
	}
	r.series.Snapshot(snap)
	now := totalsOf(snap)
	if now.rounds < r.before.rounds || now.sent < r.before.sent { // its counters began anew
		r.before = totals{}
	}
	p := point{
		sent: uint32(now.sent - r.before.sent), lost: uint32(now.lost - r.before.lost),
		notSent: uint32(now.notSent - r.before.notSent), unknown: uint32(now.unknown - r.before.unknown),
	}
	r.before = now
	if snap.RoundAnswered > 0 && snap.Max > 0 && !snap.Uncertain {
		for i, d := range snap.Bands {
			p.bands[i] = max(1, tripOf(d))
		}
	}
	r.add(snap.RoundEnd.Unix(), &p)
}

// ring returns the points of a resolution.
func (r *record) ring(i int) []point {
	from := 0
	for _, t := range r.of[:i] {
		from += t.count
	}
	return r.points[from : from+r.of[i].count]
}

// slot is where the point of a resolution's step is, while it is kept.
func (r *record) slot(i int, step int64) *point {
	ring := r.ring(i)
	return &ring[step%int64(len(ring))]
}

// add counts what was measured at a moment.
func (r *record) add(at int64, p *point) {
	if len(r.points) == 0 || p.empty() {
		return
	}
	if at < r.newest {
		if r.newest-at > 2*r.of[0].step { // the clock was put back: the past begins anew
			clear(r.points)
			r.newest = 0
		} else {
			at = r.newest
		}
	}
	r.advance(at)
	r.slot(0, at/r.of[0].step).add(p)
}

// advance closes the steps that end before a moment.
func (r *record) advance(to int64) {
	if r.newest == 0 {
		r.newest = to
	}
	var whole tierPoints
	for i := 1; i < len(r.of); i++ { // before what they are made of is gone
		if t := r.of[i]; t.count > 0 && r.newest/t.step != to/t.step {
			whole[i] = r.at(i, r.newest/t.step)
		}
	}
	for i, t := range r.of {
		if t.count == 0 {
			break
		}
		was, is := r.newest/t.step, to/t.step
		for step := max(was+1, is-int64(t.count)+1); step <= is; step++ {
			*r.slot(i, step) = point{}
		}
		if i > 0 && was < is && is-was < int64(t.count) {
			*r.slot(i, was) = whole[i]
		}
	}
	r.newest = to
}

type tierPoints [len(tiers{})]point

// at is what was measured within a step of a resolution, which is kept or the
// newest. The newest coarse one is what the finer ones have, and what its own slot has
// of a time when there were no finer ones.
func (r *record) at(i int, step int64) point {
	t := r.of[i]
	if i == 0 || step < r.newest/t.step {
		return *r.slot(i, step)
	}
	finer := r.of[i-1]
	last := r.newest / finer.step
	parts := []*point{r.slot(i, step)}
	for part := max(step*t.step/finer.step, last-int64(finer.count)+1); part <= last; part++ {
		p := r.at(i-1, part)
		parts = append(parts, &p)
	}
	return merge(parts)
}

// each calls f for the steps of a resolution in which there was something, oldest
// first.
func (r *record) each(i int, f func(step int64, p *point)) {
	t := r.of[i]
	if t.count == 0 || r.newest == 0 {
		return
	}
	last := r.newest / t.step
	for step := max(0, last-int64(t.count)+1); step <= last; step++ {
		if p := r.at(i, step); !p.empty() {
			f(step, &p)
		}
	}
}

// become puts the past into another layout. A resolution takes what is known in
// steps that are whole parts of its own: what was measured over an hour is not said of
// a minute.
func (r *record) become(next *tiers) {
	old := *r
	r.of, r.points = next, nil
	var size int
	for _, t := range next {
		size += t.count
	}
	if size > 0 {
		r.points = make([]point, size)
	}
	if old.newest == 0 {
		return
	}
	held := false // by the finer resolution
	for i, t := range next {
		from := -1
		for j, o := range old.of {
			if o.count > 0 && t.count > 0 && t.step%o.step == 0 {
				from = j
			}
		}
		if from < 0 {
			held = false
			continue
		}
		open := r.newest / t.step
		old.each(from, func(step int64, p *point) {
			at := step * old.of[from].step / t.step
			if at > open-int64(t.count) && (at < open || !held) {
				r.slot(i, at).add(p)
			}
		})
		held = true
	}
}
