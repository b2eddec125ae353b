// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fping is Debian's fping. It has 65,536 numbers for the probes of ten seconds, so
// as fast as it goes is a burst of fpingBurst. Paced, two processes share the
// targets, since one does not keep 10,000 probes/s apart; bursts instead
// sends to all targets at once, ten times a second, which costs it less.
type fping struct {
	bursts   bool
	children []*child
}

const (
	fpingBurst = 60_000
	// fpingGap, ms, is less than the gap that half of the targets need: a
	// sleep always takes longer than asked.
	fpingGap = "0.15"
)

func (f *fping) name() string {
	if f.bursts {
		return "fping, bursts"
	}
	return "fping"
}
func (f *fping) pass() bool { return true }

func (f *fping) start(r *rig, dir string, l load) ([]*child, error) {
	f.children = nil
	processes, gap, period := 1, "0", "1"
	if l.PPS > 0 {
		period = strconv.FormatFloat(l.gap().Seconds()*1e3, 'f', -1, 64)
		if !f.bursts {
			processes, gap = 2, fpingGap
		}
	}
	for p := range processes {
		var list strings.Builder
		for i := p * l.Targets / processes; i < (p+1)*l.Targets/processes; i++ {
			fmt.Fprintln(&list, targetAddr(i))
		}
		file := filepath.Join(dir, fmt.Sprintf("targets%d", p))
		if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
			return nil, err
		}
		c, err := start(where{r.prober, dir, anyCPU}, "fping",
			"-q", "-b", "8", "-i", gap, "-p", period, "-t", "500", "-C", strconv.Itoa(l.each()), "-f", file)
		if err != nil {
			return f.children, err
		}
		f.children = append(f.children, c)
	}
	return f.children, nil
}

func (f *fping) finish(l load) (claims, error) {
	c := claims{Sent: float64(l.Probes), NotSent: none, Unknown: none, Marked: none}
	var trips []float64
	for _, child := range f.children {
		select {
		case <-child.done: // 1 is its way to say that something was lost
		case <-time.After(20 * time.Second):
			child.kill()
			return c, child.failed("does not end")
		}
		one, lost, err := fpingTrips(child.errs.String())
		if err != nil {
			return c, err
		}
		trips = append(trips, one...)
		c.Lost += float64(lost)
	}
	c.Matched = float64(len(trips))
	c.P50, c.P99 = quantiles(trips)
	return c, nil
}

// fpingTrips reads round trips, ns, and how many were lost, from lines like
// "10.0.0.1 : 0.035 - 0.001".
func fpingTrips(out string) (trips []float64, lost int, err error) {
	for line := range strings.Lines(out) {
		_, samples, ok := strings.Cut(line, " : ")
		if !ok {
			if strings.TrimSpace(line) != "" {
				return nil, 0, fmt.Errorf("fping said: %s", strings.TrimSpace(line))
			}
			continue
		}
		for s := range strings.FieldsSeq(samples) {
			if s == "-" {
				lost++
				continue
			}
			ms, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("fping's sample %q: %w", s, err)
			}
			trips = append(trips, ms*1e6)
		}
	}
	return trips, lost, nil
}
