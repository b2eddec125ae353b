// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// measured is one round of the reference.
type measured struct {
	at               int64
	sent, lost       uint32
	notSent, unknown uint32
	trips            []float64 // seconds
}

// series makes one of a target.
func series(name string) *result.Series {
	return result.NewSeries(result.Labels{Metric: "icmp", Destination: name, Family: "ipv4", Group: "g"}, []int{95, 50})
}

// publish draws a round, publishes it and returns it.
func publish(s *result.Series, random *rand.Rand, at int64, probes int) measured {
	r := result.NewRound(probes)
	m := measured{at: at}
	for range probes {
		r.Sent++
		switch n := random.IntN(20); {
		case n == 0:
			r.Lose(result.Timeout)
			m.lost++
		case n == 1:
			r.Unknown(result.RingOverflow)
			m.unknown++
		case n == 2:
			r.Sent--
			r.Skip(result.NoRoute)
			m.notSent++
		default:
			d := time.Duration(float64(time.Millisecond) * math.Exp(random.NormFloat64()/2))
			r.Answer(d, false)
			m.trips = append(m.trips, d.Seconds())
		}
	}
	m.sent = r.Sent
	s.Publish(&r, time.Unix(at, 0))
	return m
}

// compare holds a past against the rounds that it is of.
func compare(t *testing.T, got api.History, all []measured, tolerance float64) {
	t.Helper()
	step := int64(got.StepSeconds)
	if len(got.Points) == 0 {
		t.Fatalf("steps of %d s: nothing is kept", step)
	}
	want := map[int64]*measured{}
	for _, m := range all {
		at := m.at / step
		if want[at] == nil {
			want[at] = &measured{}
		}
		w := want[at]
		w.sent, w.lost, w.notSent, w.unknown = w.sent+m.sent, w.lost+m.lost, w.notSent+m.notSent, w.unknown+m.unknown
		w.trips = append(w.trips, m.trips...)
	}
	for i, p := range got.Points {
		at := p.Time.Unix() / step
		if i > 0 && !got.Points[i-1].Time.Before(p.Time) {
			t.Fatalf("steps of %d s: %v is not behind %v", step, p.Time, got.Points[i-1].Time)
		}
		w := want[at]
		if w == nil {
			t.Fatalf("steps of %d s: there was nothing at %v: %+v", step, p.Time, p)
		}
		if p.Sent != w.sent || p.Lost != w.lost || p.NotSent != w.notSent || p.Unknown != w.unknown || p.Answered != w.sent-w.lost {
			t.Fatalf("steps of %d s: %+v, want %d sent, %d lost, %d not sent, %d unknown", step, p, w.sent, w.lost, w.notSent, w.unknown)
		}
		if len(w.trips) == 0 {
			if p.Bands != nil {
				t.Fatalf("round trips without answers: %+v", p)
			}
			continue
		}
		slices.Sort(w.trips)
		if len(p.Bands) != bandCount || !slices.IsSorted(p.Bands) {
			t.Fatalf("bands %v", p.Bands)
		}
		near := func(a, b float64) bool { return math.Abs(a-b) <= 5e-4*b }
		if !near(p.Bands[0], w.trips[0]) || !near(p.Bands[bandCount-1], w.trips[len(w.trips)-1]) {
			t.Errorf("steps of %d s: shortest and longest %v, want %v and %v", step, p.Bands, w.trips[0], w.trips[len(w.trips)-1])
		}
		// How large a share of all a band is above, against what it says.
		for b := 1; b < bandCount-1; b++ {
			below, _ := slices.BinarySearch(w.trips, p.Bands[b]*(1-5e-4))
			upTo, _ := slices.BinarySearch(w.trips, p.Bands[b]*(1+5e-4))
			n := float64(len(w.trips))
			if lo, hi := float64(below)/n, float64(upTo)/n; shares[b] < lo-tolerance || shares[b] > hi+tolerance {
				t.Errorf("steps of %d s: of %v round trips %.3f to %.3f are up to %v, want %v", step, n, lo, hi, p.Bands[b], shares[b])
			}
		}
	}
	last := all[len(all)-1].at
	if got.Points[len(got.Points)-1].Time.Unix() != last/step*step {
		t.Errorf("steps of %d s: the newest is missing", step)
	}
}

