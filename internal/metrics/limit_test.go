// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// perTarget counts the samples that metrics.max_series limits, by name of
// family.
func perTarget(page map[string]*parsed) (all int, by map[string]int) {
	by = map[string]int{}
	for name, f := range page {
		for l := range f.samples {
			if strings.Contains(l, "destination=") {
				by[name]++
				all++
			}
		}
	}
	return all, by
}

// However small the limit, what is shown stays within it, what is left out is
// counted, and the measurements come first, whole targets only.
func TestMaxSeries(t *testing.T) {
	opt := sample()
	add(opt.Store, icmp, "a", "ipv4", "", "g", 50) // no whole round yet: shows nothing, takes no room
	total, _ := perTarget(parse(t, get(t, New(opt))))
	if total < 30 {
		t.Fatalf("only %d per-target series in the sample", total)
	}
	for limit := 1; limit <= total+1; limit++ {
		opt.MaxSeries = func() int { return limit }
		page := parse(t, get(t, New(opt)))
		shown, by := perTarget(page)
		if shown > limit {
			t.Fatalf("limit %d: %d series shown", limit, shown)
		}
		want(t, page, "netprobe_series_dropped", "", fmt.Sprint(total-shown))
		if limit >= total && shown != total {
			t.Errorf("limit %d: %d of %d shown", limit, shown, total)
		}
		for _, metric := range []string{"icmp", "tcpsyn", "udp_unreachable"} {
			if s := by[metric+"_sent_total"]; by[metric+"_loss_total"] != s || by[metric+"_loss_ratio"] != s || by[metric+"_round_trip_seconds"] < s {
				t.Errorf("limit %d: %s: part of a target is shown: %v", limit, metric, by)
			}
		}
		if by["netprobe_lost_total"] > 0 && by["udp_unreachable_sent_total"] == 0 {
			t.Errorf("limit %d: our own series took the place of a measurement", limit)
		}
	}
}

func TestMaxSeriesIsSaidOnce(t *testing.T) {
	var log bytes.Buffer
	opt := sample()
	opt.MaxSeries, opt.Log = func() int { return 3 }, slog.New(slog.NewTextHandler(&log, nil))
	x := New(opt)
	get(t, x)
	get(t, x)
	if n := strings.Count(log.String(), "metrics.max_series"); n == 0 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("want one line naming metrics.max_series:\n%s", log.String())
	}
}

// What one page kept for the next does not show on it, after more and after
// fewer series than before.
func TestPageMemoryIsReused(t *testing.T) {
	opt := sample()
	opt.Store = new(result.Store)
	x := New(opt)
	var all []*result.Series
	for i := range 40 {
		s := result.NewSeries(result.Labels{Metric: icmp.Metric, Destination: fmt.Sprint(i), Family: "ipv4", Group: "g"}, []int{95, 50})
		publish(s, i, time.Duration(i+1)*time.Millisecond)
		all = append(all, s)
	}
	for _, n := range []int{40, 3, 40, 1, 0, 7} {
		opt.Store.Remove(all...)
		opt.Store.Add(all[:n]...)
		page := parse(t, get(t, x))
		if got := len(page["icmp_sent_total"].samples); got != n {
			t.Errorf("%d targets shown, want %d", got, n)
		}
		for i := range n {
			want(t, page, "icmp_loss_total", five(fmt.Sprint(i), "ipv4", "None", "g"), fmt.Sprint(i))
			want(t, page, "icmp_round_trip_seconds", with(five(fmt.Sprint(i), "ipv4", "None", "g"), "percentile", "50"), fmt.Sprintf("%g", float64(i+1)/1000))
		}
	}
}
