// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// outcome is what a change comes to, by name of target.
type outcome struct {
	Report                 Report
	Removed, Named, Placed []string // from engines, otherwise, and to engines
}

// What another configuration changes, target by target: what stays keeps its
// very plan, what is only called otherwise is not begun anew, and names that
// begin alike are not confused.
func TestCompare(t *testing.T) {
	loss, other := 5.0, 6.0
	base := func() *config.Config {
		cfg := &config.Config{
			Global: config.Global{ProbeName: "p", Interval: time.Minute, IntervalPackets: time.Millisecond, Percentiles: []int{50, 95}},
			Groups: []config.Group{{Name: "g", SrcPortA: 65000, SrcPortZ: 65001}, {Name: "h", SrcPortA: 65002, SrcPortZ: 65003}},
			Safety: config.Safety{MaxPPS: 20_000, MaxPrefixPPS: 2_000},
		}
		for i, name := range []string{"inv_a", "inv_a1", "b", "c", "off"} {
			cfg.Targets = append(cfg.Targets, config.Target{Name: name, Type: "ICMPping", Destination: "192.0.2." + string(rune('1'+i)), Family: "ipv4",
				NbPackets: 2, Timeout: time.Second, State: "None", AlertLevel: "no_alert", ThresholdLoss: &loss, Groups: []int{0}})
		}
		cfg.Targets[4].Groups = nil
		return cfg
	}
	all := []string{"inv_a", "inv_a1", "b", "c"}
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   outcome
	}{
		"nothing": {func(*config.Config) {}, outcome{Report: Report{Unchanged: 5}}},
		"another order": {func(c *config.Config) { slices.Reverse(c.Targets) },
			outcome{Report: Report{Unchanged: 5}}},
		"one goes": {func(c *config.Config) { c.Targets = slices.Delete(c.Targets, 1, 2) },
			outcome{Report: Report{Removed: []string{"inv_a1"}, Unchanged: 4}, Removed: []string{"inv_a1"}}},
		"one comes": {func(c *config.Config) {
			d := c.Targets[0]
			d.Name = "inv_a12"
			c.Targets = slices.Insert(c.Targets, 0, d)
		}, outcome{Report: Report{Added: []string{"inv_a12"}, Unchanged: 5}, Placed: []string{"inv_a12"}}},
		"other probes": {func(c *config.Config) { c.Targets[0].NbPackets = 3 },
			outcome{Report: Report{Changed: []string{"inv_a"}, Unchanged: 4}, Removed: []string{"inv_a"}, Placed: []string{"inv_a"}}},
		"another state": {func(c *config.Config) { c.Targets[0].State = "validation" },
			outcome{Report: Report{Changed: []string{"inv_a"}, Unchanged: 4}, Named: []string{"inv_a"}}},
		"another threshold": {func(c *config.Config) { c.Targets[0].ThresholdLoss = &other },
			outcome{Report: Report{Changed: []string{"inv_a"}, Unchanged: 4}}},
		"another alert level": {func(c *config.Config) { c.Targets[0].AlertLevel = "paging" },
			outcome{Report: Report{Changed: []string{"inv_a"}, Unchanged: 4}}},
		"a histogram": {func(c *config.Config) { c.Metrics.Histograms = []string{"b"} },
			outcome{Report: Report{Changed: []string{"b"}, Unchanged: 4}, Removed: []string{"b"}, Placed: []string{"b"}}},
		"switched off": {func(c *config.Config) { c.Targets[3].Groups = nil },
			outcome{Report: Report{Changed: []string{"c"}, Unchanged: 4}, Removed: []string{"c"}}},
		"switched on": {func(c *config.Config) { c.Targets[4].Groups = []int{1} },
			outcome{Report: Report{Changed: []string{"off"}, Unchanged: 4}, Placed: []string{"off"}}},
		"percentiles": {func(c *config.Config) { c.Global.Percentiles = []int{99} },
			outcome{Report: Report{Unchanged: 5}}},
		"groups change places": {func(c *config.Config) {
			slices.Reverse(c.Groups)
			for i := range c.Targets[:4] {
				c.Targets[i].Groups = []int{1}
			}
		}, outcome{Report: Report{Unchanged: 5}}},
		"the probe's name": {func(c *config.Config) { c.Global.ProbeName = "q" },
			outcome{Report: Report{Changed: all, Unchanged: 1}, Removed: all, Placed: all}},
		"the interval, where its half has the same phase": {func(c *config.Config) { c.Global.Interval /= 2 },
			outcome{Report: Report{Changed: all, Unchanged: 1}, Removed: all, Placed: all}},
		"the interval": {func(c *config.Config) { c.Global.Interval = 30 * time.Second },
			outcome{Report: Report{Changed: all, Unchanged: 1}, Removed: all, Placed: all}},
	} {
		t.Run(name, func(t *testing.T) {
			build := func(cfg *config.Config) *plan.Plan {
				t.Helper()
				pl, err := plan.Build(cfg, plan.Inputs{})
				if err != nil {
					t.Fatal(err)
				}
				return pl
			}
			at := &port{name: "eth0"}
			p := &prober{ports: ports{at}, cfg: base(), placed: map[string]*port{}}
			p.plan = build(p.cfg)
			before := map[string]*plan.Target{}
			for _, pt := range p.plan.Targets {
				p.placed[pt.Name], before[pt.Name] = at, pt
			}
			next := &change{cfg: base(), ports: ports{at}, remove: map[*port][]string{}, relabel: map[*port][]*plan.Target{}}
			c.change(next.cfg)
			next.plan = build(next.cfg)

			var got outcome
			for _, pt := range p.compare(next) {
				got.Placed = append(got.Placed, pt.Name)
			}
			for _, pt := range next.relabel[at] {
				got.Named = append(got.Named, pt.Name)
			}
			got.Report, got.Removed = next.report, next.remove[at]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			for _, pt := range next.plan.Targets {
				touched := slices.Contains(got.Placed, pt.Name) || slices.Contains(got.Named, pt.Name)
				if same := pt == before[pt.Name]; same == touched {
					t.Errorf("%s: its plan is that of before: %v", pt.Name, same)
				}
				if kept := next.placed[pt.Name] == at; kept == slices.Contains(got.Placed, pt.Name) {
					t.Errorf("%s: it keeps its interface: %v", pt.Name, kept)
				}
			}
		})
	}
}
