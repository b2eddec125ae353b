// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// window is over how long marks are set beside what may have caused them: long beside
// how much later than its probe left a mark may be told.
const window = 10 * time.Second

// told is how much later than its probe left a mark may be told: its round is told
// when it is whole, at the latest when the last of its probes is given up, and totals may
// be a second old. A thread that is behind is as much later still.
func (s scenario) told() time.Duration { return s.interval + timeout + time.Second }

// from adds up the seconds from one moment to another, those that lie partly between
// them included.
func (r *report) from(from, to time.Duration) (sum second) {
	for _, s := range r.seconds {
		if s.at > from && s.at-s.long < to {
			sum.add(s)
		}
	}
	return sum
}

func (s *second) add(t second) {
	s.long, s.ran, s.waited = s.long+t.long, s.ran+t.ran, s.waited+t.waited
	s.sent, s.marked, s.preempted, s.interrupts = s.sent+t.sent, s.marked+t.marked, s.preempted+t.preempted, s.interrupts+t.interrupts
}

// accounts is how many samples what is seen in s may have marked, at the most.
//
// A thread that waits for a CPU leaves what is due meanwhile for later, when several
// probes share a system call. So do those that come due while it makes up for that: it
// sends so many while it runs, and all of what it sends is marked until it has caught
// up. Each time that it is taken off its CPU it may be between two stamps: one sample.
// So may each interrupt, with the softirqs that are served after it. Most of those hit
// something else, and so they are given apart.
func (s second) accounts(pace float64) (waiting, interrupts float64) {
	waiting = s.preempted
	if due := s.waited.Seconds() * pace; due > 0 {
		ahead := 1.0 // of what a running thread sends, what is left to catch up with
		if s.sent > 0 {
			ahead = 1 - pace*s.ran.Seconds()/s.sent
		}
		if ahead <= 0 { // it never catches up
			return waiting + s.sent, s.interrupts
		}
		waiting += min(s.sent, due/ahead)
	}
	return waiting, s.interrupts
}

// pace is how many probes are due on one thread, per second.
func (r *report) pace() float64 { return r.scenario.pps() / float64(r.scenario.workers) }

// unaccounted is how many seconds had marks, in how many of these the window that ends
// with them had more marks than waiting accounts for, and in how many more than
// interrupts account for too. The seconds of the first window are not among them.
func (r *report) unaccounted() (marked, beyondWaiting, beyondAll int) {
	pace, told := r.pace(), r.scenario.told()
	for _, s := range r.seconds {
		if s.marked == 0 || s.at < window+told {
			continue
		}
		marked++
		marks := r.from(s.at-window+s.long, s.at).marked // no second that lies partly before it
		waiting, interrupts := r.from(s.at-window-told-s.lag, s.at).accounts(pace)
		if marks > waiting {
			beyondWaiting++
		}
		if marks > waiting+interrupts {
			beyondAll++
		}
	}
	return marked, beyondWaiting, beyondAll
}

// within says whether all that a second may tell of lies in a part of the cycle.
func (r *report) within(part span, s second) bool {
	return r.scenario.in(part, s.at) && r.scenario.in(part, s.at-s.long-r.scenario.told())
}

// markedIn is the share of marked samples in the seconds that are wanted, and what
// there was beside.
func (r *report) markedIn(wanted func(second) bool) string {
	var all second
	n := 0
	for _, s := range r.seconds {
		if wanted(s) {
			all.add(s)
			n++
		}
	}
	if n == 0 {
		return "no such second"
	}
	long := all.long.Seconds()
	return fmt.Sprintf("%.4f %% of %.0f in %d s (threads waited %.2f %%, taken off %.0f/s, interrupts %.0f/s)", 100*all.marked/max(1, all.sent), all.sent, n,
		100*all.waited.Seconds()/long/float64(r.scenario.workers), all.preempted/long, all.interrupts/long)
}

// causeRows set the marks beside what may have caused them.
func (r *report) causeRows() [][2]string {
	if len(r.seconds) == 0 {
		return nil
	}
	calm := func(s second) bool { return r.within(r.scenario.calm, s) }
	burn := func(s second) bool { return r.within(r.scenario.burn, s) }
	waited := make([]float64, len(r.seconds)) // parts of the time
	for i, s := range r.seconds {
		waited[i] = s.wait()
	}
	slices.SortFunc(waited, cmp.Compare)
	least, most := waited[len(waited)/10], waited[len(waited)-1-len(waited)/10]
	var all second
	for _, s := range r.seconds {
		all.add(s)
	}
	waiting, interrupts := all.accounts(r.pace())
	marked, beyondWaiting, beyondAll := r.unaccounted()
	return [][2]string{
		{"marked in calm stretches", r.markedIn(calm)},
		{"marked with every CPU kept busy", r.markedIn(burn)},
		{"marked in the other seconds", r.markedIn(func(s second) bool { return !calm(s) && !burn(s) })},
		{"marked in the tenth that waited least", r.markedIn(func(s second) bool { return s.wait() <= least })},
		{"marked in the tenth that waited most", r.markedIn(func(s second) bool { return s.wait() >= most })},
		{"marked; waiting, interrupts account for at most", fmt.Sprintf("%.0f; %.0f, %.0f", all.marked, waiting, interrupts)},
		{"seconds with marked samples", fmt.Sprint(marked)},
		{"of these with more than waiting accounts for", fmt.Sprint(beyondWaiting)},
		{"of these with more than interrupts do too", fmt.Sprint(beyondAll)},
		{"the past takes, early, late", fmt.Sprintf("%.1f, %.1f MB", r.seconds[len(r.seconds)/10].past/1e6, r.seconds[len(r.seconds)-1].past/1e6)},
	}
}

// wait is which part of the time the threads waited, of all of them together.
func (s second) wait() float64 { return s.waited.Seconds() / s.long.Seconds() }
