// SPDX-License-Identifier: Apache-2.0

// Package oneshot is what probing once is made of beside the engine: what a person
// writes to say what to probe, in what order and at what pace addresses are probed,
// and what the answers add up to.
package oneshot

import (
	"math"
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Tally adds up what comes of the probes to one address, or to all. One goroutine
// uses it.
type Tally struct {
	sum       api.Summary
	trips     trips
	uncertain *trips // of marked answers, which count where there are no others
}

// Answer counts an answer in time. A marked one does not enter the round trips, nor
// does one whose round trip is not known, 0.
func (t *Tally) Answer(rtt time.Duration, marked, reordered bool) {
	t.sum.Sent++
	t.sum.Answered++
	if reordered {
		t.sum.Reordered++
	}
	if marked {
		t.sum.Marked++
		if t.trips.count == 0 {
			if t.uncertain == nil {
				t.uncertain = &trips{}
			}
			t.uncertain.add(float32(rtt))
		}
	} else if rtt > 0 {
		t.trips.add(float32(rtt))
		t.uncertain = nil
	}
}

// Lose counts a probe that the network did not answer.
func (t *Tally) Lose(cause string) {
	t.sum.Sent++
	t.sum.Lost++
	count(&t.sum.Causes, cause)
}

// Skip counts a probe that our own side did not send.
func (t *Tally) Skip(reason string) { count(&t.sum.NotSent, reason) }

// Doubt counts a probe whose answer our own side may have lost.
func (t *Tally) Doubt(reason string) { count(&t.sum.Unknown, reason) }

// Unread counts n probes of which it was not told what came of them.
func (t *Tally) Unread(n uint64, reason string) {
	for range min(n, 1) {
		t.Doubt(reason)
		t.sum.Unknown[reason] += n - 1
	}
}

// Duplicate counts a second answer.
func (t *Tally) Duplicate() { t.sum.Duplicates++ }

// Late counts an answer that came after its probe was given up.
func (t *Tally) Late() { t.sum.Late++ }

func count(to *map[string]uint64, key string) {
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[key]++
}

// Summary is what it adds up to so far.
func (t *Tally) Summary() api.Summary {
	s := t.sum
	if s.RoundTrip = t.trips.figures(); s.RoundTrip == nil && t.uncertain != nil {
		s.RoundTrip = t.uncertain.figures()
		s.RoundTrip.Uncertain = true
	}
	return s
}

// exactTrips is how many round trips are kept as they are; of more there is a
// histogram.
const exactTrips = 2048

// perOctave is how many buckets of the histogram a doubling of the round trip has:
// the middle of one is within 0.55% of all that it holds.
const perOctave = 64

// trips are round trips in bounded memory.
type trips struct {
	exact    []float32 // ns, in the order they came, until there are too many
	buckets  []uint32  // by log2(ns)*perOctave
	count    uint64
	sum      float64
	min, max float32
	last     float32
	steps    float64 // sum of differences between one and the next
}

func (t *trips) add(ns float32) {
	if t.count == 0 {
		t.min, t.max = ns, ns
	} else {
		t.steps += math.Abs(float64(ns) - float64(t.last))
	}
	t.count++
	t.sum += float64(ns)
	t.min, t.max, t.last = min(t.min, ns), max(t.max, ns), ns
	if t.buckets == nil && len(t.exact) < exactTrips {
		t.exact = append(t.exact, ns)
		return
	}
	if t.buckets == nil {
		t.buckets = make([]uint32, 40*perOctave) // up to 18 minutes
		for _, v := range t.exact {
			t.buckets[bucketOf(v)]++
		}
		t.exact = nil
	}
	t.buckets[bucketOf(ns)]++
}

func bucketOf(ns float32) int {
	return min(max(0, int(math.Log2(float64(ns))*perOctave)), 40*perOctave-1)
}

// percentile is the p-th one in ns: of a histogram the middle of its bucket, by
// nearest rank.
func (t *trips) percentile(sorted []float32, p int) float64 {
	if t.buckets == nil {
		return result.Percentile(sorted, p)
	}
	rank, seen := uint64(math.Ceil(float64(t.count)*float64(p)/100)), uint64(0)
	for i, n := range t.buckets {
		if seen += uint64(n); seen >= rank {
			middle := math.Exp2((float64(i) + 0.5) / perOctave)
			return min(max(middle, float64(t.min)), float64(t.max))
		}
	}
	return float64(t.max)
}

func (t *trips) figures() *api.Trips {
	if t.count == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(t.exact))
	seconds := func(ns float64) float64 { return math.Round(ns) / 1e9 }
	f := &api.Trips{
		Min: seconds(float64(t.min)), Mean: seconds(t.sum / float64(t.count)), Max: seconds(float64(t.max)),
		P50: seconds(t.percentile(sorted, 50)), P95: seconds(t.percentile(sorted, 95)), P99: seconds(t.percentile(sorted, 99)),
		Approximate: t.buckets != nil,
	}
	if t.count > 1 {
		f.Jitter = seconds(t.steps / float64(t.count-1))
	}
	return f
}
