// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
)

// column is one figure of a run.
type column struct {
	key    string // in JSON
	title  string
	of     func(run) float64
	format func(float64) string
}

var columns = []column{
	{"wire_pps", "probes/s on the wire", func(r run) float64 { return r.Rate }, thousands},
	{"matched_share", "matched", func(r run) float64 { return r.Matched }, percent},
	{"matched_pps", "matched/s", func(r run) float64 { return r.Answers }, thousands},
	{"cpu_us", "CPU µs/probe", func(r run) float64 { return r.CPU }, digits},
	{"cpu_life_us", "with start and end", func(r run) float64 { return r.LifeCPU }, digits},
	{"user_share", "in user space", func(r run) float64 { return r.User }, percent},
	{"memory_mb", "peak MB", func(r run) float64 { return r.Memory }, digits},
	{"p50_us", "p50 µs", func(r run) float64 { return r.P50 }, digits},
	{"p99_us", "p99 µs", func(r run) float64 { return r.P99 }, digits},
	{"loss_error", "loss error", func(r run) float64 { return r.LossErr }, whole},
	{"not_sent", "not sent", func(r run) float64 { return r.NotSent }, whole},
	{"unknown", "unknown", func(r run) float64 { return r.Unknown }, whole},
	{"marked_share", "marked", func(r run) float64 { return r.Marked }, percent},
}

// entry is what one contestant did in one setting: a run for each round.
type entry struct {
	Setting    string            `json:"setting"`
	Contestant string            `json:"contestant"`
	Figures    map[string]spread `json:"figures"`
	Ratios     map[string]spread `json:"ratios_of_netprobe_xdp,omitempty"`
	runs       []run
}

// figure sums up a column over the runs.
func (e *entry) figure(c column) spread {
	v := make([]float64, len(e.runs))
	for i, r := range e.runs {
		v[i] = c.of(r)
	}
	return spreadOf(v)
}

// ratio compares ours with e round by round: both ran within seconds of each
// other, so what drifts is in both.
func (e *entry) ratio(ours *entry, of func(run) float64) spread {
	var v []float64
	for i := range min(len(e.runs), len(ours.runs)) {
		if d := of(e.runs[i]); d != 0 {
			v = append(v, of(ours.runs[i])/d)
		}
	}
	return spreadOf(v)
}

// sumUp fills in what is written as JSON.
func sumUp(entries []*entry) {
	for _, e := range entries {
		e.Figures = map[string]spread{}
		for _, c := range columns {
			if s := e.figure(c); s.N > 0 {
				e.Figures[c.key] = s
			}
		}
		o := oursIn(entries, e.Setting)
		if o == nil || o == e {
			continue
		}
		e.Ratios = map[string]spread{}
		for _, r := range ratios {
			if s := e.ratio(o, r.of); s.N > 0 {
				e.Ratios[r.key] = s
			}
		}
	}
}

func oursIn(entries []*entry, setting string) *entry {
	i := slices.IndexFunc(entries, func(e *entry) bool { return e.Setting == setting && e.Contestant == (&ours{}).name() })
	if i < 0 {
		return nil
	}
	return entries[i]
}

// ratios are the figures that are compared.
var ratios = []column{
	{"wire_pps", "probes/s", func(r run) float64 { return r.Rate }, digits},
	{"matched_pps", "matched/s", func(r run) float64 { return r.Answers }, digits},
	{"cpu_us", "CPU per probe", func(r run) float64 { return r.CPU }, digits},
	{"memory_mb", "memory", func(r run) float64 { return r.Memory }, digits},
}

// goals are what issue 3 sets: ours against another, in a setting.
var goals = map[[2]string]string{
	{"flat-icmp", "bare loop"}: "probes/s at least 0.9",
	{"flat-tcp", "bare loop"}:  "probes/s at least 0.9",
	{"flat-icmp", "zmap"}:      "probes/s at least 3.5, all matched",
	{"flat-tcp", "zmap"}:       "probes/s at least 2.3, all matched",
	{"paced-icmp", "fping"}:    "CPU at most 0.33",
}

// tables shows the contest, one table a setting and one of ratios.
func tables(settings []setting, entries []*entry) []*table {
	var all []*table
	compared := &table{title: "netprobe-xdp in ratio to the others", note: "Round by round, the same figure of both. Above 1: netprobe-xdp has more.",
		columns: []string{"setting", "in ratio to"}}
	for _, r := range ratios {
		compared.columns = append(compared.columns, r.title)
	}
	compared.columns = append(compared.columns, "to reach")
	for _, s := range settings {
		t := &table{title: s.name + ": " + s.what, columns: []string{""}}
		shown := slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
			return !slices.ContainsFunc(entries, func(e *entry) bool { return e.Setting == s.name && e.figure(c).N > 0 })
		})
		for _, c := range shown {
			t.columns = append(t.columns, c.title)
		}
		o := oursIn(entries, s.name)
		for _, e := range entries {
			if e.Setting != s.name {
				continue
			}
			row := []string{e.Contestant}
			for _, c := range shown {
				row = append(row, e.figure(c).show(c.format))
			}
			t.add(row...)
			if o == nil || o == e {
				continue
			}
			row = []string{s.name, e.Contestant}
			for _, r := range ratios {
				row = append(row, e.ratio(o, r.of).show(r.format))
			}
			compared.add(append(row, cmp.Or(goals[[2]string{s.name, e.Contestant}], "-"))...)
		}
		if len(t.rows) > 0 {
			all = append(all, t)
		}
	}
	if len(compared.rows) > 0 {
		all = append(all, compared)
	}
	return all
}
