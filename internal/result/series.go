// SPDX-License-Identifier: Apache-2.0

package result

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// NewSeries returns an empty series that publishes these percentiles.
func NewSeries(l Labels, percentiles []int) *Series {
	s := new(Series)
	s.Init(&Kind{Metric: l.Metric, Family: l.Family, State: l.State, Group: l.Group, Percentiles: percentiles}, &l.Destination)
	return s
}

// Init makes s an empty series of a target with this name, before anybody else
// knows it.
func (s *Series) Init(k *Kind, name *string) {
	s.kind.Store(k)
	s.name = name
}

// Labels are what tells the series from another.
func (s *Series) Labels() Labels { return labels(s.kind.Load(), s.name) }

func labels(k *Kind, name *string) Labels {
	return Labels{Metric: k.Metric, Destination: *name, Family: k.Family, State: k.State, Group: k.Group}
}

// Labels are those of the series when the copy was made.
func (s *Snapshot) Labels() Labels { return labels(s.kind, s.name) }

// Percentiles are what RoundTrips holds. The caller must not change the slice.
func (s *Snapshot) Percentiles() []int { return s.kind.Percentiles }

// uncommon returns what the series rarely needs. It allocates at the first
// call.
func (s *Series) uncommon() *rare {
	if r := s.rare.Load(); r != nil {
		return r
	}
	r := &rare{}
	if s.rare.CompareAndSwap(nil, r) {
		return r
	}
	return s.rare.Load()
}

// Add makes s part of what is published.
func (st *Store) Add(s ...*Series) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := append(slices.Clone(st.Series()), s...)
	st.series.Store(&all)
}

// Remove takes series away; what was published of them disappears.
func (st *Store) Remove(gone ...*Series) {
	st.mu.Lock()
	defer st.mu.Unlock()
	drop := make(map[*Series]bool, len(gone))
	for _, s := range gone {
		drop[s] = true
	}
	all := slices.DeleteFunc(slices.Clone(st.Series()), func(s *Series) bool { return drop[s] })
	st.series.Store(&all)
}

// Series returns what is published now. The caller must not change the slice.
func (st *Store) Series() []*Series {
	if p := st.series.Load(); p != nil {
		return *p
	}
	return nil
}

// Rounds is how many whole rounds there were: a Snapshot is another one only when
// it is.
func (s *Series) Rounds() uint32 { return s.rounds.Load() }

// Standing is by what series are sorted: the loss ratio of the last whole round, 0 where
// nothing was sent, and the first of its percentiles that is published, 0 where none is.
// They are those of one Snapshot, at a fraction of its cost.
func (s *Series) Standing() (loss float64, trip time.Duration) {
	for {
		v := s.version.Load()
		if v&1 != 0 {
			runtime.Gosched()
			continue
		}
		loss, trip = 0, 0
		if sent := s.roundSent.Load(); sent > 0 {
			loss = float64(s.roundLost.Load()) / float64(sent)
		}
		r, answered := s.rare.Load(), s.roundAnswered.Load()
		for i := range s.kind.Load().Percentiles {
			if t := s.roundTrip(r, i, answered); t != Unpublished {
				trip = t
				break
			}
		}
		if s.version.Load() == v {
			return loss, trip
		}
	}
}

// Snapshot copies the series into out, reusing its slices. It retries while a
// round is being replaced, which takes well under a microsecond, but for a
// worker that lost its CPU in between: whoever waits for that lets others run.
func (s *Series) Snapshot(out *Snapshot) {
	for {
		v := s.version.Load()
		if v&1 != 0 {
			runtime.Gosched()
			continue
		}
		s.copy(out)
		if s.version.Load() == v {
			return
		}
	}
}

func (s *Series) copy(out *Snapshot) {
	kind := s.kind.Load()
	trips := slices.Grow(out.RoundTrips[:0], len(kind.Percentiles))
	counts := out.Histogram.Counts[:0]
	*out = Snapshot{
		kind: kind, name: s.name,
		Sent: s.sent.Load(), Lost: s.lost.Load(), Rounds: uint64(s.rounds.Load()),
		RoundSent: uint64(s.roundSent.Load()), RoundLost: uint64(s.roundLost.Load()), RoundAnswered: uint64(s.roundAnswered.Load()),
		RoundEnd: time.Unix(int64(s.roundEnd.Load()), 0),
	}
	r := s.rare.Load()
	for i := range kind.Percentiles {
		trips = append(trips, s.roundTrip(r, i, uint32(out.RoundAnswered)))
	}
	out.RoundTrips = trips
	for _, trip := range trips { // of one round trip, unless rare knows better
		if trip != Unpublished {
			out.Min, out.Max = trip, trip
			break
		}
	}
	for i := range out.Bands {
		out.Bands[i] = out.Min
	}
	out.Causes[Timeout] = out.Lost
	if r != nil {
		r.copy(out)
		if r.histogram != nil {
			out.Histogram.Counts = counts
			r.histogram.copy(&out.Histogram)
		}
	}
}

func (r *rare) copy(out *Snapshot) {
	out.Duplicates, out.Late, out.Marked = r.duplicates.Load(), r.late.Load(), r.marked.Load()
	out.Reordered, out.TTLChanges = r.reordered.Load(), r.ttlChanges.Load()
	out.Unmatched, out.ClockFaults = r.unmatched.Load(), r.clockFaults.Load()
	for i := range r.icmpErrors {
		out.ICMPErrors[i] = r.icmpErrors[i].read()
	}
	for i := range r.causes {
		if i != int(Timeout) {
			out.Causes[i] = r.causes[i].Load()
			out.Causes[Timeout] -= out.Causes[i]
		}
	}
	for i := range r.notSent {
		out.NotSent[i] = r.notSent[i].Load()
	}
	for i := range r.unknown {
		out.Unknown[i] = r.unknown[i].Load()
	}
	if r.spread.Load() {
		out.Min, out.Max, out.Jitter = duration(&r.shortest), duration(&r.longest), duration(&r.jitter)
		out.Bands[0], out.Bands[len(out.Bands)-1] = out.Min, out.Max
		for i := range r.bands {
			out.Bands[i+1] = duration(&r.bands[i])
		}
		out.Uncertain = r.uncertain.Load()
	}
}

// roundTrip is the percentile at i of a round with so many answers.
func (s *Series) roundTrip(r *rare, i int, answered uint32) time.Duration {
	trip := Unpublished
	if at := s.published(r, i); at != nil {
		trip = duration(at)
	}
	if trip == Unpublished && answered == 0 {
		return 0
	}
	return trip
}

// published returns where the figure of the percentile at i is, or nil.
func (s *Series) published(r *rare, i int) *atomic.Uint32 {
	if i < len(s.roundTrips) {
		return &s.roundTrips[i]
	}
	if r == nil {
		return nil
	}
	if more := r.roundTrips.Load(); more != nil && i-len(s.roundTrips) < len(*more) {
		return &(*more)[i-len(s.roundTrips)]
	}
	return nil
}

func duration(ns *atomic.Uint32) time.Duration {
	bits := ns.Load()
	if bits == unpublished {
		return Unpublished
	}
	return time.Duration(math.Float32frombits(bits))
}

// unpublished is not a number, and so no figure.
const unpublished = 0x7fc00000

func setDuration(to *atomic.Uint32, ns float32) { to.Store(math.Float32bits(ns)) }
