// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// contestant is a prober to be compared. One is used for one run after another.
type contestant interface {
	name() string
	pass() bool // needs an XDP program on its end for replies to arrive
	// start starts its processes; dir is an empty directory for this run.
	start(r *rig, dir string, l load) ([]*child, error)
	// finish is called once the wire is silent. It ends the processes and
	// returns what they say they saw.
	finish(l load) (claims, error)
}

// setting is what all contestants are asked for alike.
type setting struct {
	name  string
	what  string
	load  load
	drop  uint32 // one answer in this many is dropped by the far end
	field []contestant
}

// run is what one contestant did once. What is not known is NaN.
type run struct {
	Rate     float64 // probes/s on the wire, as the responder counts them
	Matched  float64 // share of the answers sent that were taken
	Answers  float64 // answers taken per second
	CPU      float64 // us per probe while sending
	LifeCPU  float64 // us per probe from start to end
	User     float64 // share of the CPU in user space
	Memory   float64 // MB at the most
	P50, P99 float64 // round trip, us
	LossErr  float64 // lost by its own word less dropped by the responder, probes
	NotSent  float64 // probes
	Unknown  float64 // probes
	Marked   float64 // share of the answers
}

// silence is how long nothing new on the wire means that sending is over:
// longer than any contestant pauses.
const silence = 400 * time.Millisecond

// contest lets one contestant run once.
func contest(c contestant, s setting, queues int) (run, error) {
	r, err := newRig(rigOptions{queues: queues, pass: c.pass(), reflector: lab.ReflectorOptions{DropEvery: s.drop}})
	if err != nil {
		return run{}, err
	}
	dir, err := os.MkdirTemp("", "netprobe-bench-")
	if err != nil {
		return run{}, errors.Join(err, r.close())
	}
	got, err := attempt(c, s, r, dir)
	if err = errors.Join(err, r.close(), os.RemoveAll(dir)); err != nil {
		return run{}, fmt.Errorf("%s, %s: %w", s.name, c.name(), err)
	}
	return got, nil
}

func attempt(c contestant, s setting, r *rig, dir string) (run, error) {
	children, err := c.start(r, dir, s.load)
	defer func() {
		for _, child := range children {
			if child != nil {
				child.kill()
			}
		}
	}()
	if err != nil {
		return run{}, err
	}
	seen, err := watch(r, children, s.load)
	if err != nil {
		return run{}, err
	}
	said, err := c.finish(s.load)
	if err != nil {
		return run{}, err
	}
	counts, err := r.reflector.Counts()
	if err != nil {
		return run{}, err
	}
	if counts.Failed > 0 || counts.Unreachable > 0 {
		return run{}, fmt.Errorf("the responder could not answer, or saw what nobody sent: %+v", counts)
	}
	var used, user time.Duration
	for _, child := range children {
		a, u := child.life()
		used, user = used+a, user+u
	}
	probes := float64(probesOf(counts))
	answered := probes - float64(counts.Dropped)
	got := run{
		Matched: said.Matched / answered,
		LifeCPU: float64(used) / 1e3 / probes, User: float64(user) / float64(used),
		Memory: float64(seen.peak()) / 1e6, P50: said.P50, P99: said.P99,
		LossErr: said.Lost - float64(counts.Dropped), NotSent: said.NotSent, Unknown: said.Unknown, Marked: said.Marked / said.Matched,
	}
	if s.load.PPS > 0 {
		got.User = none // the kernel looks at its tick, and pacing goes by the same clock
	}
	got.Rate, got.CPU = seen.steady()
	got.Answers = got.Rate * said.Matched / probes
	return got, nil
}

// probesOf is how many probes the responder counted: what it answered or would
// have. Resets are none.
func probesOf(c lab.ReflectorCounts) uint64 { return c.Echo + c.SynAck + c.RstAck + c.Dropped }

// sample is how far a run was at one moment.
type sample struct {
	at     time.Duration
	probes uint64
	cpu    time.Duration
	memory uint64 // bytes, at the most so far
}

type samples []sample

// watch looks at the responder's counters and at what the processes used,
// until nothing has come for a while.
func watch(r *rig, children []*child, l load) (samples, error) {
	const every = 5 * time.Millisecond
	begin := time.Now()
	limit := 3*l.planned() + 60*time.Second
	var all samples
	last := begin
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range tick.C {
		counts, err := r.reflector.Counts()
		if err != nil {
			return nil, err
		}
		s := sample{at: time.Since(begin), probes: probesOf(counts)}
		alive := false
		for _, c := range children {
			cpu, err := c.cpu()
			if err != nil {
				return nil, err
			}
			s.cpu += cpu
			memory, err := c.peak()
			if err != nil {
				return nil, err
			}
			s.memory += memory
			select {
			case <-c.done:
			default:
				alive = true
			}
		}
		now := time.Now()
		if len(all) == 0 || s.probes != all[len(all)-1].probes {
			last = now
		}
		if alive { // a process that has ended has no figures any more
			all = append(all, s)
		}
		switch {
		case s.probes == 0 && alive && now.Sub(begin) < 30*time.Second:
			last = now // not begun
		case s.probes == 0:
			return nil, errors.New("no probe reached the responder")
		case !alive || now.Sub(last) > silence:
			return all, nil
		case now.Sub(begin) > limit:
			return nil, fmt.Errorf("has not finished after %v", limit)
		}
	}
	return all, nil
}

// steady is the rate, probes/s, and the cost, us of CPU per probe, between a
// tenth and nine tenths of the way: without starting and ending.
func (all samples) steady() (rate, cpu float64) {
	if len(all) == 0 {
		return none, none
	}
	total := all[len(all)-1].probes
	from, to := -1, -1
	for i, s := range all {
		if from < 0 && s.probes*10 >= total {
			from = i
		}
		if s.probes*10 <= total*9 {
			to = i
		}
	}
	if from < 0 || to <= from {
		return none, none
	}
	a, b := all[from], all[to]
	n := float64(b.probes - a.probes)
	if n == 0 || b.cpu < a.cpu {
		return none, none
	}
	return n / (b.at - a.at).Seconds(), float64(b.cpu-a.cpu) / 1e3 / n
}

// peak is the most memory the processes had, bytes.
func (all samples) peak() (most uint64) {
	for _, s := range all {
		most = max(most, s.memory)
	}
	return most
}

// fit makes a load as fast as it goes last about d, by how fast it went last.
func fit(l load, last run, d time.Duration) load {
	if l.PPS > 0 || math.IsNaN(last.Rate) || last.Rate == 0 {
		return l
	}
	each := int(last.Rate * d.Seconds() / float64(l.Targets))
	l.Probes = max(10, each) * l.Targets
	return l
}
