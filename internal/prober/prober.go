// SPDX-License-Identifier: Apache-2.0

// Package prober assembles configuration, plan, interfaces, engines and the
// metrics server into the running daemon.
package prober

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// Options say what to run.
type Options struct {
	Ifaces   []string       // interfaces to probe through, at least one
	NetNS    string         // where they are: name, path, or "" for here
	Config   string         // netprobify's file; "": the one that is found, or none
	Settings string         // our own sections in a file of their own, or ""
	Flags    *pflag.FlagSet // flags that override settings; may be nil
	Version  string
	Revision string

	Log   *slog.Logger
	Level *slog.LevelVar // set from logging_level; may be nil

	// Started is called once probes are being sent and figures served. May be
	// nil.
	Started func(Running)
}

// Running is what others may look at while the prober runs.
type Running struct {
	Addr  net.Addr // where the metrics are
	Store *result.Store
	Plan  *plan.Plan
}

// prober is one run. One goroutine starts it; others only use what is marked.
type prober struct {
	Options
	cfg    *config.Config
	secret packet.Secret
	ports  []*port
	plan   *plan.Plan
	placed map[string]*port // by target
	store  result.Store
	app    metrics.App
	names  names

	astray      chan struct{} // there are some in astrayNames; capacity 1
	astrayMu    sync.Mutex
	astrayNames []string // targets whose route went to another interface

	shownMu sync.RWMutex // held while a scrape reads counters
	closed  bool         // there are none any more
}

// Run probes until ctx ends, which is success. It opens in an order that leaves
// nothing behind when a step fails: what needs no privilege first, the XDP
// program last.
func Run(ctx context.Context, o Options) (err error) {
	p := &prober{Options: o, secret: packet.NewSecret(), astray: make(chan struct{}, 1)}
	defer func() { err = errors.Join(err, p.close()) }()
	defer func() { // an end while starting is one too
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil
		}
	}()

	// A configuration that is there is judged first: that needs no privilege.
	// Without one, the interfaces say what to probe.
	steps := []func() error{p.configure, func() error { return p.openLinks(ctx) }}
	if p.Config == "" && config.Search() == "" {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	if err := p.makePlan(ctx); err != nil {
		return err
	}
	server, err := p.listen()
	if err != nil {
		return err
	}
	if err := p.place(); err != nil {
		return err
	}
	for _, port := range p.ports {
		port.routes = nil // from now on routes may change
	}
	limiter := engine.NewLimiter(float64(p.cfg.Safety.MaxPPS))
	for _, port := range p.ports {
		if err := port.attach(p, limiter); err != nil {
			return err
		}
	}
	targets := map[*port][]*plan.Target{}
	for _, t := range p.plan.Targets {
		targets[p.placed[t.Name]] = append(targets[p.placed[t.Name]], t)
	}
	for port, plans := range targets {
		if err := port.engine.Add(plans...); err != nil {
			return err
		}
	}
	return p.work(ctx, server)
}

// configure reads the configuration, or makes one of the gateways and
// resolvers.
func (p *prober) configure() error {
	o := config.Options{File: p.Config, Settings: p.Settings, Env: os.Environ(), Flags: p.Flags}
	var err error
	if o.File == "" && config.Search() == "" {
		p.cfg, err = p.defaults(o)
	} else {
		p.cfg, err = config.Load(o)
	}
	if err != nil {
		return err
	}
	if err := p.pinnable(); err != nil {
		return err
	}
	if p.Level != nil {
		p.Level.Set(levels[p.cfg.Global.LoggingLevel])
	}
	for _, n := range p.cfg.Notices {
		p.Log.Info(n)
	}
	for _, w := range p.cfg.Warnings {
		p.Log.Warn(w.String())
	}
	return nil
}

// levels are netprobify's names for log levels.
var levels = map[string]slog.Level{
	"NOTSET": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
}

// defaults is the configuration without a file: the gateways of the interfaces
// and those upstream resolvers that are reached through them.
func (p *prober) defaults(o config.Options) (*config.Config, error) {
	d := config.Defaults{Options: o}
	var err error
	if d.Hostname, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the host name: %w", err)
	}
	for _, port := range p.ports {
		gateways, err := port.link.Gateways()
		if err != nil {
			return nil, err
		}
		d.Gateways = append(d.Gateways, gateways...)
	}
	resolvers, err := resolve.Upstream()
	if err != nil {
		p.Log.Warn("cannot find the system's resolvers; they are not pinged", "error", err)
	}
	for _, r := range resolvers {
		if _, err := p.portFor(r, netip.Addr{}); err != nil {
			p.Log.Info("resolver is not pinged", "address", r, "reason", err)
			continue
		}
		d.Resolvers = append(d.Resolvers, r)
	}
	if len(d.Gateways)+len(d.Resolvers) == 0 {
		return nil, exitcode.With(exitcode.Unavailable, fmt.Errorf("nothing to probe: no configuration, and %s has neither a default gateway nor a resolver behind it; name targets with --config", p.ifaces()))
	}
	return config.Default(d)
}

// makePlan resolves names and plans the probes.
func (p *prober) makePlan(ctx context.Context) (err error) {
	for _, port := range p.ports {
		if port.routes, err = port.link.Routes(); err != nil {
			return err
		}
	}
	p.resolveNames(ctx)
	if p.plan, err = p.build(); err != nil {
		return err
	}
	p.describe()
	for _, w := range p.plan.Warnings {
		p.Log.Warn(w.String())
	}
	return nil
}

