// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// port is one interface with its XDP program, its sockets and its engine, from
// when it is named until it is given up:
//
//	openPort   finds the interface: it can be asked for routes
//	attach     opens sockets, attaches the program, makes the engine
//	start      probes, and keeps all that where it belongs (tend.go), until ctx ends
//	stop       ends that
//	close      gives everything back
//
// One goroutine calls these in turn, each once; close may follow any of them that
// has returned. While run is at work the engine takes and gives up targets from
// any goroutine. An interface that is deleted and made again stays the same port
// with the same link, program and engine: targets, schedules and counters go on.
type port struct {
	name    string // as it was named, which is what metrics call it, whatever it is called later
	link    *netdev.Link
	routes  *netdev.Routes // while starting
	program *steer.Program
	engine  *engine.Engine
	options socketOptions
	frames  atomic.Int64 // that receive rings are to have: tend opens them anew where they have fewer
	refused atomic.Int64 // so many they could not have

	cancel  context.CancelFunc // once it was started
	running sync.WaitGroup

	mu         sync.Mutex // guards options and what follows, for who reads counters; run's goroutine alone changes it
	attachment steer.Attachment
	sockets    []*xsk.Socket // by receive queue
	dropped    []xsk.Stats   // what sockets that are closed had dropped, by receive queue
}

// openPort finds an interface.
func (p *prober) openPort(ctx context.Context, name string) (*port, error) {
	link, err := netdev.Open(ctx, netdev.Options{Iface: name, NetNS: p.NetNS, Log: p.Log})
	if err != nil {
		return nil, err
	}
	return &port{name: name, link: link}, nil
}

// route asks for the route to dst: of the moment when the start read all of
// them, later the kernel.
func (t *port) route(dst, src netip.Addr, foreign bool) (netdev.Route, error) {
	switch {
	case t.routes != nil && foreign:
		return t.routes.RouteForeign(dst, src)
	case t.routes != nil:
		return t.routes.Route(dst, src)
	case foreign:
		return t.link.RouteForeign(dst, src)
	}
	return t.link.Route(dst, src)
}

// makeCaps makes what keeps all engines under the caps of the configuration.
func (p *prober) makeCaps() {
	p.limiter = engine.NewLimiter(float64(p.cfg.Safety.MaxPPS))
	p.blocks = engine.NewBlocks(float64(p.cfg.Safety.MaxPrefixPPS))
}

// attach opens sockets on all queues, attaches the XDP program and makes the
// engine.
func (t *port) attach(p *prober, c *change) error {
	info, err := t.link.Info()
	if err != nil {
		return err
	}
	if t.program, err = steer.Load(steer.Options{Secret: p.secret, Queues: mostQueues(info)}); err != nil {
		return err
	}
	t.options = socketOptions{mode: c.cfg.Engine.XDPMode, bind: c.cfg.Engine.Bind, rxFrames: rxFrames(c.plan.PPS)}
	t.frames.Store(int64(t.options.rxFrames))
	if err := t.open(p.Log, info); err != nil {
		return err
	}
	t.engine, err = engine.New(engine.Options{
		Link: t.link, Program: t.program, Sockets: t.sockets, MaxFrame: xsk.MaxFrame(t.options.frameSize),
		Secret: p.secret, Store: &p.store, Interval: c.plan.Interval, Tick: c.cfg.Engine.Tick,
		Percentiles: c.plan.Percentiles, Limiter: p.limiter, Blocks: p.blocks, ForeignSource: c.cfg.Safety.ForeignSource, Lists: c.cfg.Safety.Lists, Stopped: &p.stopped,
		Workers: c.cfg.Engine.Workers, Pinning: c.cfg.Engine.Pinning, Histogram: p.histogram, Astray: p.noteAstray, Log: p.Log,
	})
	return err
}

// start lets the port run until ctx ends, or stop is called.
func (t *port) start(ctx context.Context, p *prober) {
	ctx, t.cancel = context.WithCancel(ctx)
	t.running.Go(func() { t.run(ctx, p) })
}

// stop ends what start began, and waits for it.
func (t *port) stop() {
	if t.cancel != nil {
		t.cancel()
	}
	t.running.Wait()
}

// run probes until ctx ends.
func (t *port) run(ctx context.Context, p *prober) {
	var running sync.WaitGroup
	running.Go(func() { t.engine.Run(ctx) })
	running.Go(func() { t.tellState(ctx, &p.hub) })
	t.tend(ctx, p.Log)
	running.Wait()
}

// explain names the interface, and who holds its XDP slot.
func (t *port) explain(err error) error {
	err = fmt.Errorf("interface %s: %w", t.link.Name(), err)
	if !errors.Is(err, steer.ErrTaken) {
		return err
	}
	holder, herr := t.link.XDPHolder()
	if herr != nil || holder == nil {
		return err
	}
	advice := "stop it first"
	if len(holder.Processes) == 0 && !holder.Hidden { // nobody to stop
		kind := "xdp"
		if holder.Mode == "generic" {
			kind = "xdpgeneric"
		}
		advice = fmt.Sprintf("if nobody needs it, take it off: ip link set dev %s %s off", holder.Interface, kind)
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s; %s; it is not replaced", holder, advice))
}

func (t *port) close() error {
	var errs []error
	if t.program != nil {
		errs = append(errs, t.program.Close())
	}
	return errors.Join(append(errs, t.closeSockets(), t.link.Close())...)
}
