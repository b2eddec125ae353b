// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what a run showed.
type report struct {
	scenario     scenario
	begin        time.Time
	Started      time.Duration // from exec until it was probing
	Ran          time.Duration
	Wire         wire
	Lag          float64 // the most, seconds
	Reloads      int
	Flaps        int
	ReloadFailed bool
	sums         map[string]map[string]float64
	usage        []use
	seconds      []second // where the scenario has a cycle
}

// sum is a figure over all its reasons.
func (r *report) sum(what string) (total float64) {
	for _, v := range r.sums[what] {
		total += v
	}
	return total
}

// shown is a figure with its reasons.
func (r *report) shown(what string) string {
	text := fmt.Sprintf("%.0f", r.sum(what))
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(r.sums[what])) {
		if v := r.sums[what][reason]; reason != "" && v > 0 {
			why = append(why, fmt.Sprintf("%s %.0f", reason, v))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	return text
}

// during is what the program needed, by the median look, from one part of the
// run to another, 0 to 1. Memory goes up and down with the collector, and a
// descriptor is there while somebody asks, so single looks say little.
func (r *report) during(from, to float64) use {
	var looks []use
	for _, u := range r.usage {
		if part := u.at.Seconds() / r.Ran.Seconds(); part >= from && part <= to {
			looks = append(looks, u)
		}
	}
	if len(looks) == 0 {
		looks = r.usage
	}
	looks = slices.SortedFunc(slices.Values(looks), func(a, b use) int { return cmp.Compare(a.rss, b.rss) })
	u := looks[len(looks)/2]
	looks = slices.SortedFunc(slices.Values(looks), func(a, b use) int { return cmp.Compare(a.fds, b.fds) })
	u.fds = looks[len(looks)/2].fds
	return u
}

// early and late are the parts of a run that are compared: once it has grown
// to what it needs, and towards its end.
func (r *report) early() use { return r.during(0.1, 0.4) }
func (r *report) late() use  { return r.during(0.7, 1) }

const (
	// growth is what memory may grow from early to late, and slack, in bytes, by how
	// much the collector's moments differ where it is small.
	growth = 1.1
	slack  = 4e6
	// tailOfTarget is how much of a target that goes may not have been scraped:
	// what it sent since the last look.
	tailOfTarget = 12 * time.Second
)

// verdict says what is not as it must be.
func (r *report) verdict() error {
	var wrong []string
	claim := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	claim(r.sum("lost") <= r.Wire.Died, "%s probes lost (%s), and the wire dropped %.0f answers", r.shown("lost"), r.shown("lost by cause"), r.Wire.Died)
	claim(r.sum("steered") == r.Wire.Answered-r.Wire.Died, "%s answers came in, and %.0f were sent, %.0f of which the wire dropped", r.shown("steered"), r.Wire.Answered, r.Wire.Died)
	unseen := float64(r.Reloads*r.scenario.churn*r.scenario.packets) * tailOfTarget.Seconds() / r.scenario.interval.Seconds()
	missing := r.Wire.Answered - r.sum("sent")
	// An unknown probe is not among the sent, and may have been on the wire: its answer was
	// dropped on our side, or came when it had been given up.
	claim(missing >= 0 && missing <= unseen+r.sum("unknown"), "%.0f probes sent, and %.0f on the wire", r.sum("sent"), r.Wire.Answered)
	claim(r.sum("duplicates") == 0, "%s duplicates", r.shown("duplicates"))
	if r.scenario.cycle > 0 {
		marked, _, beyond := r.unaccounted()
		claim(len(r.seconds) > 0, "nobody looked every second")
		claim(beyond == 0, "in %d of %d seconds with marked samples more were marked than what kept the threads from probing accounts for", beyond, marked)
	}
	claim(!r.ReloadFailed, "a reload failed")
	from, to := r.early(), r.late()
	claim(to.rss <= growth*from.rss+slack, "memory grew from %.0f to %.0f MB", from.rss/1e6, to.rss/1e6)
	claim(to.fds <= from.fds, "descriptors grew from %d to %d", from.fds, to.fds)
	if len(wrong) > 0 {
		return errors.New(r.scenario.name + ": " + strings.Join(wrong, "; "))
	}
	return nil
}

// markedByWait sets the share of marked samples beside how long the probing threads
// waited for a CPU: in the quarter of the looks in which they waited least, and in
// that in which they waited most. A sample is marked when the moment of sending
// took unusually long, which is what a CPU that is taken away does.
func (r *report) markedByWait() string {
	type between struct{ wait, sent, marked float64 } // wait in parts of the time
	var all []between
	for i := 1; i < len(r.usage); i++ {
		a, b := r.usage[i-1], r.usage[i]
		wait := (b.workersWaiting - a.workersWaiting).Seconds() / (b.at - a.at).Seconds() / float64(r.scenario.workers)
		all = append(all, between{wait, b.sent - a.sent, b.marked - a.marked})
	}
	if len(all) < 4 {
		return "too few looks"
	}
	slices.SortFunc(all, func(a, b between) int { return cmp.Compare(a.wait, b.wait) })
	shown := func(some []between) string {
		var sum between
		for _, b := range some {
			sum = between{sum.wait + b.wait, sum.sent + b.sent, sum.marked + b.marked}
		}
		return fmt.Sprintf("%.4f %% (waited %.2f %%)", 100*sum.marked/max(1, sum.sent), 100*sum.wait/float64(len(some)))
	}
	return shown(all[:len(all)/4]) + ", " + shown(all[len(all)-len(all)/4:])
}

func (r *report) rows() [][2]string {
	from, to, end := r.early(), r.late(), r.usage[len(r.usage)-1]
	peak := slices.MaxFunc(r.usage, func(a, b use) int { return int(a.rss - b.rss) })
	rows := [][2]string{
		{"time", r.Ran.Round(time.Second).String()},
		{"until it probed", r.Started.Round(10 * time.Millisecond).String()},
		{"probes sent, by its own count", r.shown("sent")},
		{"probes on the wire, by the responder's", fmt.Sprintf("%.0f", r.Wire.Answered)},
		{"answers that the wire dropped, by the driver's", fmt.Sprintf("%.0f", r.Wire.Died)},
		{"answers that came in, by the XDP program's", r.shown("steered")},
		{"lost", r.shown("lost")},
		{"unknown", r.shown("unknown")},
		{"not sent", r.shown("not sent")},
		{"marked", fmt.Sprintf("%s (%.4f %%)", r.shown("marked"), 100*r.sum("marked")/max(1, r.sum("sent")))},
		{"marked while the CPUs were free, were not", r.markedByWait()},
		{"probing threads: waited for a CPU, taken off it", fmt.Sprintf("%.2f %% of the time, %.0f times",
			100*end.workersWaiting.Seconds()/end.at.Seconds()/float64(r.scenario.workers), end.preempted)},
		{"the machine's CPUs were another machine's", fmt.Sprintf("%.2f %% of the time", 100*(end.stolen-r.usage[0].stolen).Seconds()/max(1, (end.at-r.usage[0].at).Seconds())/float64(runtime.NumCPU()))},
		{"duplicates, late, reordered", r.shown("duplicates") + ", " + r.shown("late") + ", " + r.shown("reordered")},
		{"ring dropped", r.shown("ring dropped")},
		{"most behind schedule", fmt.Sprintf("%.1f ms", 1e3*r.Lag)},
		{"CPU", fmt.Sprintf("%.1f %% of a core", 100*end.cpu.Seconds()/end.at.Seconds())},
		{"all its threads waited for a CPU", fmt.Sprintf("%.2f %% of the time", 100*end.waiting.Seconds()/end.at.Seconds())},
		{"memory early, late, at the most", fmt.Sprintf("%.0f, %.0f, %.0f MB", from.rss/1e6, to.rss/1e6, peak.rss/1e6)},
		{"descriptors early, late", fmt.Sprintf("%d, %d", from.fds, to.fds)},
	}
	rows = append(rows, r.causeRows()...)
	if r.scenario.reload > 0 {
		rows = append(rows, [2]string{"reloads, link flaps", fmt.Sprintf("%d, %d", r.Reloads, r.Flaps)})
	}
	return rows
}

func (r *report) write(w io.Writer, how string) {
	if how == "markdown" {
		fmt.Fprintf(w, "\n#### %s: %s\n\n|  |  |\n|---|---|\n", r.scenario.name, r.scenario.what)
		for _, row := range r.rows() {
			fmt.Fprintf(w, "| %s | %s |\n", row[0], row[1])
		}
		return
	}
	fmt.Fprintf(w, "\n%s: %s\n", r.scenario.name, r.scenario.what)
	for _, row := range r.rows() {
		fmt.Fprintf(w, "  %-46s %s\n", row[0], row[1])
	}
}