// histogram says whether a target's round trips are kept as a histogram.
func (p *prober) histogram(target string) bool {
	names := p.cfg.Metrics.Histograms
	return slices.Contains(names, target) || len(names) == 1 && names[0] == config.AllHistograms
}

// pinnable says whether the CPUs for the workers are there.
func (p *prober) pinnable() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the CPUs of this process: %w", err)
	}
	for _, cpu := range p.cfg.Engine.Pinning {
		if !allowed.IsSet(cpu) {
			return exitcode.With(exitcode.Config, config.Faults{p.cfg.Fault(
				fmt.Sprintf("read CPU %d, which this process may not use", cpu),
				fmt.Sprintf("allowed: the %d CPUs of its affinity mask; see taskset -p", allowed.Count()), "engine", "pinning")})
		}
	}
	return nil
}

// isSelf says whether packets to an address stay on this host.
func (p *prober) isSelf(a netip.Addr) bool {
	_, err := p.ports[0].route(a, netip.Addr{}, false)
	return errors.Is(err, netdev.ErrLocal)
}

// isLocal says whether the kernel calls an address this host's own.
func (p *prober) isLocal(a netip.Addr) bool {
	local, err := p.ports[0].link.IsLocal(a)
	if err != nil {
		p.Log.Warn("cannot ask whether an address is local", "address", a, "error", err)
	}
	return local
}

// portFor returns the interface by which the kernel's route to dst leaves.
func (p *prober) portFor(dst, src netip.Addr) (*port, error) {
	var last error
	for _, port := range p.ports {
		_, err := port.route(dst, src, p.cfg != nil && p.cfg.Safety.ForeignSource)
		if err == nil {
			return port, nil
		}
		last = err
		if !errors.As(err, new(*netdev.OtherInterfaceError)) {
			break // no other interface has a better answer: the kernel has one table
		}
	}
	return nil, last
}

// place decides by which interface each target is probed. A route that leaves
// by an interface we do not hold is a fault of the configuration; a missing
// one is not: it may come back.
func (p *prober) place() error {
	p.placed = make(map[string]*port, len(p.plan.Targets))
	var faults config.Faults
	var unreachable error
	reachable := 0
	for _, t := range p.plan.Targets {
		port, err := p.portOf(t)
		var other *netdev.OtherInterfaceError
		switch {
		case errors.As(err, &other):
			faults = append(faults, p.cfg.Fault(
				fmt.Sprintf("the route to %s leaves by interface %s", t.Addrs[0], other.Name),
				fmt.Sprintf("allowed: targets behind %s; add --iface %s, or remove the target", p.ifaces(), other.Name),
				"targets", t.Name, "destination"))
			continue
		case err != nil:
			unreachable = fmt.Errorf("target %s: %w", t.Name, err)
			port = p.ports[0]
		case len(t.Addrs) > 0:
			reachable++
		}
		p.placed[t.Name] = port
	}
	switch {
	case len(faults) > 0:
		return exitcode.With(exitcode.Config, faults)
	case reachable == 0 && unreachable != nil:
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("no target can be reached: %w; add a route, or probe through another interface", unreachable))
	}
	return nil
}

// portOf returns the interface of a target's first address; all of them when
// it has few, because a subnet may lie across several.
func (p *prober) portOf(t *plan.Target) (*port, error) {
	var at *port
	for i, a := range t.Addrs {
		if i > 256 {
			break
		}
		for g := range t.Groups {
			got, err := p.portFor(a, t.Groups[g].Sources[0].Addr)
			if err != nil {
				return nil, err
			}
			if at != nil && got != at {
				return nil, &netdev.OtherInterfaceError{Name: got.link.Name()}
			}
			at = got
		}
	}
	if at == nil {
		at = p.ports[0]
	}
	return at, nil
}

// listen takes the address of the metrics.
func (p *prober) listen() (*metrics.Server, error) {
	server := metrics.NewServer(metrics.New(p.exposition()), metrics.CredentialsFromEnv(), p.Log)
	g := p.cfg.Global
	return server, server.Listen(net.JoinHostPort(g.PrometheusAddress, strconv.Itoa(g.PrometheusPort)))
}

// work runs everything until ctx ends or the server fails.
func (p *prober) work(ctx context.Context, server *metrics.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.Log.Info("probing", "interfaces", p.ifaces(), "targets", len(p.plan.Targets), "probes_per_second", p.plan.PPS,
		"interval", p.plan.Interval, "metrics", "http://"+server.Addr().String()+"/metrics")
	started := Running{Addr: server.Addr(), Store: &p.store, Plan: p.plan}
	var running sync.WaitGroup
	for _, port := range p.ports {
		running.Go(func() { port.engine.Run(ctx) })
	}
	running.Go(func() { p.follow(ctx) })
	running.Go(func() { p.watchIteration(ctx) })
	if p.Started != nil {
		p.Started(started)
	}
	err := server.Serve(ctx)
	cancel()
	running.Wait()
	return err
}

// watchIteration keeps app_iteration_time_seconds: how long a round takes
// beyond its planned span is how late its probes leave.
func (p *prober) watchIteration(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			var late time.Duration
			for _, port := range p.ports {
				late = max(late, port.engine.Stats().Lag)
			}
			p.app.SetIterationTime(late)
		}
	}
}

func (p *prober) close() error {
	p.shownMu.Lock()
	p.closed = true // a scrape that comes late must not look into closed sockets
	p.shownMu.Unlock()
	var errs []error
	for _, port := range p.ports {
		errs = append(errs, port.close())
	}
	return errors.Join(errs...)
}