// TestAgainstRounds: whatever the step, a point has the counts of exactly the
// rounds that ended in it, the shortest and longest round trip of all of them, and
// percentiles that are close to theirs.
func TestAgainstRounds(t *testing.T) {
	for _, test := range []struct {
		probes    int
		interval  time.Duration
		memory    int // for each series
		tolerance float64
	}{
		{100, 10 * time.Second, 100_000, 0.1},
		{1, 10 * time.Second, 100_000, 0.3},
		{20, time.Second, 4000, 0.08},
		{20, 60 * time.Second, 700, 0.08},
	} {
		t.Run(fmt.Sprint(test.probes, test.interval), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(test.probes)))
			h, s := New(), series("a")
			h.Configure(test.memory*64, test.interval)
			var all []measured
			at := time.Unix(1_700_000_000, 0)
			for i := range 12_000 / max(1, test.probes/4) {
				at = at.Add(test.interval)
				if i%500 == 100 {
					at = at.Add(40 * test.interval) // nothing was published
				}
				all = append(all, publish(s, random, at.Unix(), test.probes))
				h.Read([]*result.Series{s}, at)
			}
			l := h.Limits(at)
			if len(l.ResolutionSteps) != len(tiers{}) {
				t.Fatalf("%+v", l)
			}
			for _, step := range l.ResolutionSteps {
				t.Logf("steps of %v, kept for %v", time.Duration(step.StepSeconds)*time.Second, time.Duration(step.KeptSeconds)*time.Second)
				got, ok := h.Of("a", "", time.Duration(step.StepSeconds)*time.Second)
				if !ok || got.StepSeconds != step.StepSeconds {
					t.Fatalf("no past in steps of %v: %v %+v", step.StepSeconds, ok, got)
				}
				compare(t, got, all, test.tolerance)
				if got.Points[0].Time.Before(at.Add(-time.Duration(step.KeptSeconds) * time.Second)) {
					t.Errorf("steps of %v go back to %v", step.StepSeconds, got.Points[0].Time)
				}
			}
		})
	}
}

// TestLayouts: the layouts of all sizes fit their memory, their steps are parts of
// each other, and what a coarse step is made of is kept until it is over.
func TestLayouts(t *testing.T) {
	for _, memory := range []int{0, 1 << 20, 64 << 20, 1 << 30} {
		for _, series := range []int{1, 14, 100, 1000, 10_000, 100_000, 1_000_000} {
			for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 24 * time.Hour} {
				room := roomFor(series)
				if room < series {
					t.Fatalf("room for %d: %d", series, room)
				}
				all := layout(memory, room, interval)
				points := 0
				for i, tier := range all {
					points += tier.count
					if tier.count == 0 {
						continue
					}
					if i == 0 && time.Duration(tier.step)*time.Second < interval {
						t.Errorf("%d bytes, %d series, %v: steps of %d s", memory, series, interval, tier.step)
					}
					if i > 0 && (tier.step%all[i-1].step != 0 || tier.step > all[i-1].step*int64(all[i-1].count-1)) {
						t.Errorf("%d bytes, %d series, %v: %v", memory, series, interval, all)
					}
				}
				if size := cap(append([]byte(nil), make([]byte, points*pointSize)...)); points > 0 && (size+recordSize)*series > memory {
					t.Errorf("%d bytes, %d series: %v takes %d", memory, series, all, size*series)
				}
				if memory == 64<<20 && interval == 10*time.Second {
					t.Logf("%7d series: %d s for %v, %d s for %v, %d s for %v", series, all[0].step, all[0].kept(), all[1].step, all[1].kept(), all[2].step, all[2].kept())
					if series <= 100_000 && all[1].kept() < 2*time.Hour {
						t.Errorf("%d series: %v", series, all)
					}
				}
			}
		}
	}
}

