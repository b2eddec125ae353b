// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

const (
	// stressPPS is the pace of each prober: few enough not to disturb the others,
	// which run at the same time on pairs of their own.
	stressPPS = 500
	// stressFastPPS is that of ours when it runs once more, after the others: so many that
	// with every CPU busy some kicks are interrupted, and some probes are late and share one.
	stressFastPPS = 20_000
)

// The conditions of the stress table.
const (
	quiet = "at rest"
	busy  = "every CPU busy"
	slow  = "responder takes 50 µs"
)

// stress is what one prober reported under one condition.
type stress struct {
	Condition string `json:"condition"`
	Prober    string `json:"prober"`
	P50       spread `json:"p50_us"`
	P99       spread `json:"p99_us"`
	Marked    spread `json:"marked_share"`
	Moved     spread `json:"p50_less_at_rest_us"`
	runs      []claims
}

func stressTable(all []*stress) *table {
	t := &table{title: fmt.Sprintf("Busy CPUs and a slow responder, %d probes/s to one target", stressPPS),
		note: "All probers at the same time, and then ours alone at a higher rate, beside the same busy processes. " +
			"To reach: with every CPU busy our median moves by less than 20 µs while the marked samples rise; a responder that takes 50 µs marks next to nothing.",
		columns: []string{"condition", "", "p50 µs", "p99 µs", "p50 less that at rest, µs", "marked"}}
	for _, s := range all {
		t.add(s.Condition, s.Prober, s.P50.show(digits), s.P99.show(digits), s.Moved.show(digits), s.Marked.show(percent))
	}
	return t
}

// stress compares what ours, fping and ping report, at rest and not.
func (o *opts) stress(p phases) ([]*stress, error) {
	if err := lacks("fping", "ping"); err != nil {
		return nil, err
	}
	var all []*stress
	at := map[[2]string]*stress{}
	for range o.rounds {
		for _, condition := range []string{quiet, busy, slow} {
			said, err := o.stressed(p, condition)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", condition, err)
			}
			for i := range said {
				name := stressProbers[i]
				key := [2]string{condition, name}
				if at[key] == nil {
					at[key] = &stress{Condition: condition, Prober: name}
					all = append(all, at[key])
				}
				at[key].runs = append(at[key].runs, said[i])
				progress("stress, %s, %s: p50 %s us", condition, name, digits(said[i].P50))
			}
		}
	}
	for _, s := range all {
		var p50, p99, marked, moved []float64
		for i, r := range s.runs {
			p50, p99, marked = append(p50, r.P50), append(p99, r.P99), append(marked, r.Marked/r.Matched)
			moved = append(moved, r.P50-at[[2]string{quiet, s.Prober}].runs[i].P50)
		}
		s.P50, s.P99, s.Marked, s.Moved = spreadOf(p50), spreadOf(p99), spreadOf(marked), spreadOf(moved)
	}
	return all, nil
}

// stressProbers are the probers of the table. The first together run at the same time,
// the last alone.
var stressProbers = []string{"netprobe-xdp", "fping", "ping", fmt.Sprintf("netprobe-xdp, %s/s", thousands(stressFastPPS))}

const together = 3

// stressed runs the probers of stressProbers once. The last is left out where the responder
// is slow: at its rate that would take all of a CPU.
func (o *opts) stressed(p phases, condition string) ([]claims, error) {
	reflector := lab.ReflectorOptions{}
	if condition == slow {
		reflector.Hold = holdTime
	}
	var rigs []*rig
	defer func() {
		for _, r := range rigs {
			_ = r.close() // it is swept by the next
		}
	}()
	for i := range together {
		r, err := newRig(rigOptions{queues: 1, pass: i > 0, reflector: reflector})
		if err != nil {
			return nil, err
		}
		rigs = append(rigs, r)
	}
	if condition == busy {
		for range 2 * runtime.NumCPU() { // so that they have no peace among themselves either
			c, err := startSelf(where{rigs[0].prober, "", anyCPU}, roleBurn, burnSpec{})
			if err != nil {
				return nil, err
			}
			defer c.kill()
		}
	}
	at := func(pps int) load {
		return load{Proto: icmp, Targets: 1, PPS: pps, Probes: int(float64(pps)*o.duration.Seconds()) + 1}
	}
	l := at(stressPPS)
	type answer struct {
		i    int
		said claims
		err  error
	}
	answers := make(chan answer)
	for i, ask := range []func(*rig) (claims, error){
		func(r *rig) (claims, error) { return r.ours(p, l, anyCPU) },
		func(r *rig) (claims, error) { return r.fping(l) },
		func(r *rig) (claims, error) { return r.ping(l) },
	} {
		go func() {
			said, err := ask(rigs[i])
			answers <- answer{i, said, err}
		}()
	}
	said := make([]claims, together)
	var failed error
	for range together {
		a := <-answers
		if a.err != nil {
			failed = fmt.Errorf("%s: %w", stressProbers[a.i], a.err)
		}
		said[a.i] = a.said
	}
	if failed != nil || condition == slow {
		return said, failed
	}
	r, err := newRig(rigOptions{queues: 1})
	if err != nil {
		return nil, err
	}
	defer r.close()
	fast, err := r.ours(p, at(stressFastPPS), anyCPU)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stressProbers[together], err)
	}
	return append(said, fast), nil
}

// fping runs fping on a rig once.
func (r *rig) fping(l load) (claims, error) {
	dir, err := os.MkdirTemp("", "netprobe-bench-")
	if err != nil {
		return claims{}, err
	}
	defer os.RemoveAll(dir)
	f := &fping{bursts: true}
	if _, err := f.start(r, dir, l); err != nil {
		return claims{}, err
	}
	return f.finish(l)
}

// ping runs the kernel's own ping on a rig once. It knows no round trip of a
// payload too small for its time of sending.
func (r *rig) ping(l load) (claims, error) {
	c, err := start(where{r.prober, "", anyCPU}, "ping", "-n", "-s", "16", "-i", strconv.FormatFloat(l.gap().Seconds(), 'f', -1, 64),
		"-c", strconv.Itoa(l.Probes), targetAddr(0).String())
	if err != nil {
		return claims{}, err
	}
	said := claims{Sent: float64(l.Probes), NotSent: none, Unknown: none, Marked: none}
	select {
	case <-c.done: // 1 is its way to say that something was lost
	case <-time.After(3*l.planned() + 20*time.Second):
		c.kill()
		return said, c.failed("does not end")
	}
	var trips []float64
	for line := range c.lines {
		if ns, ok := pingTrip(line); ok {
			trips = append(trips, ns)
		}
	}
	if len(trips) == 0 {
		return said, c.failed("reported no round trip")
	}
	said.Matched = float64(len(trips))
	said.Lost = said.Sent - said.Matched
	said.P50, said.P99 = quantiles(trips)
	return said, nil
}

// pingTrip reads the round trip, ns, of a line like
// "16 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.024 ms".
func pingTrip(line string) (float64, bool) {
	_, rest, ok := strings.Cut(line, " time=")
	if !ok {
		return 0, false
	}
	ms, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " ms"), 64)
	return ms * 1e6, err == nil
}
