// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// seriesIndex finds series by the name of their target. Any goroutine may use it.
type seriesIndex struct {
	mu   sync.Mutex
	of   []*result.Series // that byName was made of
	name map[string][]*result.Series
}

// byName returns the series of all targets. The caller must not change it.
func (x *seriesIndex) byName(all []*result.Series) map[string][]*result.Series {
	x.mu.Lock()
	defer x.mu.Unlock()
	same := x.name != nil && len(x.of) == len(all) && (len(all) == 0 || &x.of[0] == &all[0])
	if !same {
		x.of, x.name = all, make(map[string][]*result.Series, len(all))
		for _, s := range all {
			name := s.Labels().Destination
			x.name[name] = append(x.name[name], s)
		}
	}
	return x.name
}

// candidate is a target that fits a query, with what it is sorted by: of its
// groups, the worst.
type candidate struct {
	index int
	loss  float64 // share
	trip  time.Duration
}

// Targets is part of api.Backend.
func (a asked) Targets(q api.Query) wire.Targets {
	cfg, shown := a.current.Load(), a.names.shown()
	byName := a.series.byName(a.store.Series())
	var fit []candidate
	fits := newFilter(cfg, q)
	for i := range cfg.Targets {
		t := &cfg.Targets[i]
		if !fits(i, at(shown, i, t.Name)) {
			continue
		}
		c := candidate{index: i}
		if q.Sort != api.ByName {
			for _, s := range byName[t.Name] {
				loss, trip := s.Standing()
				c.loss, c.trip = max(c.loss, loss), max(c.trip, trip)
			}
		}
		fit = append(fit, c)
	}
	slices.SortStableFunc(fit, func(x, y candidate) int {
		switch q.Sort {
		case api.ByName:
			return strings.Compare(cfg.Targets[x.index].Name, cfg.Targets[y.index].Name)
		case api.ByRoundTrip:
			return cmp.Or(cmp.Compare(y.trip, x.trip), cmp.Compare(y.loss, x.loss))
		}
		return cmp.Or(cmp.Compare(y.loss, x.loss), cmp.Compare(y.trip, x.trip))
	})
	out := wire.Targets{Now: time.Now(), Total: len(fit), Targets: []wire.Target{}}
	var snap result.Snapshot
	from := min(q.Offset, len(fit))
	for _, c := range fit[from:min(from+q.Limit, len(fit))] {
		name := cfg.Targets[c.index].Name
		t := a.describeTarget(cfg, c.index, at(shown, c.index, name))
		for _, s := range byName[name] {
			t.Groups = append(t.Groups, resultOf(s, &snap))
		}
		out.Targets = append(out.Targets, t)
	}
	return out
}

// newFilter returns what says whether a target fits a query.
func newFilter(cfg *config.Config, q api.Query) func(i int, m *metrics.Target) bool {
	text := strings.ToLower(q.Filter)
	contains := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	group := slices.IndexFunc(cfg.Groups, func(g config.Group) bool { return g.Name == q.Group })
	return func(i int, m *metrics.Target) bool {
		t := &cfg.Targets[i]
		switch {
		case q.Family != "" && t.Family != q.Family, q.State != "" && t.State != q.State, q.Group != "" && !slices.Contains(t.Groups, group):
			return false
		case q.Source != "":
			if cfg.Source(i) != q.Source {
				return false
			}
		}
		if text == "" || contains(t.Name) || contains(t.Destination) || m != nil && contains(m.Address) || contains(t.Type) {
			return true
		}
		return slices.ContainsFunc(t.Labels, func(l config.Label) bool { return contains(l.Name + "=" + l.Value) })
	}
}

// pathOf is one path of a target over its last rounds.
func pathOf(p engine.Path) wire.Path {
	out := wire.Path{Group: p.Group, SourcePort: p.SourcePort, Remote: p.Remote.String(), Rounds: []wire.PathRound{}}
	if p.Local.IsValid() {
		out.Local = p.Local.String()
	}
	var sum time.Duration
	known := 0
	for _, r := range p.Rounds {
		out.Rounds = append(out.Rounds, wire.PathRound{Sent: r.Sent, Answered: r.Answered, RoundTrip: r.RoundTrip.Seconds()})
		out.Sent, out.Answered = out.Sent+int(r.Sent), out.Answered+int(r.Answered)
		if r.RoundTrip > 0 {
			sum, known = sum+r.RoundTrip*time.Duration(r.Answered), known+int(r.Answered)
		}
	}
	if known > 0 {
		out.RoundTrip = (sum / time.Duration(known)).Seconds()
	}
	return out
}
