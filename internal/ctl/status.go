// SPDX-License-Identifier: Apache-2.0

// Package ctl shows what a daemon answers on its control API to people: as tables,
// and as one that a person leaves open. What comes from a daemon never drives the
// terminal.
package ctl

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Daemon is one daemon and how it fares.
type Daemon struct {
	Where  string      `json:"where"` // its socket or URL
	NetNS  string      `json:"-"`     // where its interfaces are, if that is another network namespace of this machine
	Info   *api.Info   `json:"info"`
	Status *api.Status `json:"status"`
}

// Only leaves out all interfaces but some.
func (d *Daemon) Only(ifaces ...string) {
	d.Status.Interfaces = slices.DeleteFunc(d.Status.Interfaces, func(i api.Interface) bool { return !slices.Contains(ifaces, i.Name) })
}

// WriteStatus writes how a daemon fares.
func WriteStatus(w io.Writer, d *Daemon) error {
	i, s := d.Info, d.Status
	rows := [][]string{
		{"daemon", fmt.Sprintf("%s, version %s, pid %d, at %s", i.ProbeName, i.Version, i.PID, d.Where)},
		{"running", fmt.Sprintf("for %s; %s", age(s.Now.Sub(s.Started)), state(s))},
		{"targets", fmt.Sprintf("%d, %d paused, every %s", s.Targets, s.Paused, span(s.IntervalSeconds))},
		{"rate", fmt.Sprintf("%s probes/s planned, %s allowed", rate(s.PlannedPPS), rate(s.MaxPPS))},
		{"sent", fmt.Sprintf("%d, lost %d%s", s.Sent, s.Lost, share(s.Lost, s.Sent))},
		{"not sent", counts(s.NotSent)},
		{"unknown", counts(s.Unknown)},
		{"uncertain", screen.Count(s.Marked, "round trip")},
	}
	if d.NetNS != "" {
		rows = slices.Insert(rows, 1, []string{"namespace", d.NetNS})
	}
	if i.ConfigFile != "" {
		rows = slices.Insert(rows, 1, []string{"configuration", i.ConfigFile})
	}
	if i.MetricsURL != "" {
		rows = append(rows, []string{"metrics", i.MetricsURL})
	}
	if err := write(w, clean(rows), 2); err != nil {
		return err
	}
	queues := [][]string{{"interface", "XDP", "bind", "clock", "lag", "queue", "steered", "passed", "ring full", "fill empty", "foreign"}}
	for _, f := range s.Interfaces {
		head := []string{f.Name, f.Mode, f.Bind, f.ReceiveClock, seconds(f.ScheduleLagSeconds)}
		for _, q := range f.Queues {
			queues = append(queues, slices.Concat(head, []string{strconv.Itoa(q.ID), number(q.Steered), number(q.Passed), number(q.RxRingFull), number(q.FillRingEmpty), number(f.Foreign)}))
		}
		if len(f.Queues) == 0 {
			queues = append(queues, slices.Concat(head, []string{"-", "-", "-", "-", "-", number(f.Foreign)}))
		}
	}
	if len(queues) == 1 {
		_, err := fmt.Fprintln(w, "\nno interface is open")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return write(w, clean(queues), 4)
}

// state says in one line whether all is well.
func state(s *api.Status) string {
	all := []string{"healthy"}
	if !s.Healthy.OK {
		all[0] = "NOT HEALTHY: " + s.Healthy.Reason
	}
	if s.Ready.OK {
		all = append(all, "ready")
	} else {
		all = append(all, "not ready: "+s.Ready.Reason)
	}
	if s.Stopped {
		all = append(all, "SENDING IS STOPPED: "+cmp.Or(s.StoppedReason, "ctl start lets it go on"))
	}
	if s.ReloadFailed {
		all = append(all, "THE LAST RELOAD FAILED: ctl reload says why")
	}
	return strings.Join(all, ", ")
}

// counts writes counts by reason, the largest first.
func counts(by map[string]uint64) string {
	reasons := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
	})
	var all []string
	for _, r := range reasons {
		if by[r] > 0 {
			all = append(all, fmt.Sprintf("%d %s", by[r], r))
		}
	}
	if all == nil {
		return "0"
	}
	return strings.Join(all, ", ")
}

func share(part, of uint64) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s %%)", percent(float64(part)/float64(of)))
}

func percent(ratio float64) string { return strconv.FormatFloat(100*ratio, 'f', 2, 64) }

// rate writes probes per second.
func rate(pps float64) string { return screen.Rate(pps, 3) }

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// seconds writes a round trip or lag.
func seconds(s float64) string { return screen.Duration(time.Duration(s * float64(time.Second))) }

// span writes an interval as it was configured.
func span(s float64) string { return strconv.FormatFloat(s, 'g', -1, 64) + " s" }

// age writes how long something has lasted, in its two largest units.
func age(d time.Duration) string {
	d = max(0, d)
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}

// clean makes all cells fit for a terminal.
func clean(rows [][]string) [][]string {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = screen.Printable(cell)
		}
	}
	return rows
}

// write writes a table whose first columns, so many as left, are set flush left.
func write(w io.Writer, rows [][]string, left int) error {
	_, err := fmt.Fprintln(w, strings.Join(screen.Align(rows, left), "\n"))
	return err
}
