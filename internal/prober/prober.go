// SPDX-License-Identifier: Apache-2.0

// Package prober assembles configuration, plan, interfaces, engines and the
// metrics server into the running daemon.
package prober

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/history"
	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/notify"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/push"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Options say what to run.
type Options struct {
	Ifaces   []string       // interfaces to probe through, beside those of engine.interfaces
	NetNS    string         // where they are: name, path, or "" for here
	Config   string         // netprobify's file; "": the one that is found, or none
	Settings string         // our own sections in a file of their own, or ""
	Flags    *pflag.FlagSet // flags that override settings; may be nil
	Version  string
	Revision string

	// Notify tells a service manager; nil: there is none.
	Notify *notify.Notifier

	Log   *slog.Logger
	Level *slog.LevelVar // set from logging_level; may be nil

	// Confine gives up, once all is open, the capabilities that are needed no
	// longer, for the whole process.
	Confine bool

	// Control serves the control API as the section api says, beside what the
	// metrics server has of it.
	Control bool

	// Hangup asks for the configuration to be loaded again. May be nil.
	Hangup <-chan os.Signal

	// Started is called once probes are being sent and figures served. May be
	// nil.
	Started func(Running)
}

// Running is what others may look at while the prober runs.
type Running struct {
	Addr  net.Addr // where the metrics are
	Store *result.Store
	Plan  *plan.Plan // that it started with

	// Reload loads the configuration again and carries it out. On an error
	// nothing has changed; what is wrong with a configuration comes as
	// config.Faults. Any goroutine may call it.
	Reload func(context.Context) (Report, error)

	// Probe probes once what a request names, beside all else, and tells emit what
	// comes of it; Debug tells what happens in the next whole round of a target. What
	// is wrong with what is asked for comes as a *api.Problem. Any goroutine may call
	// them; emit is called from one at a time.
	Probe func(ctx context.Context, r wire.ProbeRequest, emit func(wire.ProbeEvent)) error
	Debug func(ctx context.Context, target string, emit func(wire.ProbeEvent)) error
}

// prober is one run. One goroutine starts it; others only use what is marked.
type prober struct {
	Options
	cfg     *config.Config // that is carried out, as are plan, placed and names; control's goroutine uses them
	base    *config.Config // cfg with the targets that are paused
	secret  packet.Secret
	ports   ports // control changes it under shownMu
	plan    *plan.Plan
	placed  map[string]*port // by target
	store   result.Store
	history *history.History

	limiter *engine.Limiter
	blocks  *engine.Blocks
	probes  probes
	app     metrics.App
	names   names
	said    map[string]bool // notices and warnings that the log has

	current atomic.Pointer[config.Config] // cfg, for others
	tasks   chan func()                   // for control
	ended   chan struct{}                 // closed when control takes no more
	life    context.Context               // ends when probing does

	reloading sync.Mutex     // held while a configuration is loaded and applied
	loaded    string         // fingerprint of the files that were loaded last; reloading guards it
	started   *config.Config // what a restart only takes up is as here

	inventories inventories

	// By the control API; control's goroutine uses the first two.
	added   added
	paused  map[string]pause
	steered atomic.Pointer[steered] // the same, for others
	hub     events

	astray      chan struct{} // there are some in astrayNames; capacity 1
	astrayMu    sync.Mutex
	astrayNames []string // targets whose route went to another interface

	begun      time.Time
	plannedPPS atomic.Pointer[float64] // of plan, for others
	series     seriesIndex
	totals     totals
	asks       *api.Server // of the control API

	page     *metrics.Exposition
	pusher   *push.Pusher
	server   *web.Server
	complete atomic.Bool // the first round of all targets

	shownMu sync.RWMutex // held while a scrape reads counters
	closed  bool         // there are none any more

	stopped    atomic.Bool // nothing is sent
	killMu     sync.Mutex  // guards the next two
	killFile   bool        // safety.kill_file is there
	killCall   bool        // the control API stopped it
	killUnseen bool        // it was said that safety.kill_file cannot be looked for
}

