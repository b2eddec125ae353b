// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// scenario is one long run.
type scenario struct {
	name     string
	what     string
	duration time.Duration
	targets  int // probed all the time, of all types and both families
	packets  int // to each per interval
	interval time.Duration
	workers  int // of the program, and queues of the interface
	scrape   time.Duration

	reload time.Duration // how often the configuration is read again; 0: never
	churn  int           // targets that are replaced by others with each reload
	flap   time.Duration // how often the link goes down; 0: never

	// cycle is after how long calm and burn begin anew; 0: there are none, and nobody
	// looks every second. While it is calm nothing is reloaded, and burn has every CPU
	// kept busy.
	cycle      time.Duration
	calm, burn span
}

// flapped is how long the link stays down.
const flapped = 2 * time.Second

// timeout is what each probe waits. The answers come within microseconds.
const timeout = time.Second

var scenarios = []scenario{
	{name: "scale", what: "100,000 targets at one probe per second on one worker", duration: 10 * time.Minute,
		targets: 100_000, packets: 1, interval: time.Second, workers: 1, scrape: time.Minute},
	{name: "million", what: "1,000,000 targets every 30 s", duration: 75 * time.Second,
		targets: 1_000_000, packets: 1, interval: 30 * time.Second, workers: 1, scrape: 30 * time.Second},
	{name: "reloads", what: "4,000 probes/s, a reload every second with a changing target list", duration: time.Minute,
		targets: 400, packets: 10, interval: time.Second, workers: 2, scrape: 5 * time.Second,
		reload: time.Second, churn: 4},
	{name: "disturbed", what: "50,000 probes/s on two workers, reloads, a changing target list, link flaps", duration: time.Hour,
		targets: 5000, packets: 10, interval: time.Second, workers: 2, scrape: 10 * time.Second,
		reload: 5 * time.Second, churn: 50, flap: time.Minute,
		cycle: 3 * time.Minute, calm: span{72 * time.Second, 112 * time.Second}, burn: span{130 * time.Second, 150 * time.Second}},
}

// span is a part of a cycle.
type span struct{ from, to time.Duration }

// in says whether a moment of the run lies in a part of its cycle.
func (s scenario) in(part span, at time.Duration) bool {
	if s.cycle == 0 {
		return false
	}
	at %= s.cycle
	return at >= part.from && at < part.to
}

func (s scenario) pps() float64 { return float64(s.targets*s.packets) / s.interval.Seconds() }

// run lets the program work for the scenario's time, or until it is interrupted.
func (s scenario) run(binary, dir string, interrupted <-chan os.Signal) (*report, error) {
	progress("%s: %s, %v", s.name, s.what, s.duration)
	l := lab.New(lab.Options{Name: "soak"})
	defer l.Close()
	r, err := newRig(l, s.workers)
	if err != nil {
		return nil, err
	}
	files := files{dir: dir, scenario: s}
	if err := files.write(0); err != nil {
		return nil, err
	}
	begun := time.Now()
	p, err := r.prober.Start(context.Background(), binary, "run", "--iface", r.near.Name, "--config", files.config(), "--settings", files.settings())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	err = p.WaitFor(ctx, "msg=probing")
	cancel()
	if err != nil {
		return nil, err
	}
	rep := &report{scenario: s, Started: time.Since(begun)}
	w := watcher{rig: r, process: p, report: rep, counted: tally{last: map[string]float64{}, gone: map[string]float64{}}}
	if err := s.disturb(&w, files, interrupted); err != nil {
		return nil, fmt.Errorf("%w; the program said: %s", err, tail(p.Stderr()))
	}
	if err := w.end(s); err != nil {
		return nil, fmt.Errorf("%w; the program said: %s", err, tail(p.Stderr()))
	}
	if rep.sum("lost") > 0 {
		progress("%s: probes were lost; the program said: %s", s.name, tail(p.Stderr()))
	}
	return rep, p.Stop()
}

// disturb does to the program what the scenario says, and looks at it.
func (s scenario) disturb(w *watcher, f files, interrupted <-chan os.Signal) (err error) {
	never := make(<-chan time.Time)
	every := func(d time.Duration) <-chan time.Time {
		if d == 0 {
			return never
		}
		return time.Tick(d)
	}
	w.report.begin = time.Now()
	if s.cycle > 0 {
		seconds := watchSeconds(w)
		defer func() { w.report.seconds, err = seconds.end(err) }()
	}
	turn := every(min(s.cycle, time.Second))
	var burners burners
	defer burners.stop()
	end, scrape, reload, flap := time.After(s.duration), every(s.scrape), every(s.reload), every(s.flap)
	up := never
	for {
		select {
		case <-end:
			return nil
		case <-interrupted:
			return nil
		case <-scrape:
			if err := w.look(); err != nil {
				return err
			}
		case <-turn:
			if err := burners.set(w.rig.prober, s.in(s.burn, time.Since(w.report.begin))); err != nil {
				return err
			}
		case <-reload:
			if s.in(s.calm, time.Since(w.report.begin)) {
				continue
			}
			w.report.Reloads++
			if err := f.write(w.report.Reloads); err != nil {
				return err
			}
			if err := syscall.Kill(w.process.PID(), syscall.SIGHUP); err != nil {
				return fmt.Errorf("ask the program to reload: %w", err)
			}
		case <-flap:
			w.report.Flaps++
			w.rig.far.SetUp(false)
			up = time.After(flapped)
		case <-up:
			w.rig.far.SetUp(true)
			up = never
		}
		if err := w.rig.lab.Err(); err != nil {
			return err
		}
	}
}

// rig is the veth pair: the program's namespace, and the reflector at the other
// end.
type rig struct {
	lab       *lab.Lab
	prober    *lab.Host
	near, far *lab.End
	reflector *lab.Reflector
}

const (
	near4, far4 = "192.0.2.1", "192.0.2.2"
	near6, far6 = "2001:db8::1", "2001:db8::2"
	prefix4     = "10.0.0.0/8"
	prefix6     = "2001:db8:1::/48"
)

func newRig(l *lab.Lab, queues int) (*rig, error) {
	r := &rig{lab: l, prober: l.Host("prober")}
	responder := l.Host("responder")
	// A flap is no change of address, nor a second of silence about it.
	responder.Sysctl("net.ipv6.conf.all.keep_addr_on_down", "1")
	responder.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	r.near, r.far = l.Connect(r.prober, responder, lab.Link{
		Queues: queues, A: []string{near4 + "/24", near6 + "/64"}, B: []string{far4 + "/24", far6 + "/64"},
	})
	r.prober.SetRoute(prefix4, lab.Hop{Via: far4})
	r.prober.SetRoute(prefix6, lab.Hop{Via: far6})
	r.reflector = lab.AttachReflector(r.far, lab.ReflectorOptions{Prefixes: []string{prefix4, prefix6}})
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("build the veth pair: %w", err)
	}
	return r, nil
}

// files are the program's configuration.
type files struct {
	dir      string
	scenario scenario
}

func (f files) config() string   { return filepath.Join(f.dir, f.scenario.name+".yaml") }
func (f files) settings() string { return filepath.Join(f.dir, f.scenario.name+".settings.yaml") }
func (f files) list() string     { return filepath.Join(f.dir, f.scenario.name+".jsonl") }
