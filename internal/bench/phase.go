// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

const (
	probeName = "bench"
	// oursInterval is the interval of our own runs. A run is one round of it, so
	// that afterwards nothing is under way and both sides' counts can be
	// compared to the last probe.
	oursInterval = 20 * time.Second
	// phaseSpread is what the beginnings of a run's targets are spread over.
	phaseSpread = 100 * time.Millisecond
)

// phases knows names by when in an interval the planner lets them begin: it
// spreads targets by their names, and a run wants them to begin together.
type phases []named

type named struct {
	phase time.Duration
	name  string
}

// newPhases asks the planner about enough names for runs of this many targets.
func newPhases(targets int) (phases, error) {
	const batch = 20_000
	names := targets * int(oursInterval/phaseSpread) * 3 / 2
	var all phases
	for from := 0; from < names; from += batch {
		cfg := &config.Config{
			Global: config.Global{ProbeName: probeName, Interval: oursInterval},
			Groups: []config.Group{{Name: "g", SrcPortA: 1, SrcPortZ: 1}},
			Safety: config.Safety{MaxPPS: 1 << 30, MaxPrefixPPS: 1 << 30},
		}
		for i := range batch {
			cfg.Targets = append(cfg.Targets, config.Target{
				Name: fmt.Sprintf("t%d", from+i), Type: "ICMPping", Destination: nearAddr, Family: "ipv4",
				NbPackets: 1, Timeout: time.Second, Groups: []int{0},
			})
		}
		p, err := plan.Build(cfg, plan.Inputs{})
		if err != nil {
			return nil, fmt.Errorf("ask the planner for phases: %w", err)
		}
		for _, t := range p.Targets {
			all = append(all, named{t.Phase, t.Name})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return int(a.phase - b.phase) })
	return all, nil
}

// names returns n names whose targets begin at from, or at most phaseSpread
// later, spread over that time.
func (p phases) names(from time.Duration, n int) ([]string, error) {
	var near []string
	for _, x := range p {
		if (x.phase-from+oursInterval)%oursInterval < phaseSpread {
			near = append(near, x.name)
		}
	}
	if len(near) < n {
		return nil, fmt.Errorf("only %d names begin at phase %v; %d are needed", len(near), from, n)
	}
	// Every so many, not the first so many: those would begin too early.
	all := make([]string, n)
	for i := range all {
		all[i] = near[i*len(near)/n]
	}
	return all, nil
}
