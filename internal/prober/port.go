// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// port is one interface with its XDP program, its sockets and its engine. The
// goroutine that starts the prober fills it in; shown only reads it.
type port struct {
	link       *netdev.Link
	routes     *netdev.Routes // while starting
	program    *steer.Program
	attachment steer.Attachment
	sockets    []*xsk.Socket
	engine     *engine.Engine
}

// openLinks finds the interfaces.
func (p *prober) openLinks(ctx context.Context) error {
	if len(p.Ifaces) == 0 {
		return exitcode.With(exitcode.Usage, errors.New("no interface named; give one with --iface NAME"))
	}
	facts, err := host.Read()
	if err == nil {
		var more []string
		if p.NetNS != "" {
			more = []string{"CAP_SYS_ADMIN"} // to enter it
		}
		err = facts.Require(more...)
	}
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, name := range p.Ifaces {
		if seen[name] {
			return exitcode.With(exitcode.Usage, fmt.Errorf("--iface %s is given twice", name))
		}
		seen[name] = true
		link, err := netdev.Open(ctx, netdev.Options{Iface: name, NetNS: p.NetNS, Log: p.Log})
		if err != nil {
			return err
		}
		p.ports = append(p.ports, &port{link: link})
	}
	return nil
}

// ifaces names the interfaces, for messages.
func (p *prober) ifaces() string { return strings.Join(p.Ifaces, ", ") }

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

const (
	// ringSpan is how much of the planned rate the receive rings hold.
	ringSpan = 0.25 // s
	minRing  = 2048 // frames
	maxRing  = 65536
	txFrames = 1024
)

// attach opens sockets on all queues, attaches the XDP program and makes the
// engine.
func (t *port) attach(p *prober, limiter *engine.Limiter) error {
	info, err := t.link.Info()
	if err != nil {
		return err
	}
	if t.program, err = steer.Load(steer.Options{Secret: p.secret, Queues: max(receiveQueues(info), info.Queues.MaxRX+info.Queues.MaxCombined)}); err != nil {
		return err
	}
	frame := 2048
	if xsk.MaxFrame(frame) < t.link.MTU()+ethernetOverhead {
		frame = 4096
	}
	rx := minRing
	for float64(rx) < ringSpan*p.plan.PPS && rx < maxRing {
		rx *= 2
	}
	err = t.link.Do(func() error {
		if t.attachment, err = t.program.Attach(t.link.Index(), p.cfg.Engine.XDPMode); err != nil {
			return err
		}
		for q := range receiveQueues(info) {
			s, err := xsk.Open(xsk.Options{Ifindex: t.link.Index(), Queue: q, RxFrames: rx, TxFrames: txFrames, FrameSize: frame, Bind: p.cfg.Engine.Bind})
			if err != nil {
				return err
			}
			t.sockets = append(t.sockets, s)
			if err := t.program.Register(q, s.FD()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return t.explain(err)
	}
	p.Log.Info("attached", "interface", t.link.Name(), "xdp", t.attachment.Mode, "bind", t.bind(), "queues", len(t.sockets), "driver", info.Driver)
	if t.attachment.Refusal != "" {
		p.Log.Warn("the driver refused native XDP; generic mode costs more and stamps later", "interface", t.link.Name(), "refusal", t.attachment.Refusal)
	}
	t.engine, err = engine.New(engine.Options{
		Link: t.link, Program: t.program, Sockets: t.sockets, MaxFrame: xsk.MaxFrame(frame),
		Secret: p.secret, Store: &p.store, Interval: p.plan.Interval, Tick: p.cfg.Engine.Tick,
		Percentiles: p.plan.Percentiles, Limiter: limiter, ForeignSource: p.cfg.Safety.ForeignSource,
		Workers: p.cfg.Engine.Workers, Pinning: p.cfg.Engine.Pinning, Histogram: p.histogram, Astray: p.noteAstray, Log: p.Log,
	})
	return err
}

// receiveQueues is how many queues replies can arrive on.
func receiveQueues(i netdev.Info) int { return max(1, i.Queues.RX+i.Queues.Combined) }

// ethernetOverhead is the header with two VLAN tags, in bytes.
const ethernetOverhead = 14 + 8

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
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s; stop it first: it is not replaced", holder))
}

// bind is how the sockets are bound: "copy" or "zerocopy".
func (t *port) bind() string {
	if len(t.sockets) > 0 && t.sockets[0].ZeroCopy() {
		return "zerocopy"
	}
	return "copy"
}

func (t *port) close() error {
	var errs []error
	if t.program != nil {
		errs = append(errs, t.program.Close())
	}
	for _, s := range t.sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, t.link.Close())...)
}
