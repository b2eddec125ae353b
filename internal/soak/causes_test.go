// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/history"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// minute is a run of a minute at 1,000 probes/s on two threads, whose seconds are as
// given.
func minute(of func(i int) second) *report {
	r := &report{
		scenario: scenario{name: "s", targets: 1000, packets: 1, interval: time.Second, workers: 2, cycle: time.Minute,
			calm: span{20 * time.Second, 40 * time.Second}, burn: span{50 * time.Second, 55 * time.Second}},
		Ran: time.Minute, Wire: wire{Answered: 60_000},
		sums:  map[string]map[string]float64{"sent": {"": 60_000}, "steered": {"": 60_000}},
		usage: []use{{at: 15 * time.Second, rss: 100e6}, {at: time.Minute, rss: 100e6}},
	}
	for i := range 60 {
		s := of(i)
		s.at, s.long, s.sent = time.Duration(i+1)*time.Second, time.Second, 1000
		r.seconds = append(r.seconds, s)
	}
	return r
}

// TestUnaccounted holds that marks need something that may have caused them, of the
// same size and no later.
func TestUnaccounted(t *testing.T) {
	for name, c := range map[string]struct {
		of                         func(i int) second
		marked, beyond, beyondBoth int
	}{
		"no marks":       {func(int) second { return second{} }, 0, 0, 0},
		"without reason": {func(int) second { return second{marked: 1} }, 48, 48, 48},
		"one, without reason": {func(i int) second {
			if i == 30 {
				return second{marked: 1}
			}
			return second{}
		}, 1, 1, 1},
		"the threads waited": {func(int) second { return second{marked: 50, waited: 100 * time.Millisecond} }, 48, 0, 0},
		"waited less":        {func(int) second { return second{marked: 100, waited: 100 * time.Millisecond} }, 48, 48, 48},
		"and catch up at twice the pace": {func(int) second {
			return second{marked: 100, ran: time.Second, waited: 100 * time.Millisecond}
		}, 48, 0, 0},
		"and catch up at four times the pace": {func(int) second {
			return second{marked: 100, ran: time.Second / 2, waited: 100 * time.Millisecond}
		}, 48, 48, 48},
		"and never catch up": {func(int) second {
			return second{marked: 1000, ran: 2 * time.Second, waited: 100 * time.Millisecond}
		}, 48, 0, 0},
		"are slow and need not wait":    {func(int) second { return second{marked: 1, ran: 2 * time.Second} }, 48, 48, 48},
		"were taken off":                {func(int) second { return second{marked: 50, preempted: 50} }, 48, 0, 0},
		"were interrupted":              {func(int) second { return second{marked: 50, interrupts: 50} }, 48, 48, 0},
		"interrupted less":              {func(int) second { return second{marked: 100, interrupts: 50} }, 48, 48, 48},
		"waited 3 s before":             {told(27, 30), 1, 0, 0},
		"waited after it was marked":    {told(31, 30), 1, 1, 1},
		"waited in another ten seconds": {told(15, 30), 1, 1, 1},
		"waited long before, and are behind since": {func(i int) second {
			s := told(15, 30)(i)
			s.lag = 15 * time.Second
			return s
		}, 1, 0, 0},
	} {
		r := minute(c.of)
		marked, beyond, both := r.unaccounted()
		if marked != c.marked || beyond != c.beyond || both != c.beyondBoth {
			t.Errorf("%s: %d seconds, %d beyond waiting, %d beyond interrupts; want %d, %d, %d", name, marked, beyond, both, c.marked, c.beyond, c.beyondBoth)
		}
		err := r.verdict()
		if c.beyondBoth == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := fmt.Sprintf("in %d of %d seconds with marked samples", c.beyondBoth, c.marked); c.beyondBoth > 0 && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: verdict %v, want %q", name, err, want)
		}
	}
	r := minute(func(int) second { return second{} })
	r.seconds = nil
	if err := r.verdict(); err == nil || !strings.Contains(err.Error(), "nobody looked") {
		t.Errorf("without looks: %v", err)
	}
}

// told is a run with waiting in one second and its marks in another.
func told(waited, marked int) func(i int) second {
	return func(i int) (s second) {
		if i == waited {
			s.waited = time.Second
		}
		if i == marked {
			s.marked = 100
		}
		return s
	}
}

// TestStretches holds that seconds whose marks may be of what was before a stretch are
// not counted with it.
func TestStretches(t *testing.T) {
	rows := map[string]string{}
	for _, row := range minute(func(i int) second { return second{marked: float64(i)} }).causeRows() {
		rows[row[0]] = row[1]
	}
	// From second 20 to 40, less the four that tell of what was before.
	if got := rows["marked in calm stretches"]; !strings.HasPrefix(got, "3.0500 % of 16000 in 16 s") {
		t.Errorf("calm: %s", got)
	}
	if got := rows["marked with every CPU kept busy"]; !strings.HasPrefix(got, "5.3000 % of 1000 in 1 s") {
		t.Errorf("busy: %s", got)
	}
	if got := rows["marked in the other seconds"]; !strings.Contains(got, "of 43000 in 43 s") {
		t.Errorf("others: %s", got)
	}
}

// TestBetween holds that a thread is compared with itself, and that targets that go
// take nothing away.
func TestBetween(t *testing.T) {
	a := &sofar{at: time.Second, status: api.Status{Sent: 100, Marked: 10}, cpus: cpus{interrupts: 1000},
		threads: []thread{{id: "1", waited: 5 * time.Second, preempted: 50}, {id: "2", waited: time.Second, preempted: 5}, {id: "3"}}}
	b := &sofar{at: 2 * time.Second, status: api.Status{Sent: 150, Marked: 9}, cpus: cpus{interrupts: 1100},
		threads: []thread{{id: "2", waited: 2 * time.Second, preempted: 7}, {id: "1", waited: 5 * time.Second, preempted: 51}, {id: "3", waited: time.Hour}}}
	if got, want := between(a, b, 2), (second{at: 2 * time.Second, long: time.Second, sent: 50, waited: time.Second, preempted: 3, interrupts: 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestPastIsWhole holds that with the memory that the scenarios give it, the past takes
// after its first round what it takes hours later: memory that grows is not the past's.
func TestPastIsWhole(t *testing.T) {
	for _, s := range scenarios {
		if s.targets > 10_000 { // those that have less
			continue
		}
		h := history.New()
		h.Configure(s.past(), s.interval)
		var all []*result.Series
		for i := range s.targets + s.churn {
			all = append(all, result.NewSeries(result.Labels{Metric: "icmp", Destination: fmt.Sprint(i), Family: "ipv4", Group: "a"}, []int{50}))
		}
		at := time.Unix(1_700_000_000, 0)
		took := func() int64 {
			for _, one := range all {
				r := result.NewRound(1)
				r.Sent++
				r.Answer(time.Millisecond, false)
				one.Publish(&r, at)
			}
			h.Read(all, at)
			l := h.Limits(at)
			if len(l.ResolutionSteps) == 0 || l.MemoryBytes > l.MaxMemoryBytes || l.MemoryBytes > int64(len(all))*4096/2 {
				t.Errorf("%s: %+v", s.name, l)
			}
			return l.MemoryBytes
		}
		first := took()
		for range 8 {
			at = at.Add(10 * time.Minute)
			if now := took(); now != first {
				t.Errorf("%s: the past took %d bytes at first, and %d later", s.name, first, now)
			}
		}
	}
}
