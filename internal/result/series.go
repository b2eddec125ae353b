// SPDX-License-Identifier: Apache-2.0

package result

import (
	"slices"
	"sync/atomic"
	"time"
)

// NewSeries returns an empty series that publishes these percentiles.
func NewSeries(l Labels, percentiles []int) *Series {
	return &Series{Labels: l, Percentiles: percentiles, roundTrips: make([]atomic.Uint64, len(percentiles))}
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

// Snapshot copies the series into out, reusing its slices. It retries while a
// round is being replaced, which takes well under a microsecond.
func (s *Series) Snapshot(out *Snapshot) {
	for {
		v := s.version.Load()
		if v&1 != 0 {
			continue
		}
		s.copy(out)
		if s.version.Load() == v {
			return
		}
	}
}

func (s *Series) copy(out *Snapshot) {
	out.Sent, out.Lost, out.Rounds = s.sent.Load(), s.lost.Load(), s.rounds.Load()
	out.Duplicates, out.Late = s.duplicates.Load(), s.late.Load()
	out.Marked, out.Reordered, out.TTLChanges = s.marked.Load(), s.reordered.Load(), s.ttlChanges.Load()
	for i := range s.icmpErrors {
		out.ICMPErrors[i] = s.icmpErrors[i].read()
	}
	for i := range s.unknown {
		out.Unknown[i] = s.unknown[i].Load()
	}
	out.Uncertain = s.roundUncertain.Load()
	for i := range s.notSent {
		out.NotSent[i] = s.notSent[i].Load()
	}
	for i := range s.causes {
		out.Causes[i] = s.causes[i].Load()
	}
	out.RoundSent, out.RoundLost, out.RoundAnswered = s.roundSent.Load(), s.roundLost.Load(), s.roundAnswered.Load()
	out.RoundEnd = time.Unix(0, int64(s.roundEnd.Load()))
	out.Min, out.Max, out.Jitter = time.Duration(s.roundMin.Load()), time.Duration(s.roundMax.Load()), time.Duration(s.roundJitter.Load())
	if cap(out.RoundTrips) < len(s.roundTrips) {
		out.RoundTrips = make([]time.Duration, len(s.roundTrips))
	}
	out.RoundTrips = out.RoundTrips[:len(s.roundTrips)]
	for i := range s.roundTrips {
		out.RoundTrips[i] = time.Duration(s.roundTrips[i].Load())
	}
}
