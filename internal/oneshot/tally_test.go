// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Percentiles are those of sorting: exactly while all are kept, within what is
// said of them when there are more.
func TestPercentilesAgainstSorting(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 7, exactTrips, exactTrips + 1, 50_000} {
		var tally Tally
		var all []float32
		sum, steps, last := 0.0, 0.0, 0.0
		for i := range n {
			d := time.Duration(math.Exp(rnd.NormFloat64()*2+13)) + 1
			tally.Answer(d, false, false)
			all = append(all, float32(d))
			sum += float64(float32(d))
			if i > 0 {
				steps += math.Abs(float64(float32(d)) - last)
			}
			last = float64(float32(d))
		}
		slices.Sort(all)
		got := tally.Summary().RoundTrip
		if got.Approximate != (n > exactTrips) {
			t.Errorf("%d: approximate is %v", n, got.Approximate)
		}
		tolerance := 0.0
		if got.Approximate {
			tolerance = 0.006
		}
		near := func(what string, got, want float64) {
			if math.Abs(got*1e9-want) > tolerance*want+1 {
				t.Errorf("%d: %s is %v ns, want %v", n, what, got*1e9, want)
			}
		}
		for what, c := range map[string][2]float64{"p50": {got.P50, 50}, "p95": {got.P95, 95}, "p99": {got.P99, 99}} {
			want := result.Percentile(all, int(c[1]))
			if got.Approximate { // by nearest rank
				want = float64(all[int(math.Ceil(float64(n)*c[1]/100))-1])
			}
			near(what, c[0], want)
		}
		near("min", got.Min, float64(all[0]))
		near("max", got.Max, float64(all[n-1]))
		near("mean", got.Mean, sum/float64(n))
		if n > 1 {
			near("jitter", got.Jitter, steps/float64(n-1))
		}
	}
	var marked Tally
	marked.Answer(time.Millisecond, true, false)
	if s := marked.Summary(); s.Marked != 1 || s.RoundTrip == nil || !s.RoundTrip.Uncertain || s.RoundTrip.Max != 0.001 {
		t.Errorf("all are marked: %+v", s)
	}
	marked.Answer(time.Microsecond, false, true)
	if s := marked.Summary(); s.Marked != 1 || s.Reordered != 1 || s.RoundTrip.Uncertain || s.RoundTrip.Max != 1e-6 {
		t.Errorf("one is not: %+v", s)
	}
	var none Tally
	none.Lose("timeout")
	none.Skip("no_route")
	none.Unread(3, "unread")
	none.Unread(0, "never")
	if s := none.Summary(); s.RoundTrip != nil || s.Sent != 1 || s.Lost != 1 || s.NotSent["no_route"] != 1 || len(s.Unknown) != 1 || s.Unknown["unread"] != 3 {
		t.Errorf("%+v", s)
	}
}
