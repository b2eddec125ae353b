// SPDX-License-Identifier: Apache-2.0

package result

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Round gathers one round of one series until its last probe is answered or
// expired. Only the engine's owning worker touches it.
type Round struct {
	Sent     uint32 // owed an answer: left us, or had no neighbour to leave for
	Answered uint32
	Lost     uint32
	NotSent  uint32
	Marked   uint32 // answered, but with an unusually uncertain send time
	Causes   [numCauses]uint32
	Reasons  [numReasons]uint32
	Unknowns [numDoubts]uint32

	// samples are the round trips in ns, in the order the answers were
	// settled. A float32 is exact to 6e-8 of its value: 0.6 ns in 10 ms. Those of
	// marked samples, used only when there are no others, stand at the far end
	// of the same array.
	samples []float32
}

// NewRound returns a round for this many probes.
func NewRound(probes int) Round { return Round{samples: make([]float32, 0, probes)} }

// Reset empties the round for its next use.
func (r *Round) Reset() {
	*r = Round{samples: r.samples[:0]}
}

// Answer counts an answer with its round trip. A marked one does not enter the
// percentiles unless all are.
func (r *Round) Answer(rtt time.Duration, marked bool) {
	if len(r.samples)+int(r.Marked) == cap(r.samples) {
		r.grow()
	}
	r.Answered++
	if marked {
		r.Marked++
		r.uncertain()[0] = float32(rtt)
		return
	}
	r.samples = append(r.samples, float32(rtt))
}

// Room returns what stands where the next round trip will: to be there, in the cache,
// when it comes.
func (r *Round) Room() float32 {
	if n := len(r.samples); n < cap(r.samples) {
		return r.samples[:n+1][n]
	}
	return 0
}

// uncertain are the round trips of marked samples, the newest first.
func (r *Round) uncertain() []float32 {
	all := r.samples[:cap(r.samples)]
	return all[len(all)-int(r.Marked):]
}

// grow makes room for more samples than the round was made for: it served a
// target with fewer before.
func (r *Round) grow() {
	larger := Round{samples: make([]float32, len(r.samples), 2*cap(r.samples)+1), Marked: r.Marked}
	copy(larger.samples, r.samples)
	copy(larger.uncertain(), r.uncertain())
	r.samples = larger.samples
}

// AnswerWithoutTime counts an answer whose round trip is not believable.
func (r *Round) AnswerWithoutTime() { r.Answered++ }

// Lose counts a lost probe.
func (r *Round) Lose(c Cause) {
	r.Lost++
	r.Causes[c]++
}

// Skip counts a probe that our own side did not send.
func (r *Round) Skip(why Reason) {
	r.NotSent++
	r.Reasons[why]++
}

// Unknown takes a sent probe out of the round: its answer may have been lost by
// our own side.
func (r *Round) Unknown(d Doubt) {
	r.Sent--
	r.Unknowns[d]++
}

// Pending is how many probes of the round are neither answered nor lost.
func (r *Round) Pending() int { return int(r.Sent) - int(r.Answered) - int(r.Lost) }

// Publish replaces the figures of the last round by r in one step and adds r
// to the totals. Only the owning worker calls it.
func (s *Series) Publish(r *Round, end time.Time) {
	in := r.samples
	uncertain := len(in) == 0 && r.Marked > 0
	if uncertain {
		in = r.uncertain()
	}
	jitter := meanStep(in) // before sorting: it needs the order
	slices.Sort(in)

	s.version.Add(1)
	s.addUp(r)
	s.roundSent.Store(r.Sent)
	s.roundLost.Store(r.Lost)
	s.roundAnswered.Store(r.Answered)
	s.roundEnd.Store(uint32(end.Unix()))
	percentiles := s.kind.Load().Percentiles
	for i, p := range percentiles {
		if i == len(s.roundTrips) {
			break
		}
		setDuration(&s.roundTrips[i], float32(Percentile(in, p)))
	}
	if s.rare.Load() != nil || r.unusual(in) || len(percentiles) > len(s.roundTrips) || len(percentiles) == 0 && len(in) > 0 {
		s.publishRare(r, in, jitter, uncertain, percentiles)
	}
	s.version.Add(1)
}