// Run probes until ctx ends, which is success. It opens in an order that leaves
// nothing behind when a step fails: what needs no privilege first, the XDP
// program last.
func Run(ctx context.Context, o Options) (err error) {
	p := newProber(o)
	ended := ctx
	ctx, cancel := context.WithCancel(ctx) // what was begun ends with a start that fails
	defer cancel()
	defer func() { err = errors.Join(err, p.close()) }()
	starting := true
	defer func() {
		if starting {
			err = host.ExplainDescriptors(err)
		}
	}()
	defer func() { // an end while starting is one too
		if ended.Err() != nil && errors.Is(err, ended.Err()) {
			err = nil
		}
	}()

	// A configuration that is there is judged first: that needs no privilege.
	// Without one, the interfaces say what to probe.
	open := func() error { return p.openLinks(ctx) }
	steps := []func() error{p.configure, open}
	if p.byDefault() {
		steps = []func() error{open, p.configure, open}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	p.page = metrics.New(p.exposition())
	p.pusher = push.New(p.page.WriteGzip, p.Log)
	p.resolveNames(ctx)
	first, err := p.prepare(ctx, p.cfg)
	if err != nil {
		return err
	}
	p.adopt(first)
	for _, w := range p.plan.Warnings {
		p.Log.Warn(w.String())
		p.said[w.String()] = true
	}
	if err := p.listen(); err != nil {
		return err
	}
	if err := p.listenControl(); err != nil {
		return err
	}
	p.makeCaps()
	if err := p.ports.attach(p, first); err != nil {
		return err
	}
	if err := p.boundHeap(); err != nil {
		return err
	}
	if err := p.install(first); err != nil {
		return err
	}
	if err := p.confine(); err != nil {
		return err
	}
	starting = false
	return p.work(ctx)
}

func newProber(o Options) *prober {
	return &prober{Options: o, begun: time.Now(), history: history.New(), secret: packet.NewSecret(), astray: make(chan struct{}, 1), tasks: make(chan func()), ended: make(chan struct{})}
}

// work runs everything until ctx ends or the server fails.
func (p *prober) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.Log.Info("probing", "version", p.Version, "interfaces", p.ports.String(), "targets", len(p.plan.Targets), "probes_per_second", p.plan.PPS,
		"interval", p.plan.Interval, "metrics", p.server.URL("/metrics"))
	started := Running{Addr: p.server.Addr(), Store: &p.store, Plan: p.plan, Reload: p.reload, Probe: p.probeOnce, Debug: p.debug}
	p.lookForKillFile() // before anything is sent
	var running sync.WaitGroup
	running.Go(func() { p.obeyKillFile(ctx) })
	p.life = ctx
	for _, port := range p.ports {
		port.start(ctx, p)
	}
	p.inventories.ctx = ctx
	p.inventories.follow(p)
	defer p.inventories.running.Wait()
	running.Go(func() { p.control(ctx) })
	running.Go(func() { p.watchReloads(ctx) })
	running.Go(func() { p.watchLifetimes(ctx) })
	running.Go(func() { p.watchIteration(ctx) })
	running.Go(func() { p.keepHistory(ctx) })
	running.Go(func() { p.watchRounds(ctx) })
	running.Go(func() { p.pusher.Run(ctx) })
	running.Go(func() { p.watchLimits(ctx) })
	running.Go(func() { p.Notify.Watch(ctx, p.healthy) })
	running.Go(func() {
		<-ctx.Done()
		p.Log.Info("probing ends")
		p.Notify.Stopping()
	})
	p.Notify.Ready(p.status())
	if p.Started != nil {
		p.Started(started)
	}
	running.Go(func() {
		if err := p.asks.Serve(ctx); err != nil {
			p.Log.Error("the control API ends before the program", "error", err)
		}
	})
	err := p.server.Serve(ctx)
	cancel()
	running.Wait()
	for _, port := range p.ports {
		port.stop()
	}
	return err
}

func (p *prober) close() error {
	p.shownMu.Lock()
	p.closed = true // a scrape that comes late must not look into closed sockets
	p.shownMu.Unlock()
	var errs []error
	if p.server != nil {
		errs = append(errs, p.server.Close())
	}
	if p.asks != nil {
		errs = append(errs, p.asks.Close())
	}
	return errors.Join(append(errs, p.ports.close())...)
}
