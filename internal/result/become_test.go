// SPDX-License-Identifier: Apache-2.0

package result

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// Of the last round a percentile keeps its figure, and a new one has none until
// the next; what was counted stays.
func TestBecome(t *testing.T) {
	const us = time.Microsecond
	s := NewSeries(Labels{Metric: "icmp", Destination: "t", State: "None", Group: "g"}, []int{50, 100, 1})
	round := func(trips ...time.Duration) {
		r := NewRound(4)
		r.Sent = 4
		for _, trip := range trips {
			r.Answer(trip, false)
		}
		for range 4 - len(trips) {
			r.Lose(Timeout)
		}
		s.Publish(&r, time.Unix(5, 0))
	}
	expect := func(sent uint64, state string, percentiles []int, trips ...time.Duration) {
		t.Helper()
		var got Snapshot
		s.Snapshot(&got)
		if got.Sent != sent || got.Labels().State != state || s.Labels() != got.Labels() || !slices.Equal(got.Percentiles(), percentiles) || !slices.Equal(got.RoundTrips, trips) {
			t.Errorf("%d sent, %+v, percentiles %v: %v; want %d, %s, %v: %v", got.Sent, got.Labels(), got.Percentiles(), got.RoundTrips, sent, state, percentiles, trips)
		}
	}
	become := func(state string, percentiles ...int) {
		s.Become(&Kind{Metric: "icmp", State: state, Group: "g", Percentiles: percentiles})
	}
	expect(0, "None", []int{50, 100, 1}, 0, 0, 0)
	round(10*us, 20*us, 30*us)
	expect(4, "None", []int{50, 100, 1}, 20*us, 30*us, 10200)
	become("validation", 50, 100, 1)
	expect(4, "validation", []int{50, 100, 1}, 20*us, 30*us, 10200)
	become("validation", 1, 100)
	expect(4, "validation", []int{1, 100}, 10200, 30*us)
	become("validation", 75, 100, 50, 1, 99)
	expect(4, "validation", []int{75, 100, 50, 1, 99}, Unpublished, 30*us, Unpublished, 10200, Unpublished)
	round(10*us, 20*us, 30*us)
	expect(8, "validation", []int{75, 100, 50, 1, 99}, 25*us, 30*us, 20*us, 10200, 29800)
	become("None")
	expect(8, "None", nil)
	become("None", 50)
	expect(8, "None", []int{50}, Unpublished)
	round()
	expect(12, "None", []int{50}, 0)
	become("None", 50, 99, 98)
	expect(12, "None", []int{50, 99, 98}, 0, 0, 0) // total loss has no other figure
	var one Snapshot
	become("None", 99)
	round(7 * us)
	become("None", 98, 99)
	if s.Snapshot(&one); one.Min != 7*us || one.Max != 7*us {
		t.Errorf("one round trip of 7µs: from %v to %v", one.Min, one.Max)
	}
}

// Readers see a series as it was or as it became.
func TestBecomeWhileRead(t *testing.T) {
	s := NewSeries(Labels{State: "2"}, []int{50, 95})
	kinds := []*Kind{{State: "2", Percentiles: []int{50, 95}}, {State: "0"}, {State: "5", Percentiles: []int{1, 2, 3, 4, 5}}, {State: "1", Percentiles: []int{95}}}
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			var snap Snapshot
			for {
				select {
				case <-stop:
					return
				default:
				}
				s.Snapshot(&snap)
				if n := len(snap.RoundTrips); n != len(snap.Percentiles()) || snap.Labels().State != string(rune('0'+n)) {
					t.Errorf("%d round trips of %v, labels %+v", n, snap.Percentiles(), snap.Labels())
					return
				}
				for i, trip := range snap.RoundTrips {
					if trip != Unpublished && trip != time.Duration(1000) && snap.Rounds > 0 {
						t.Errorf("percentile %d is %v", snap.Percentiles()[i], trip)
					}
				}
			}
		})
	}
	for i := range 20_000 {
		s.Become(kinds[i%len(kinds)])
		if i%3 == 0 {
			r := NewRound(1)
			r.Sent = 1
			r.Answer(1000, false)
			s.Publish(&r, time.Unix(1, 0))
		}
		s.LateAnswer()
	}
	close(stop)
	readers.Wait()
}