// PublishLate adds to the totals a round that a newer one overtook, because its last
// probe waited for an answer longer: the figures of the last round stay. Only the
// owning worker calls it.
func (s *Series) PublishLate(r *Round) {
	in := r.samples
	slices.Sort(in)
	s.version.Add(1)
	s.addUp(r)
	if s.rare.Load() != nil || r.unusual(in) {
		s.addUpRare(r, in)
	}
	s.version.Add(1)
}

func (s *Series) addUp(r *Round) {
	s.sent.Add(uint64(r.Sent))
	s.lost.Add(uint64(r.Lost))
	s.rounds.Add(1)
}

// unusual says whether the round has figures that most never have.
func (r *Round) unusual(in []float32) bool {
	return len(in) > 1 || r.Marked > 0 || r.NotSent > 0 || r.Lost != r.Causes[Timeout] || r.Unknowns != [numDoubts]uint32{}
}

func (s *Series) publishRare(r *Round, in []float32, jitter float64, uncertain bool, percentiles []int) {
	believed := in
	if uncertain {
		believed = nil
	}
	to := s.addUpRare(r, believed)
	to.uncertain.Store(uncertain)
	var lo, hi float32
	if len(in) > 0 {
		lo, hi = in[0], in[len(in)-1]
	}
	setDuration(&to.shortest, lo)
	setDuration(&to.longest, hi)
	setDuration(&to.jitter, float32(jitter))
	for i := range to.bands {
		setDuration(&to.bands[i], float32(Percentile(in, BandPercents[i+1])))
	}
	to.spread.Store(true)
	for i := len(s.roundTrips); i < len(percentiles); i++ {
		setDuration(&to.more(len(percentiles) - len(s.roundTrips))[i-len(s.roundTrips)], float32(Percentile(in, percentiles[i])))
	}
}

// addUpRare adds to the totals what most rounds do not have, and the round trips,
// sorted, that are certain to the histogram.
func (s *Series) addUpRare(r *Round, sorted []float32) *rare {
	to := s.uncommon()
	to.marked.Add(uint64(r.Marked))
	for i, n := range r.Causes {
		to.causes[i].Add(uint64(n))
	}
	for i, n := range r.Reasons {
		to.notSent[i].Add(uint64(n))
	}
	for i, n := range r.Unknowns {
		to.unknown[i].Add(uint64(n))
	}
	if to.histogram != nil {
		to.histogram.observe(sorted)
	}
	return to
}

// more returns where the figures of this many percentiles beyond the first are
// kept. Only the owning worker calls it; it allocates at the first call, and
// after Become.
func (r *rare) more(count int) []atomic.Uint32 {
	if have := r.roundTrips.Load(); have != nil && len(*have) == count {
		return *have
	}
	made := make([]atomic.Uint32, count)
	r.roundTrips.Store(&made)
	return made
}

// Duplicate counts a second answer to one probe. Any worker may call it.
func (s *Series) Duplicate() { s.uncommon().duplicates.Add(1) }

// LateAnswer counts an answer that came after the timeout. Any worker may call
// it.
func (s *Series) LateAnswer() { s.uncommon().late.Add(1) }

// Reorder counts an answer that came after that of a later probe.
func (s *Series) Reorder() { s.uncommon().reordered.Add(1) }

// TTLChange counts an answer whose TTL or hop limit differs from the one
// before. Any worker may call it.
func (s *Series) TTLChange() { s.uncommon().ttlChanges.Add(1) }

// Unmatch counts an answer on a path of ours that fits none of its probes. Any
// worker may call it.
func (s *Series) Unmatch() { s.uncommon().unmatched.Add(1) }

// ClockFault counts an answer that was received before its probe was sent.
func (s *Series) ClockFault() { s.uncommon().clockFaults.Add(1) }

// Percentile is the p-th percentile of sorted values by linear interpolation
// between the two nearest ranks, as netprobify has it: k = (n-1)*p/100.
func Percentile(sorted []float32, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	k := float64(len(sorted)-1) * float64(p) / 100
	f := math.Floor(k)
	lo := float64(sorted[int(f)])
	if k == f {
		return lo
	}
	return lo + (float64(sorted[int(f)+1])-lo)*(k-f)
}

// meanStep is the mean difference between consecutive round trips, in ns: the
// jitter of RFC 3393 in its simplest form.
func meanStep(in []float32) float64 {
	if len(in) < 2 {
		return 0
	}
	var sum float64
	for i := 1; i < len(in); i++ {
		sum += math.Abs(float64(in[i]) - float64(in[i-1]))
	}
	return sum / float64(len(in)-1)
}
