// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Settings are what of its options may change while an engine works.
type Settings struct {
	Interval      time.Duration // of every target
	Percentiles   []int
	ForeignSource bool
	Lists         *config.Lists // the same pointer where they are the same
}

// Configure changes the settings. Another interval is for targets that are
// added from now on; those that are there must be removed first. Percentiles are
// published from each target's next round on; those that stay keep their figures.
func (e *Engine) Configure(s Settings) {
	e.mu.Lock()
	e.Interval = s.Interval
	e.interval.Store(int64(s.Interval))
	if !slices.Equal(e.Percentiles, s.Percentiles) {
		e.republish(s.Percentiles)
	}
	again := e.ForeignSource != s.ForeignSource || e.Lists != s.Lists
	e.ForeignSource, e.Lists = s.ForeignSource, s.Lists
	e.mu.Unlock()
	if again { // what could not be sent may now, and the other way round
		e.rebind()
	}
}

// Relabel gives targets the state in their plans, within moments. Their probes,
// counters and figures go on; what was published under the state before
// disappears.
func (e *Engine) Relabel(plans ...*plan.Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	given := make([][]relabel, len(e.workers))
	for _, p := range plans {
		n, ok := e.named()[p.Name]
		if !ok {
			continue
		}
		t := e.targets.at(n)
		for g := range t.plan.Groups {
			series := t.series + uint32(g)
			key := keyOf(e.kindNow(series))
			key.state = p.State
			e.renamed[series] = e.kindOf(key)
			given[t.owner()] = append(given[t.owner()], relabel{series, e.renamed[series]})
		}
	}
	e.giveLabels(given)
}

// republish lets all series publish other percentiles.
func (e *Engine) republish(percentiles []int) {
	e.Percentiles = percentiles
	e.kinds = nil
	for _, c := range e.classes {
		c.kind = e.kindOf(keyOf(c.kind))
	}
	for series, kind := range e.renamed {
		e.renamed[series] = e.kindOf(keyOf(kind))
	}
	given := make([][]relabel, len(e.workers))
	for n := uint32(1); n < e.targets.used; n++ {
		t := e.targets.at(n)
		if t.plan == nil || t.gone() {
			continue
		}
		for g := range t.plan.Groups {
			series := t.series + uint32(g)
			given[t.owner()] = append(given[t.owner()], relabel{series, e.kindNow(series)})
		}
	}
	e.giveLabels(given)
}

func (e *Engine) giveLabels(given [][]relabel) {
	for i, w := range e.workers {
		w.relabel(given[i])
	}
}

// kindKey tells kinds apart; percentiles are the same for all.
type kindKey struct{ metric, family, state, group string }

func keyOf(k *result.Kind) kindKey { return kindKey{k.Metric, k.Family, k.State, k.Group} }

// kindOf returns the kind that all series with these labels share.
func (e *Engine) kindOf(key kindKey) *result.Kind {
	k := e.kinds[key]
	if k == nil {
		k = &result.Kind{Metric: key.metric, Family: key.family, State: key.state, Group: key.group, Percentiles: e.Percentiles}
		if e.kinds == nil {
			e.kinds = map[kindKey]*result.Kind{}
		}
		e.kinds[key] = k
	}
	return k
}

// kindNow returns what a series is, or is about to become.
func (e *Engine) kindNow(series uint32) *result.Kind {
	if k, ok := e.renamed[series]; ok {
		return k
	}
	return e.series.at(series).class.kind
}
