// SPDX-License-Identifier: Apache-2.0

// Package demo shows what is being measured as a table in a terminal.
package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
)

// Table renders the published series. One goroutine may use a Table; it reuses
// its memory from one call to the next.
type Table struct {
	store       *result.Store
	percentiles []int // ascending
	snapshot    result.Snapshot
}

// NewTable returns a table of everything in store, with a column for each of
// the percentiles.
func NewTable(store *result.Store, percentiles []int) *Table {
	p := slices.Clone(percentiles)
	slices.Sort(p)
	return &Table{store: store, percentiles: slices.Compact(p)}
}

// leftColumns are set flush left: target, family, group.
const leftColumns = 3

// Lines returns the table, its heading first: one line per series, ordered by
// target, family and group. Sent, lost and loss are totals since the start,
// round trips those of the last whole round.
func (t *Table) Lines() []string {
	head := []string{"target", "family", "group", "sent", "lost", "loss %"}
	for _, p := range t.percentiles {
		head = append(head, "p"+strconv.Itoa(p))
	}
	rows := [][]string{append(head, "why")}

	series := slices.Clone(t.store.Series())
	slices.SortFunc(series, func(a, b *result.Series) int {
		return cmp.Or(cmp.Compare(a.Labels().Destination, b.Labels().Destination),
			cmp.Compare(a.Labels().Family, b.Labels().Family), cmp.Compare(a.Labels().Group, b.Labels().Group))
	})
	for _, s := range series {
		s.Snapshot(&t.snapshot)
		rows = append(rows, t.row(t.snapshot.Labels(), t.snapshot.Percentiles(), &t.snapshot))
	}
	return screen.Align(rows, leftColumns)
}

func (t *Table) row(l result.Labels, percentiles []int, s *result.Snapshot) []string {
	row := []string{screen.Printable(l.Destination), l.Family, screen.Printable(l.Group),
		strconv.FormatUint(s.Sent, 10), strconv.FormatUint(s.Lost, 10), "-"}
	if s.Sent > 0 {
		row[5] = strconv.FormatFloat(100*float64(s.Lost)/float64(s.Sent), 'f', 2, 64)
	}
	for _, p := range t.percentiles {
		cell := "-"
		// A round without a believable sample publishes 0, which is no round trip.
		if i := slices.Index(percentiles, p); i >= 0 && i < len(s.RoundTrips) && s.Max > 0 {
			cell = screen.Duration(s.RoundTrips[i])
		}
		row = append(row, cell)
	}
	return append(row, why(s))
}

var causeText = map[result.Cause]string{
	result.Timeout:     "no answer in time",
	result.NoNeighbour: "next hop does not answer ARP/ND",
	result.ICMPError:   "ICMP error",
}

// why says what became of the probes that have no round trip: of those lost or
// not sent, the most frequent reason first; then how far round trips are to be believed.
func why(s *result.Snapshot) string {
	type part struct {
		n    uint64
		text string
	}
	var parts []part
	for c, n := range s.Causes {
		if n > 0 {
			text := causeText[result.Cause(c)]
			if result.Cause(c) == result.ICMPError {
				text += icmpKinds(s)
			}
			parts = append(parts, part{n, text})
		}
	}
	for d, n := range s.Unknown {
		if n > 0 {
			parts = append(parts, part{n, "unknown: " + result.Doubt(d).String()})
		}
	}
	for r, n := range s.NotSent {
		if n > 0 {
			parts = append(parts, part{n, "not sent: " + result.Reason(r).String()})
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.n, a.n) })
	texts := make([]string, 0, len(parts)+1)
	for _, p := range parts {
		texts = append(texts, fmt.Sprintf("%s (%d)", p.text, p.n))
	}
	switch {
	case len(texts) > 0:
	case s.Rounds == 0:
		texts = append(texts, "first round under way")
	case s.Lost == 0:
		texts = append(texts, "all answered")
	}
	switch {
	case s.Uncertain:
		texts = append(texts, "round trips all uncertain")
	case s.Marked > 0:
		texts = append(texts, fmt.Sprintf("uncertain (%d)", s.Marked))
	}
	return strings.Join(texts, ", ")
}

// icmpKinds lists the types and codes of the ICMP errors.
func icmpKinds(s *result.Snapshot) string {
	var kinds strings.Builder
	for _, e := range s.ICMPErrors {
		if e.Count > 0 {
			fmt.Fprintf(&kinds, " type %d code %d", e.Type, e.Code)
		}
	}
	return kinds.String()
}
