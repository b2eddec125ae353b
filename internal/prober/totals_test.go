// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Totals are those of all series, made anew when they are a second old.
func TestTotals(t *testing.T) {
	var store result.Store
	var sums totals
	now := time.Unix(1_000_000, 0)
	publish := func(s *result.Series) {
		r := result.NewRound(3)
		r.Sent = 2
		r.Answer(time.Millisecond, false)
		r.Lose(result.Timeout)
		r.Skip(result.NoRoute)
		s.Publish(&r, now)
	}
	a, b := result.NewSeries(result.Labels{Destination: "a"}, nil), result.NewSeries(result.Labels{Destination: "b"}, nil)
	store.Add(a, b)
	publish(a)
	for _, step := range []struct {
		after   time.Duration
		publish *result.Series
		sent    uint64 // told
	}{
		{0, b, 2},
		{totalsFor / 2, nil, 2},
		{totalsFor/2 - 1, nil, 2},
		{1, nil, 4},
		{-totalsFor, a, 4}, // one who waited while it was made
		{2 * totalsFor, nil, 6},
	} {
		now = now.Add(step.after)
		got := sums.of(&store, now)
		if got.sent != step.sent || got.lost != step.sent/2 || got.notSent["no_route"] != step.sent/2 || len(got.unknown) != 0 || got.unknown == nil {
			t.Errorf("at %v: %+v, want %d sent", now, got, step.sent)
		}
		if step.publish != nil {
			publish(step.publish)
		}
	}
}
