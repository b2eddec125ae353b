// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// asked is the prober as the control API has it. Any goroutine may call its
// methods.
type asked struct{ *prober }

// Info is part of api.Backend.
func (a asked) Info() wire.Info {
	cfg := a.current.Load()
	i := wire.Info{
		Name: "netprobe-xdp", Version: a.Version, Revision: a.Revision, APIVersion: wire.Version, ProbeName: cfg.Global.ProbeName,
		PID: os.Getpid(), Started: a.begun, ConfigFile: cfg.File, Settings: cfg.Settings, MetricsURL: a.server.URL("/metrics"),
		Interfaces: []string{},
	}
	a.shownMu.RLock()
	for _, t := range a.ports {
		i.Interfaces, i.NetNS = append(i.Interfaces, t.name), t.link.NetNS()
	}
	a.shownMu.RUnlock()
	return i
}

// Healthy is part of api.Backend.
func (a asked) Healthy() error { return a.healthy() }

// Ready is part of api.Backend.
func (a asked) Ready() error { return a.ready() }

// Token is part of api.Backend.
func (a asked) Token() (string, error) { return a.current.Load().API.Token.Read() }

// Config is part of api.Backend.
func (a asked) Config() (wire.Config, error) {
	text, err := a.current.Load().InForce()
	return wire.Config{YAML: text}, err
}

// Status is part of api.Backend.
func (a asked) Status() wire.Status {
	cfg := a.current.Load()
	s := wire.Status{
		Now: time.Now(), Started: a.begun, Healthy: stateOf(a.healthy()), Ready: stateOf(a.ready()),
		Stopped: a.stopped.Load(), ReloadFailed: a.app.ReloadFailed.Load(),
		Targets: len(cfg.Targets), IntervalSeconds: cfg.Global.Interval.Seconds(), MaxPPS: float64(cfg.Safety.MaxPPS),
		Interfaces: []wire.Interface{}, History: a.history.Limits(time.Now()),
	}
	if st := a.steered.Load(); st != nil {
		s.Paused = len(st.paused)
	}
	if pps := a.plannedPPS.Load(); pps != nil {
		s.PlannedPPS = *pps
	}
	if s.Stopped {
		s.StoppedReason = a.whyStopped()
	}
	sum := a.totals.of(&a.store, s.Now)
	s.Sent, s.Lost, s.Marked, s.NotSent, s.Unknown = sum.sent, sum.lost, sum.marked, sum.notSent, sum.unknown
	for _, l := range a.links() {
		i := wire.Interface{
			Name: l.Interface, Mode: l.Mode, Bind: l.Bind, ReceiveClock: l.ReceiveClock, ScheduleLagSeconds: l.ScheduleLag.Seconds(),
			Foreign: l.Foreign, ClockFaults: l.ClockFaults, Queues: []wire.Queue{}, PassedByReason: map[string]uint64{},
		}
		for _, q := range l.Queues {
			i.Queues = append(i.Queues, wire.Queue(q))
		}
		for _, r := range l.PassedReasons {
			i.PassedByReason[r.Reason] = r.Count
		}
		s.Interfaces = append(s.Interfaces, i)
	}
	return s
}

func stateOf(wrong error) wire.State {
	if wrong != nil {
		return wire.State{Reason: wrong.Error()}
	}
	return wire.State{OK: true}
}

// addCounts adds counts under the names of their reasons, where there are any.
func addCounts[R interface {
	~uint8
	String() string
}](to map[string]uint64, counts []uint64) {
	for i, n := range counts {
		if n > 0 {
			to[R(i).String()] += n
		}
	}
}

// Worst is part of api.Backend.
func (a asked) Worst(target string, n int) (wire.Worst, bool) {
	found, ok := a.worst(target, n)
	out := wire.Worst{Addresses: []wire.Answers{}}
	for _, w := range found {
		one := wire.Answers{Target: w.Target, Address: w.Address.String(), Sent: w.Sent, Answered: w.Answered, LossRatio: w.Loss()}
		if w.RoundTrip > 0 {
			one.RoundTrip = new(w.RoundTrip.Seconds())
		}
		out.Addresses = append(out.Addresses, one)
	}
	return out, ok
}

// Reload is part of api.Backend.
func (a asked) Reload(ctx context.Context) (wire.Reloaded, error) {
	r, err := a.reload(ctx)
	out := reloaded(r)
	if err == nil {
		return out, nil
	}
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		return out, api.NewProblem(500, "the configuration is not reloaded: "+err.Error())
	}
	p := api.NewProblem(422, "the configuration has faults; nothing has changed")
	for _, f := range faults {
		where := f.File
		if f.Line > 0 {
			where += ":" + strconv.Itoa(f.Line)
		}
		if f.Key != "" {
			where += ": " + f.Key
		}
		detail := f.Read
		if f.Allowed != "" {
			detail += "; " + f.Allowed
		}
		p.Errors = append(p.Errors, wire.FieldError{Field: where, Detail: detail})
	}
	return out, p
}

