// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{math.NaN()}, spread{}},
		{[]float64{3}, spread{3, 3, 3, 1}},
		{[]float64{5, 1, math.NaN(), 2}, spread{2, 1, 5, 3}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4, 4}},
	} {
		if got := spreadOf(c.in); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var ns []float64
	for i := 100; i >= 0; i-- {
		ns = append(ns, float64(i)*1000)
	}
	if p50, p99 := quantiles(ns); p50 != 50 || p99 != 99 {
		t.Errorf("p50 %v, p99 %v; want 50 and 99", p50, p99)
	}
	if p50, _ := quantiles(nil); !math.IsNaN(p50) {
		t.Errorf("the median of nothing is %v", p50)
	}
}

// With the percentiles asked for, the published figures of a round give its
// samples back.
func TestPercentilesAreSamples(t *testing.T) {
	for n, want := range map[int]int{2: 1, 21: 20, 51: 50, 101: 100, 301: 100, 300: 100, 1: 100} {
		got := percentiles(n)
		if len(got) != want {
			t.Errorf("%d samples: %d percentiles, want %d", n, len(got), want)
		}
		for _, p := range got {
			if n <= 101 && n > 1 && (n-1)*p%100 != 0 {
				t.Errorf("%d samples: percentile %d lies between two", n, p)
			}
		}
	}
}

// A run at a constant rate, with a slow start and an idle end.
func TestSteady(t *testing.T) {
	var all samples
	for i := range 201 {
		s := sample{at: time.Duration(i) * 10 * time.Millisecond, cpu: 300 * time.Millisecond}
		if i > 50 {
			s.probes = uint64(min(i, 150)-50) * 100
			s.cpu += time.Duration(s.probes) * 2 * time.Microsecond
		}
		all = append(all, s)
	}
	rate, cpu := all.steady()
	if math.Abs(rate-10_000) > 1 || math.Abs(cpu-2) > 1e-6 {
		t.Errorf("%v probes/s at %v us, want 10000 at 2", rate, cpu)
	}
	for _, few := range []samples{nil, all[200:], all[:1]} {
		if rate, _ := few.steady(); !math.IsNaN(rate) {
			t.Errorf("%d samples gave a rate of %v", len(few), rate)
		}
	}
}

func TestTargetIndex(t *testing.T) {
	seen := map[string]bool{}
	for i := range 70_000 {
		a := targetAddr(i)
		b := a.As4()
		if got := targetIndex(b[:]); got != i || seen[a.String()] {
			t.Fatalf("target %d is %v, which is %d", i, a, got)
		}
		seen[a.String()] = true
	}
}

// The ratio is of runs of the same round, not of the medians.
func TestRatio(t *testing.T) {
	e := []*entry{
		{Setting: "s", Contestant: (&ours{}).name(), runs: []run{{Rate: 10, P50: none}, {Rate: 40, P50: none}, {Rate: 90, P50: none}}},
		{Setting: "s", Contestant: "x", runs: []run{{Rate: 5}, {Rate: 10}, {Rate: 100}}},
	}
	sumUp(e)
	if got, want := e[1].Ratios["wire_pps"], (spread{2, 0.9, 4, 3}); got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
	}
	if _, ok := e[0].Figures["p50_us"]; ok {
		t.Error("a figure that was not measured is shown")
	}
	var text, md bytes.Buffer
	for _, x := range tables([]setting{{name: "s", what: "w"}}, e) {
		x.text(&text)
		x.markdown(&md)
	}
	if !strings.Contains(text.String(), "2.00 (0.90..4.00)") || !strings.Contains(md.String(), "| x |") {
		t.Errorf("tables:\n%s\n%s", &text, &md)
	}
}

func TestPhases(t *testing.T) {
	p, err := newPhases(10)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []time.Duration{0, 7 * time.Second, oursInterval - phaseSpread/2} {
		names, err := p.names(from, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			i := slices.IndexFunc(p, func(x named) bool { return x.name == n })
			if late := (p[i].phase - from + oursInterval) % oursInterval; late >= phaseSpread {
				t.Errorf("%s begins %v after %v", n, late, from)
			}
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != 10 {
			t.Errorf("names are not distinct: %v", names)
		}
	}
	if _, err := p.names(0, len(p)); err == nil {
		t.Error("all names begin together")
	}
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.50", 9.996: "10.0", 12.34: "12.3", 99.96: "100", 1234.5: "1234", -3.2: "-3.20"} {
		if got := digits(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{150: "150", 10_000: "10.0k", 588_960: "589.0k", 1_100_000: "1.10M"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
