// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// spread is the median of several runs, and the least and the most of them. N
// is how many there are; 0: nothing was measured.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"runs"`
}

// spreadOf leaves out what was not measured: NaN.
func spreadOf(values []float64) spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	return spread{Median: quantile(v, 0.5), Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// quantile of sorted values, by linear interpolation between the nearest ranks.
// NaN where there are none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	k := float64(len(sorted)-1) * q
	i := int(k)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(k-float64(i))
}

// quantiles sorts samples in ns and returns their median and 99th percentile
// in microseconds.
func quantiles(ns []float64) (p50, p99 float64) {
	slices.Sort(ns)
	return quantile(ns, 0.5) / 1e3, quantile(ns, 0.99) / 1e3
}