func reloaded(r Report) wire.Reloaded {
	list := func(names []string) []string { return append([]string{}, names...) } // [] rather than null
	return wire.Reloaded{
		Enabled: list(r.Added), Updated: list(r.Changed), Disabled: list(r.Removed), Failed: []wire.FieldError{}, Unchanged: r.Unchanged,
	}
}

// resultOf is what was measured of a series.
func resultOf(s *result.Series, snap *result.Snapshot) wire.GroupResult {
	s.Snapshot(snap)
	g := wire.GroupResult{
		Group: snap.Labels().Group, Sent: snap.Sent, Lost: snap.Lost, Duplicates: snap.Duplicates, Late: snap.Late, Reordered: snap.Reordered,
		TTLChanges: snap.TTLChanges, Marked: snap.Marked, Causes: map[string]uint64{}, NotSent: map[string]uint64{}, Unknown: map[string]uint64{},
		ICMPErrors: map[string]uint64{},
	}
	addCounts[result.Cause](g.Causes, snap.Causes[:])
	addCounts[result.Reason](g.NotSent, snap.NotSent[:])
	addCounts[result.Doubt](g.Unknown, snap.Unknown[:])
	for _, e := range snap.ICMPErrors {
		if e.Count > 0 {
			g.ICMPErrors[strconv.Itoa(int(e.Type))+"/"+strconv.Itoa(int(e.Code))] += e.Count
		}
	}
	if snap.Rounds > 0 {
		g.Round = roundOf(snap)
	}
	return g
}

// roundOf is the last whole round of a series.
func roundOf(snap *result.Snapshot) *wire.Round {
	r := &wire.Round{End: snap.RoundEnd, Sent: uint32(snap.RoundSent), Answered: uint32(snap.RoundAnswered), Lost: uint32(snap.RoundLost)}
	if ratio, ok := snap.LossRatio(); ok {
		r.LossRatio = &ratio
	}
	if snap.RoundAnswered > 0 && snap.Max > 0 {
		r.RoundTrip = &wire.RoundTrip{
			Min: snap.Min.Seconds(), Max: snap.Max.Seconds(), Jitter: snap.Jitter.Seconds(), Uncertain: snap.Uncertain, Percentiles: map[string]float64{},
		}
		for i, p := range snap.Percentiles() {
			if trip := snap.RoundTrips[i]; trip != result.Unpublished {
				r.RoundTrip.Percentiles[strconv.Itoa(p)] = trip.Seconds()
			}
		}
	}
	return r
}

// describeTarget is what is said of a target beside its figures.
func (a asked) describeTarget(cfg *config.Config, i int, m *metrics.Target) wire.Target {
	c := &cfg.Targets[i]
	t := wire.Target{
		Name: c.Name, Type: c.Type, Destination: c.Destination, Family: c.Family, DstPort: c.DstPort, State: c.State, AlertLevel: c.AlertLevel,
		Source: cfg.Source(i), ThresholdLossPercent: c.ThresholdLoss, ThresholdLatencySeconds: c.ThresholdLatency, Groups: []wire.GroupResult{},
	}
	if m != nil {
		t.Address = m.Address
	}
	if st := a.steered.Load(); st != nil {
		one, paused := st.paused[c.Name]
		if t.Paused = paused; paused && !one.resumes.IsZero() {
			t.Resumes = &one.resumes
		}
		if t.Source == "api" {
			t.Owner = st.owners[c.Name]
			if at, ends := st.expires[c.Name]; ends {
				t.Expires = &at
			}
		}
	}
	if len(c.Labels) > 0 {
		t.Labels = map[string]string{}
		for _, l := range c.Labels {
			t.Labels[l.Name] = l.Value
		}
	}
	return t
}

// mostPaths is how many paths of a target are told: a prefix has one for each
// address and source port.
const mostPaths = 1000

// Target is part of api.Backend.
func (a asked) Target(name string) (wire.TargetDetail, bool) {
	cfg, shown := a.current.Load(), a.names.shown()
	i := slices.IndexFunc(cfg.Targets, func(t config.Target) bool { return t.Name == name })
	if i < 0 {
		return wire.TargetDetail{}, false
	}
	d := wire.TargetDetail{Target: a.describeTarget(cfg, i, at(shown, i, name)), Paths: []wire.Path{}}
	var snap result.Snapshot
	for _, s := range a.series.byName(a.store.Series())[name] {
		d.Groups = append(d.Groups, resultOf(s, &snap))
	}
	a.shownMu.RLock()
	defer a.shownMu.RUnlock()
	for _, port := range a.ports {
		if port.engine == nil || a.closed {
			continue
		}
		paths, total := port.engine.Paths(name, mostPaths)
		if paths != nil {
			d.Interface = port.name
		}
		d.PathsTotal += total
		for _, p := range paths {
			d.Paths = append(d.Paths, pathOf(p))
		}
	}
	return d, true
}

// at returns what describes the target with index i, which has this name, unless
// the two are of different configurations.
func at(shown []*metrics.Target, i int, name string) *metrics.Target {
	if i < len(shown) && shown[i].Destination == name {
		return shown[i]
	}
	return nil
}
