// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// oursTimeout is how long our own probes wait for an answer. It is far more
// than the veth pair takes, and short because ours keeps a slot for each probe that may
// still be answered.
const oursTimeout = 200 * time.Millisecond

// oursPorts is how many source ports each target's SYNs take turns with.
const oursPorts = 16

// oursSpec is what the child that runs the prober is told.
type oursSpec struct {
	Iface    string
	Config   string
	Settings string
	Profile  string // where to write a CPU profile; "": none
}

// oursReport is what it answers when asked.
type oursReport struct {
	Sent, Lost, NotSent, Unknown, Marked uint64
	Rounds                               uint64 // the fewest of any series
	P50, P99                             float64
}

// writeOurs writes the configuration for a load that begins at phase into dir.
// mode is that of XDP; "": as by default.
func writeOurs(dir string, l load, names []string, mode string) (oursSpec, error) {
	s := oursSpec{Config: filepath.Join(dir, "netprobe.yaml"), Settings: filepath.Join(dir, "settings.yaml")}
	targets := map[string]any{}
	for i, name := range names {
		t := map[string]any{
			"type": "ICMPping", "destination": targetAddr(i).String(), "nb_packets": l.each(), "timeout": oursTimeout.Seconds(),
		}
		if l.Proto == tcp {
			t["type"], t["dst_port"] = "TCPsyn", tcpPort
		}
		targets[name] = t
	}
	file := map[string]any{
		"global": map[string]any{
			"probe_name": probeName, "interval": int(oursInterval.Seconds()), "interval_packets": l.gap().Seconds(),
			"nb_proc": 1, "logging_level": "WARNING", "dns_update_interval": 0, "percentile": percentiles(l.each()),
			"prometheus_address": "127.0.0.1", "prometheus_port": 8000,
		},
		"groups":  map[string]any{"g": map[string]any{"src_port_a": firstPort, "src_port_z": firstPort + oursPorts - 1}},
		"targets": targets,
	}
	settings := map[string]any{"safety": map[string]any{"max_pps": 2 * flatPPS, "max_prefix_pps": 2 * flatPPS}}
	if mode != "" {
		settings["engine"] = map[string]any{"xdp_mode": mode}
	}
	for name, v := range map[string]any{s.Config: file, s.Settings: settings} {
		b, err := yaml.Marshal(v)
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			return s, fmt.Errorf("write the prober's configuration: %w", err)
		}
	}
	return s, nil
}

// percentiles are those to ask for of rounds of n samples: the ones that are
// samples themselves where there are some, so that they give the samples back.
func percentiles(n int) []int {
	var exact, all []int
	for p := 1; p <= 100; p++ {
		all = append(all, p)
		if (n-1)*p%100 == 0 {
			exact = append(exact, p)
		}
	}
	if len(exact) >= min(n-1, 100) {
		return exact
	}
	return all
}

// runOurs is the child: the prober as it is run by everybody, which answers
// each line on standard input with a report, and ends with it.
func runOurs(arg string) error {
	var s oursSpec
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		return err
	}
	if s.Profile != "" {
		f, err := os.Create(s.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan *result.Store, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- prober.Run(ctx, prober.Options{
			Ifaces: []string{s.Iface}, Config: s.Config, Settings: s.Settings,
			Log:     slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
			Started: func(r prober.Running) { started <- r.Store },
		})
	}()
	var store *result.Store
	select {
	case store = <-started:
	case err := <-ended:
		return errors.Join(errors.New("the prober did not start"), err)
	}
	fmt.Println(time.Now().UnixNano())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := json.NewEncoder(os.Stdout).Encode(reportOf(store)); err != nil {
			return err
		}
	}
	cancel()
	return <-ended
}

// reportOf adds up what was measured. Round trips are those of the last round
// of all series together.
func reportOf(store *result.Store) oursReport {
	r := oursReport{Rounds: math.MaxUint64}
	var trips []float64
	var s result.Snapshot
	for _, one := range store.Series() {
		one.Snapshot(&s)
		r.Sent += s.Sent
		r.Lost += s.Lost
		r.Marked += s.Marked
		for _, n := range s.NotSent {
			r.NotSent += n
		}
		for _, n := range s.Unknown {
			r.Unknown += n
		}
		r.Rounds = min(r.Rounds, s.Rounds)
		if s.RoundAnswered > 0 {
			trips = append(trips, float64(s.Min))
			for _, t := range s.RoundTrips {
				trips = append(trips, float64(t))
			}
		}
	}
	r.P50, r.P99 = quantiles(trips)
	if len(trips) == 0 {
		r.P50, r.P99 = 0, 0 // JSON has no NaN; no round is over
	}
	return r
}

// ours is (b): our engine with tokens, matching and per-target results.
type ours struct {
	phases  phases
	profile string // of the next run; "": none
	mode    string // of XDP; "": as by default
	child   *child
}

func (o *ours) name() string { return "netprobe-xdp" }
func (o *ours) pass() bool   { return false }

func (o *ours) start(r *rig, dir string, l load) ([]*child, error) {
	return o.startLate(r, dir, l, 1500*time.Millisecond, anyCPU)
}

// startLate starts the prober so that its round begins lead from now.
func (o *ours) startLate(r *rig, dir string, l load, lead time.Duration, cpu int) ([]*child, error) {
	begin := time.Now().Add(lead)
	names, err := o.phases.names(time.Duration(begin.UnixNano()%int64(oursInterval)), l.Targets)
	if err != nil {
		return nil, err
	}
	spec, err := writeOurs(dir, l, names, o.mode)
	if err != nil {
		return nil, err
	}
	spec.Iface, spec.Profile = r.near.Name, o.profile
	c, err := startSelf(where{r.prober, dir, cpu}, roleOurs, spec)
	if err != nil {
		return nil, err
	}
	var ready int64
	if err := c.answer(20*time.Second, &ready); err != nil {
		c.kill()
		return nil, err
	}
	if late := time.Unix(0, ready).Sub(begin); late > -50*time.Millisecond {
		c.kill()
		if lead > 10*time.Second {
			return nil, fmt.Errorf("the prober took %v to start", lead+late)
		}
		return o.startLate(r, dir, l, 2*lead, cpu)
	}
	o.child = c
	return []*child{c}, nil
}

// ask asks for a report of n whole rounds of all series.
func (o *ours) ask(n uint64) (oursReport, error) {
	var r oursReport
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := o.child.in.Write([]byte("report\n")); err != nil {
			return r, errors.Join(err, o.child.failed("takes no question"))
		}
		if err := o.child.answer(10*time.Second, &r); err != nil {
			return r, err
		}
		if r.Rounds >= n {
			return r, nil
		}
		if time.Now().After(end) {
			return r, fmt.Errorf("not all rounds are whole: %+v", r)
		}
	}
}

func (o *ours) finish(load) (claims, error) {
	r, err := o.ask(1)
	_ = o.child.in.Close() // which ends it
	if err != nil {
		o.child.kill()
		return claims{}, err
	}
	return r.claims(), o.child.wait(10 * time.Second)
}

func (r oursReport) claims() claims {
	return claims{
		Sent: float64(r.Sent), Matched: float64(r.Sent - r.Lost), Lost: float64(r.Lost),
		NotSent: float64(r.NotSent), Unknown: float64(r.Unknown), Marked: float64(r.Marked), P50: r.P50, P99: r.P99,
	}
}
