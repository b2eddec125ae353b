// SPDX-License-Identifier: Apache-2.0

package result

import (
	"slices"
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a histogram's buckets; beyond the last one
// there is one more bucket.
var Bounds = bounds()

func bounds() (all []time.Duration) {
	for decade := 10 * time.Microsecond; decade <= time.Second; decade *= 10 {
		all = append(all, decade, 2*decade, 5*decade)
	}
	return append(all, 10*time.Second)
}

// histogram counts round trips since the series began. The owning worker
// writes, within the publishing of a round.
type histogram struct {
	counts []atomic.Uint64 // one per bound, and one beyond
	sum    atomic.Uint64   // ns
}

// Histogram is how round trips were distributed since the series began. Marked
// samples are not in it.
type Histogram struct {
	Counts []uint64 // of each bucket alone, not of those below; nil: not kept
	Sum    time.Duration
}

// KeepHistogram makes s keep a histogram of its round trips, before anybody
// else knows it.
func (s *Series) KeepHistogram() {
	s.uncommon().histogram = &histogram{counts: make([]atomic.Uint64, len(Bounds)+1)}
}

// observe adds a round's believable round trips, sorted.
func (h *histogram) observe(sorted []float32) {
	i := 0
	for b, bound := range Bounds {
		from := i
		for i < len(sorted) && sorted[i] <= float32(bound) {
			i++
		}
		h.counts[b].Add(uint64(i - from))
	}
	h.counts[len(Bounds)].Add(uint64(len(sorted) - i))
	var sum float64
	for _, ns := range sorted {
		sum += float64(ns)
	}
	h.sum.Add(uint64(sum))
}

func (h *histogram) copy(out *Histogram) {
	out.Counts = slices.Grow(out.Counts[:0], len(h.counts))
	for i := range h.counts {
		out.Counts = append(out.Counts, h.counts[i].Load())
	}
	out.Sum = time.Duration(h.sum.Load())
}