// TestReload: the past of a target that stays goes on, that of one whose counters
// begin anew too; one that went is there for a while.
func TestReload(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	h, a, b := New(), series("a"), series("b")
	h.Configure(64<<20, time.Second)
	at := int64(1_700_000_000)
	var as, bs []measured
	round := func(all []*result.Series, n int) {
		for range n {
			at++
			for _, s := range all {
				switch s.Labels().Destination {
				case "a":
					as = append(as, publish(s, random, at, 10))
				case "b":
					bs = append(bs, publish(s, random, at, 10))
				}
			}
			h.Read(all, time.Unix(at, 0))
		}
	}
	check := func(target string, all []measured) {
		t.Helper()
		for _, step := range []time.Duration{0, time.Minute, time.Hour} {
			got, ok := h.Of(target, "g", step)
			if !ok {
				t.Fatalf("no past of %s", target)
			}
			if end := all[len(all)-1].at; end == at {
				compare(t, got, all, 1)
			} else if len(got.Points) == 0 {
				t.Errorf("the past of %s is empty", target)
			}
		}
	}
	round([]*result.Series{a, b}, 700)
	check("a", as)
	check("b", bs)
	round([]*result.Series{b}, 200) // a is paused
	check("a", as)
	a = series("a") // resumed: from zero
	round([]*result.Series{b, a}, 300)
	check("a", as)
	check("b", bs)
	h.Read([]*result.Series{b}, time.Unix(at, 0))
	h.Read([]*result.Series{b}, time.Unix(at, 0).Add(linger+time.Second))
	if _, ok := h.Of("a", "", 0); ok {
		t.Error("what went long ago is still there")
	}
	if _, ok := h.Of("b", "other", 0); ok {
		t.Error("there is a past of a group that is not")
	}

	h.Configure(0, time.Second)
	round([]*result.Series{b}, 10)
	if l := h.Limits(time.Unix(at, 0)); l.MemoryBytes != 0 || len(l.ResolutionSteps) != 0 {
		t.Errorf("switched off: %+v", l)
	}
	h.Configure(64<<20, time.Second)
	bs = nil
	round([]*result.Series{b}, 1) // what was before does not count
	bs = nil
	round([]*result.Series{b}, 300)
	check("b", bs)
}

// TestOtherLayout: when there are suddenly many more targets, and then few again,
// what is known in steps that fit stays, and is counted once.
func TestOtherLayout(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	h, a := New(), series("a")
	h.Configure(10<<20, time.Second)
	few := []*result.Series{a}
	many := few
	for i := range 3000 {
		many = append(many, series(fmt.Sprint("other", i)))
	}
	at := int64(1_700_000_000)
	var all []measured
	for i, now := range [][]*result.Series{few, many, few} {
		for range 800 {
			at++
			all = append(all, publish(a, random, at, 5))
			if now = slices.Clip(now); at%2 == 0 {
				h.Read(now, time.Unix(at, 0))
			}
		}
		h.Read(now, time.Unix(at, 0))
		l := h.Limits(time.Unix(at, 0))
		for at, step := range l.ResolutionSteps {
			got, _ := h.Of("a", "", time.Duration(step.StepSeconds)*time.Second)
			if int64(got.StepSeconds) != int64(step.StepSeconds) || len(got.Points) == 0 {
				t.Fatalf("phase %d: %+v", i, got)
			}
			if at == 2 || i < 2 {
				continue
			}
			// Finer steps may begin in the middle of what was kept in longer ones.
			var sum, want uint32
			from := got.Points[1].Time.Unix()
			for _, p := range got.Points[1:] {
				sum += p.Sent
			}
			for _, m := range all {
				if m.at >= from-1 { // Read was called every other second
					want += m.sent
				}
			}
			if sum > want {
				t.Errorf("phase %d, steps of %v: %d were sent, %d are counted", i, step.StepSeconds, want, sum)
			}
		}
		coarse, _ := h.Of("a", "", 24*time.Hour)
		var sum, want uint32
		for _, p := range coarse.Points {
			sum += p.Sent
		}
		from := int64(0)
		if i == 2 {
			from = coarse.Points[0].Time.Unix() + 1
			sum -= coarse.Points[0].Sent
			from += int64(coarse.StepSeconds)
		}
		for _, m := range all {
			if m.at >= from-2 { // the same
				want += m.sent
			}
		}
		if i < 2 && sum != want || sum > want || sum < want/2 {
			t.Errorf("phase %d: in the longest steps, %v, %d are counted, want %d: %+v", i, coarse.StepSeconds, sum, want, l)
		}
	}
}
