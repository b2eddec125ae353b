// SPDX-License-Identifier: Apache-2.0

package result

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	four := []float32{1, 2, 3, 4}
	for _, c := range []struct {
		in   []float32
		p    int
		want float64
	}{
		{four, 50, 2.5}, {four, 95, 3.85}, {four, 100, 4}, {four, 1, 1.03},
		{[]float32{7}, 95, 7}, {nil, 95, 0},
	} {
		if got := Percentile(c.in, c.p); got < c.want-1e-6 || got > c.want+1e-6 {
			t.Errorf("Percentile(%v, %d) = %v, want %v", c.in, c.p, got, c.want)
		}
	}
}

func TestPublishRounds(t *testing.T) {
	s := NewSeries(Labels{}, []int{50, 100})
	r := NewRound(4)
	var got Snapshot

	r.Sent = 4
	for _, us := range []int{30, 10, 20} {
		r.Answer(time.Duration(us)*time.Microsecond, false)
	}
	r.Lose(Timeout)
	s.Publish(&r, time.Unix(5, 0))
	s.Snapshot(&got)
	if ratio, ok := got.LossRatio(); !ok || ratio != 0.25 {
		t.Errorf("loss ratio %v %v, want 0.25", ratio, ok)
	}
	if loss, trip := s.Standing(); loss != 0.25 || trip != 20*time.Microsecond {
		t.Errorf("loss %v and round trip %v to sort by", loss, trip)
	}
	if got.RoundTrips[0] != 20*time.Microsecond || got.RoundTrips[1] != 30*time.Microsecond || got.Min != 10*time.Microsecond {
		t.Errorf("round trips %v min %v", got.RoundTrips, got.Min)
	}
	if got.Jitter != 15*time.Microsecond {
		t.Errorf("jitter %v, want 15µs", got.Jitter)
	}

	r.Reset()
	r.Sent = 2
	r.Lose(Timeout)
	r.Lose(NoNeighbour)
	s.Publish(&r, time.Unix(6, 0))
	s.Snapshot(&got)
	if got.RoundTrips[0] != 0 || got.Sent != 6 || got.Lost != 3 || got.Causes[NoNeighbour] != 1 {
		t.Errorf("total loss: %+v", got)
	}

	r.Reset()
	r.Skip(NoRoute)
	s.Publish(&r, time.Unix(7, 0))
	s.Snapshot(&got)
	if _, ok := got.LossRatio(); ok {
		t.Error("a round in which nothing was sent has a loss ratio")
	}
	if loss, trip := s.Standing(); loss != 0 || trip != 0 {
		t.Errorf("nothing sent: loss %v and round trip %v to sort by", loss, trip)
	}
	if got.NotSent[NoRoute] != 1 || got.Sent != 6 {
		t.Errorf("nothing sent: %+v", got)
	}
}

// Marked samples stay out of the percentiles unless there are no others.
func TestMarkedSamples(t *testing.T) {
	s := NewSeries(Labels{}, []int{100})
	r := NewRound(2)
	r.Sent = 2
	r.Answer(10*time.Microsecond, false)
	r.Answer(time.Millisecond, true)
	s.Publish(&r, time.Now())
	var got Snapshot
	s.Snapshot(&got)
	if got.RoundTrips[0] != 10*time.Microsecond || got.Marked != 1 || got.RoundAnswered != 2 {
		t.Errorf("one marked: %+v", got)
	}
	r.Reset()
	r.Sent = 1
	r.Answer(time.Millisecond, true)
	s.Publish(&r, time.Now())
	s.Snapshot(&got)
	if got.RoundTrips[0] != time.Millisecond {
		t.Errorf("all marked: %v, want them published rather than 0", got.RoundTrips)
	}
}

// TestSamplesShareTheirRoom holds that marked and other samples keep apart in
// whatever order they come, also when the round was made for fewer.
func TestSamplesShareTheirRoom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := NewRound(3)
	for range 200 {
		r.Reset()
		var clear, marked []float32
		for i := range random.IntN(20) {
			v := time.Duration(i + 1)
			if random.IntN(2) == 0 {
				marked = append([]float32{float32(v)}, marked...)
				r.Answer(v, true)
			} else {
				clear = append(clear, float32(v))
				r.Answer(v, false)
			}
		}
		if !slices.Equal(r.samples, clear) || !slices.Equal(r.uncertain(), marked) {
			t.Fatalf("samples %v and %v, want %v and %v", r.samples, r.uncertain(), clear, marked)
		}
	}
}

