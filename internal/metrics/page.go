// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"cmp"
	"io"
	"math"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// page is what one scrape needs. Only the goroutine that serves the scrape
// touches it.
//
// The text is streamed, the figures are copied first: a family's samples must
// stand together, so a target's figures are spread over the whole page, and a
// round that ended halfway would show more lost than sent.
type page struct {
	enc       encoder
	probeName string
	order     *order
	snaps     []result.Snapshot // of order.series
	targets   []*Target
	process   bytes.Buffer

	// How many of the series or targets are shown, from the first; see admit.
	measured int // series: netprobify's measurements
	app      int // targets: netprobify's other series
	own      int // series: our own counters
	info     int // targets: netprobe_target_info
	dropped  int // time series left out
}

// order is the store's series in the order they are shown. It is immutable.
type order struct {
	of     []*result.Series // as the store gave them
	series []*result.Series
	spans  map[string]span // by Labels.Metric

	// mismatches are how many mismatch series a target has, at the first of its
	// series; 0 at the others.
	mismatches []uint8
}

// span is series[from:to].
type span struct{ from, to int }

// ordered returns the order of the store's series, which is computed again only
// when the store has changed.
func (x *Exposition) ordered() *order {
	x.mu.Lock()
	defer x.mu.Unlock()
	// Store replaces the whole slice on a change, and o.of keeps the old one
	// from being reused, so the same first element is the same content.
	now := x.opt.Store.Series()
	if o := x.order; o == nil || len(o.of) != len(now) || len(now) > 0 && &o.of[0] != &now[0] {
		x.order = sortSeries(now)
	}
	return x.order
}

func sortSeries(of []*result.Series) *order {
	s := slices.Clone(of)
	slices.SortStableFunc(s, compare)
	// While a reload replaces a series, both may be in the store. The later one
	// stays: the same labels twice would spoil the whole scrape.
	kept := s[:0]
	for i, one := range s {
		if i+1 == len(s) || compare(one, s[i+1]) != 0 {
			kept = append(kept, one)
		}
	}
	clear(s[len(kept):])
	o := &order{of: of, series: kept, spans: make(map[string]span), mismatches: make([]uint8, len(kept))}
	var before result.Labels
	for i, one := range kept {
		l := one.Labels()
		sp, ok := o.spans[l.Metric]
		if !ok {
			sp.from = i
		}
		sp.to = i + 1
		o.spans[l.Metric] = sp
		if l.Metric != before.Metric || l.Destination != before.Destination || l.Family != before.Family {
			o.mismatches[i] = mismatchesOf(l.Metric)
		}
		before = l
	}
	return o
}

// mismatchesOf returns how many mismatch series a target has.
func mismatchesOf(metric string) uint8 {
	for _, t := range probe.Types() {
		if t.Metric == metric {
			return uint8(len(t.Mismatch))
		}
	}
	return 0
}

func compare(a, b *result.Series) int {
	x, y := a.Labels(), b.Labels()
	return cmp.Or(
		cmp.Compare(x.Metric, y.Metric),
		cmp.Compare(x.Destination, y.Destination),
		cmp.Compare(x.Family, y.Family),
		cmp.Compare(x.Group, y.Group),
		cmp.Compare(x.State, y.State),
	)
}

// write renders the page to w.
func (x *Exposition) write(w io.Writer) error {
	var p *page
	select {
	case p = <-x.spare:
	default:
		p = new(page)
	}
	x.fill(p)
	p.enc.reset(w)
	x.render(p)
	p.enc.flush()
	err := p.enc.err
	p.enc.w, p.order, p.targets = nil, nil, nil // do not keep what a reload replaced
	select {
	case x.spare <- p:
	default:
	}
	return err
}

// fill copies everything the page shows of series and targets.
func (x *Exposition) fill(p *page) {
	p.probeName = x.opt.ProbeName()
	p.order = x.ordered()
	n := len(p.order.series)
	if n > cap(p.snaps) || n < cap(p.snaps)/4 {
		p.snaps = make([]result.Snapshot, n)
	}
	p.snaps = p.snaps[:n]
	for i, s := range p.order.series {
		s.Snapshot(&p.snaps[i])
	}
	if x.opt.Targets != nil {
		p.targets = x.opt.Targets()
	}
	limit := 0
	if x.opt.MaxSeries != nil {
		limit = x.opt.MaxSeries()
	}
	p.admit(limit)
	if p.dropped > 0 {
		x.warnOnce.Do(func() {
			x.opt.Log.Warn("more per-target series than metrics.max_series; the last ones are not exposed, netprobe_series_dropped counts them; raise metrics.max_series or probe fewer targets",
				"max_series", limit, "dropped", p.dropped)
		})
	}
}

// admit decides what is shown when at most limit time series may be (0: no
// limit). A target's series of one kind are shown together or not at all, and
// what netprobify's users alert on comes before our own.
func (p *page) admit(limit int) {
	left := limit
	if limit == 0 {
		left = math.MaxInt
	}
	p.dropped = 0
	take := func(n int, size func(int) int) int {
		shown := 0
		for i := range n {
			k := size(i)
			if k > left {
				left = 0 // nothing after it either, so that the choice is stable
				p.dropped += k
				continue
			}
			left -= k
			if k > 0 {
				shown = i + 1
			}
		}
		return shown
	}
	p.measured = take(len(p.snaps), func(i int) int { return measuredSeries(&p.snaps[i], p.order.mismatches[i]) })
	p.app = take(len(p.targets), func(i int) int { return appSeries(p.targets[i]) })
	p.own = take(len(p.snaps), func(i int) int { return ownSeries(&p.snaps[i]) })
	p.info = take(len(p.targets), func(int) int { return 1 })
}

// until cuts a span at the first n series.
func (s span) until(n int) span { return span{min(s.from, n), min(s.to, n)} }
