// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// TestTally holds that counters of targets that went stay counted, and those of
// targets that began anew too.
func TestTally(t *testing.T) {
	pages := []string{
		`# TYPE icmp_sent_total counter
icmp_sent_total{destination="a"} 10
icmp_sent_total{destination="gone"} 5
netprobe_not_sent_total{destination="a",reason="link_down"} 2
netprobe_schedule_lag_seconds{interface="x"} 0.25
app_reload_conf_failed_status{probe_name="p"} 1
`,
		`icmp_sent_total{destination="a"} 20
tcpsyn_sent_total{destination="b"} 7
tcpsyn_loss_total{destination="b"} 1
`,
		`icmp_sent_total{destination="a"} 3
tcpsyn_sent_total{destination="b"} 9
`,
	}
	counted := tally{last: map[string]float64{}, gone: map[string]float64{}}
	var got []report
	for _, text := range pages {
		p, err := counted.read(strings.NewReader(text), true)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, report{sums: p.sums, Lag: p.lag, ReloadFailed: p.reloadFailed})
	}
	if r := got[0]; r.sum("sent") != 15 || r.shown("not sent") != "2 (link_down 2)" || r.Lag != 0.25 || !r.ReloadFailed {
		t.Errorf("first page: %+v", r)
	}
	if r := got[1]; r.sum("sent") != 20+7+5 || r.sum("not sent") != 2 || r.sum("lost") != 1 {
		t.Errorf("second page: %+v", r)
	}
	if r := got[2]; r.sum("sent") != 3+9+20+5 || r.sum("lost") != 1 {
		t.Errorf("third page: %+v", r)
	}
}

// TestVerdict holds that each thing that may be wrong is said.
func TestVerdict(t *testing.T) {
	good := func() *report {
		return &report{
			scenario: scenario{name: "s", targets: 1, packets: 1, interval: time.Second}, Ran: time.Hour, Wire: wire{Answered: 100},
			sums:  map[string]map[string]float64{"sent": {"": 100}, "steered": {"": 100}},
			usage: []use{{at: 15 * time.Minute, rss: 100e6, fds: 20}, {at: time.Hour, rss: 105e6, fds: 20}},
		}
	}
	if err := good().verdict(); err != nil {
		t.Fatal(err)
	}
	late := good() // an answer that came when its probe had been given up
	late.sums["unknown"], late.sums["steered"], late.Wire.Answered = map[string]float64{"link_down": 2}, map[string]float64{"": 101}, 101
	if err := late.verdict(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*report){
		"1 probes lost":                func(r *report) { r.sums["lost"] = map[string]float64{"": 1} },
		"2 probes lost":                func(r *report) { r.sums["lost"], r.Wire.Died = map[string]float64{"": 2}, 1 },
		"100 answers came in, and 100": func(r *report) { r.Wire.Died = 1 },
		"99 answers came in, and 100":  func(r *report) { r.sums["steered"][""] = 99 },
		"100 probes sent, and 99 on":   func(r *report) { r.Wire.Answered = 99 },
		"100 probes sent, and 101 on":  func(r *report) { r.Wire.Answered = 101 },
		"1 duplicates":                 func(r *report) { r.sums["duplicates"] = map[string]float64{"": 1} },
		"a reload failed":              func(r *report) { r.ReloadFailed = true },
		"memory grew from 100 to 120":  func(r *report) { r.usage[1].rss = 120e6 },
		"descriptors grew from 20 to ": func(r *report) { r.usage[1].fds = 21 },
	} {
		r := good()
		spoil(r)
		if err := r.verdict(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("verdict %v, want %q", err, want)
		}
	}
}

// TestGrowth holds that memory and descriptors which grow with time are told from those
// that come and go.
func TestGrowth(t *testing.T) {
	for name, c := range map[string]struct {
		rss  func(i int) float64 // MB, i tenths of a percent of the run
		fds  func(i int) int
		want string
	}{
		"level":               {func(int) float64 { return 190 }, func(int) int { return 27 }, ""},
		"up and down":         {func(i int) float64 { return 190 + float64(i%7)*8 }, func(i int) int { return 27 + i%50/49 }, ""},
		"grows at first":      {func(i int) float64 { return min(190, 100+float64(i)) }, func(i int) int { return min(27, 10+i/4) }, ""},
		"now and then, late":  {func(i int) float64 { return 190 + float64(i/995)*100 }, func(i int) int { return 27 + i/995*10 }, ""},
		"20 MB in the hour":   {func(i int) float64 { return 190 + float64(i)*0.02 }, func(int) int { return 27 }, ""},
		"50 MB in the hour":   {func(i int) float64 { return 190 + float64(i)*0.05 }, func(int) int { return 27 }, "memory grew from 202 to 232"},
		"one in each quarter": {func(int) float64 { return 190 }, func(i int) int { return 27 + i/250 }, "descriptors grew from 28 to 30"},
	} {
		r := &report{scenario: scenario{name: "s", targets: 1, packets: 1, interval: time.Second}, Ran: time.Hour, Wire: wire{Answered: 100},
			sums: map[string]map[string]float64{"sent": {"": 100}, "steered": {"": 100}}}
		for i := range 1000 {
			r.usage = append(r.usage, use{at: time.Duration(i) * time.Hour / 1000, rss: c.rss(i) * 1e6, fds: c.fds(i)})
		}
		if err := r.verdict(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: verdict %v, want %q", name, err, c.want)
		}
	}
}