// A reader sees whole rounds only: the writer publishes rounds whose figures
// all agree, and no reader may see two of them mixed.
func TestReadersSeeWholeRounds(t *testing.T) {
	s := NewSeries(Labels{}, []int{50, 95})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var got Snapshot
			for {
				select {
				case <-stop:
					return
				default:
				}
				if loss, trip := s.Standing(); loss != 0 && trip != 0 {
					t.Errorf("mixed round: loss %v, round trip %v", loss, trip)
					return
				}
				s.Snapshot(&got)
				if got.RoundTrips[0] != got.RoundTrips[1] || uint64(got.RoundTrips[0]) != got.RoundAnswered*1000 {
					t.Errorf("mixed round: sent %d, round trips %v", got.RoundSent, got.RoundTrips)
					return
				}
			}
		})
	}
	r := NewRound(200)
	for n := range 20000 {
		r.Reset()
		if n%100 == 99 { // whoever has loss has no round trip
			r.Sent++
			r.Lose(Timeout)
			s.Publish(&r, time.Unix(0, int64(n)))
			continue
		}
		for range n%100 + 1 {
			r.Sent++
			r.Answer(time.Duration(n%100+1)*time.Microsecond, false)
		}
		s.Publish(&r, time.Unix(0, int64(n)))
	}
	close(stop)
	readers.Wait()
}

func TestStoreAddRemove(t *testing.T) {
	var st Store
	a, b := NewSeries(Labels{Destination: "a"}, nil), NewSeries(Labels{Destination: "ab"}, nil)
	st.Add(a, b)
	st.Remove(a)
	if got := st.Series(); len(got) != 1 || got[0] != b {
		t.Errorf("after removing a: %v", got)
	}
}

func BenchmarkPublish(b *testing.B) {
	s := NewSeries(Labels{}, []int{95, 50})
	r := NewRound(10)
	for b.Loop() {
		r.Reset()
		for i := range 10 {
			r.Sent++
			r.Answer(time.Duration(i), false)
		}
		s.Publish(&r, time.Time{})
	}
	b.ReportAllocs()
}

func TestHistogram(t *testing.T) {
	s := NewSeries(Labels{}, []int{50})
	s.KeepHistogram()
	r := NewRound(6)
	var got Snapshot
	for range 2 {
		r.Reset()
		for _, rtt := range []time.Duration{9 * time.Microsecond, 10 * time.Microsecond, 11 * time.Microsecond, 3 * time.Millisecond, 20 * time.Second} {
			r.Sent++
			r.Answer(rtt, false)
		}
		r.Sent++
		r.Answer(time.Millisecond, true) // marked: not in it
		s.Publish(&r, time.Unix(1, 0))
	}
	s.Snapshot(&got)
	want := make([]uint64, len(Bounds)+1)
	want[0], want[1], want[8], want[len(Bounds)] = 4, 2, 2, 2
	if Bounds[8] != 5*time.Millisecond || !slices.Equal(got.Histogram.Counts, want) {
		t.Errorf("bounds %v: %v, want %v", Bounds, got.Histogram.Counts, want)
	}
	if sum := 2 * (20*time.Second + 3*time.Millisecond + 30*time.Microsecond); got.Histogram.Sum < sum-time.Microsecond || got.Histogram.Sum > sum+time.Microsecond {
		t.Errorf("sum %v, want %v", got.Histogram.Sum, sum)
	}
	NewSeries(Labels{}, nil).Snapshot(&got)
	if got.Histogram.Counts != nil {
		t.Error("a series that was not asked for a histogram has one")
	}
}

// What comes late counts in totals and histogram, and leaves the last round alone.
func TestPublishLate(t *testing.T) {
	s := NewSeries(Labels{}, []int{50})
	s.KeepHistogram()
	newer, older := NewRound(2), NewRound(3)
	newer.Sent = 2
	newer.Answer(15*time.Microsecond, false)
	newer.Answer(15*time.Microsecond, false)
	s.Publish(&newer, time.Unix(5, 0))
	var before, after Snapshot
	s.Snapshot(&before)
	older.Sent = 3
	older.Answer(150*time.Microsecond, false)
	older.Answer(time.Second, true)
	older.Lose(NoNeighbour)
	s.PublishLate(&older)
	s.Snapshot(&after)
	if after.Sent != 5 || after.Lost != 1 || after.Rounds != 2 || after.Marked != 1 || after.Causes[NoNeighbour] != 1 || after.Causes[Timeout] != 0 {
		t.Errorf("totals: %+v", after)
	}
	if after.RoundSent != 2 || after.RoundLost != 0 || after.RoundTrips[0] != 15*time.Microsecond || after.Max != before.Max || after.RoundEnd != before.RoundEnd || after.Uncertain {
		t.Errorf("the last round was\n%+v\nand is\n%+v", before, after)
	}
	if sum := after.Histogram.Sum; sum != 180*time.Microsecond {
		t.Errorf("the histogram's sum is %v", sum)
	}
}
