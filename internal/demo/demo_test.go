// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

func TestRow(t *testing.T) {
	labels := result.Labels{Destination: "web", Family: "ipv6", Group: "g"}
	tests := map[string]struct {
		s    result.Snapshot
		want string
	}{
		"before the first round": {result.Snapshot{}, "web|ipv6|g|0|0|-|-|-|first round under way"},
		"all answered": {
			result.Snapshot{Sent: 10, Rounds: 1, RoundSent: 10, RoundAnswered: 10, Max: 3 * time.Millisecond, RoundTrips: []time.Duration{2500 * time.Microsecond, 999 * time.Nanosecond}},
			"web|ipv6|g|10|0|0.00|1.0µs|2.50ms|all answered"},
		"some lost, most frequent cause first": {
			result.Snapshot{Sent: 300, Lost: 100, Rounds: 3, RoundSent: 100, RoundLost: 34, RoundAnswered: 66, Max: time.Second, RoundTrips: []time.Duration{time.Second, 0}, Causes: causes(10, 0, 90), ICMPErrors: icmp(3, 13, 90)},
			"web|ipv6|g|300|100|33.33|0.0µs|1.00s|ICMP error type 3 code 13 (90), no answer in time (10)"},
		"some uncertain": {
			result.Snapshot{Sent: 4, Rounds: 1, RoundSent: 4, RoundAnswered: 4, Marked: 3, Max: time.Second, RoundTrips: []time.Duration{time.Second, time.Second}},
			"web|ipv6|g|4|0|0.00|1.00s|1.00s|all answered, uncertain (3)"},
		"all uncertain": {
			result.Snapshot{Sent: 4, Rounds: 1, RoundSent: 4, RoundAnswered: 4, Marked: 4, Uncertain: true, Max: time.Second, RoundTrips: []time.Duration{time.Second, time.Second}},
			"web|ipv6|g|4|0|0.00|1.00s|1.00s|all answered, round trips all uncertain"},
		"our own side may have lost the answers": {
			result.Snapshot{Sent: 4, Rounds: 1, Unknown: unknown(result.StalledWorker, 3)},
			"web|ipv6|g|4|0|0.00|-|-|unknown: stalled_worker (3)"},
		"total loss has no round trip": {
			result.Snapshot{Sent: 5, Lost: 5, Rounds: 1, RoundSent: 5, RoundLost: 5, RoundTrips: []time.Duration{0, 0}, Causes: causes(0, 5, 0)},
			"web|ipv6|g|5|5|100.00|-|-|next hop does not answer ARP/ND (5)"},
		"nothing sent is no loss": {
			result.Snapshot{Rounds: 1, NotSent: notSent(result.LinkDown, 7)},
			"web|ipv6|g|0|0|-|-|-|not sent: link_down (7)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := NewTable(&result.Store{}, []int{95, 50, 95})
			if diff := cmp.Diff(tt.want, strings.Join(table.row(labels, []int{95, 50}, &tt.s), "|")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func causes(timeout, noNeighbour, icmp uint64) (c [len(result.Snapshot{}.Causes)]uint64) {
	c[result.Timeout], c[result.NoNeighbour], c[result.ICMPError] = timeout, noNeighbour, icmp
	return c
}

func unknown(d result.Doubt, n uint64) (all [len(result.Snapshot{}.Unknown)]uint64) {
	all[d] = n
	return all
}

func icmp(typ, code uint8, n uint64) (all [len(result.Snapshot{}.ICMPErrors)]result.ICMPErrors) {
	all[0] = result.ICMPErrors{Type: typ, Code: code, Count: n}
	return all
}

func notSent(r result.Reason, n uint64) (all [len(result.Snapshot{}.NotSent)]uint64) {
	all[r] = n
	return all
}

func TestEveryCauseHasText(t *testing.T) {
	for c := range (result.Snapshot{}).Causes {
		if causeText[result.Cause(c)] == "" {
			t.Errorf("cause %d has no text in the table", c)
		}
	}
}

func TestLinesAreSortedAndAligned(t *testing.T) {
	store := &result.Store{}
	for _, l := range []result.Labels{
		{Destination: "zebra", Family: "ipv4", Group: "g"},
		{Destination: "ant", Family: "ipv6", Group: "g"},
		{Destination: "ant", Family: "ipv4", Group: "h"},
		{Destination: "a\x1b[2Jt", Family: "ipv4", Group: "g"},
	} {
		store.Add(result.NewSeries(l, []int{50}))
	}
	want := []string{
		"target  family  group  sent  lost  loss %  p50  why",
		"a?[2Jt  ipv4    g         0     0       -    -  first round under way",
		"ant     ipv4    h         0     0       -    -  first round under way",
		"ant     ipv6    g         0     0       -    -  first round under way",
		"zebra   ipv4    g         0     0       -    -  first round under way",
	}
	got := NewTable(store, []int{50}).Lines()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
