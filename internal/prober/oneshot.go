// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// probes are what is probed once at the moment. Control's goroutine uses them.
type probes struct {
	pps    map[*oneshot.Layout]float64
	cursor int // in the source ports that are nobody's
}

// probeOnce probes what a request names, once, beside all else and under the same caps, and
// tells emit what comes of it, from one goroutine; the last event is of kind "done".
// An end of ctx ends it early: what is known by then is summed up. Nothing of it is in the
// metrics. What is wrong with the request comes as an *api.Problem before any event.
// Any goroutine may call it but control's.
func (p *prober) probeOnce(ctx context.Context, in api.ProbeRequest, emit func(api.ProbeEvent)) error {
	req, problem := oneshot.Check(in)
	if problem != nil {
		return problem
	}
	named, unknown := p.lookUp(ctx, req)
	l := req.Lay(named)
	var ports ports
	var foreign bool
	err := p.do(ctx, func() (err error) {
		ports, foreign = slices.Clone(p.ports), p.cfg.Safety.ForeignSource
		return p.admit(req, l)
	})
	if err != nil {
		return err
	}
	defer p.do(p.life, func() error { delete(p.probes.pps, l); return nil })
	r := oneshot.NewReport(req, l, emit)
	for target, err := range unknown {
		r.NotFound(target, err)
	}
	r.Begin()
	defer r.End()
	s := sweep{prober: p, layout: l, report: r, ports: ports, foreign: foreign}
	return s.run(ctx)
}

// lookUp resolves the names of a request, in turn.
func (p *prober) lookUp(ctx context.Context, req *oneshot.Request) (named map[int]netip.Addr, unknown map[int]error) {
	named, unknown = map[int]netip.Addr{}, map[int]error{}
	resolver := resolve.New(p.Log, nil)
	for i := range req.Targets {
		host, family, ok := req.Name(i)
		if !ok {
			continue
		}
		families := []string{family}
		if family == "" {
			families = []string{"ipv4", "ipv6"}
		}
		for _, family := range families {
			a, err := resolver.Lookup(ctx, host, family)
			if err == nil {
				named[i] = a
				delete(unknown, i)
				break
			}
			if unknown[i] == nil {
				unknown[i] = err
			}
		}
	}
	return named, unknown
}

// tooMuch is a Problem with what a request asks for beyond what is allowed.
func tooMuch(field, format string, args ...any) *api.Problem {
	return server.NewProblem(http.StatusUnprocessableEntity, "the request is not carried out", api.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// admit judges a request against refused ranges and what the caps leave, and lays out its
// time. Only the goroutine of control calls it.
func (p *prober) admit(req *oneshot.Request, l *oneshot.Layout) error {
	safety := p.cfg.Safety
	for i, a := range l.Addrs {
		if err := plan.CheckAddr(safety, a); err != nil {
			return tooMuch(fmt.Sprintf("/targets/%d/destination", l.Of[i]), "%v", err)
		}
	}
	if p.probes.pps == nil {
		p.probes.pps = map[*oneshot.Layout]float64{}
	}
	spare, busy := float64(safety.MaxPPS)-p.plan.PPS, p.plan.PPS
	for _, pps := range p.probes.pps {
		spare -= pps
		busy += pps
	}
	if spare < 1 {
		return tooMuch("/rate", "safety.max_pps is %d, and %.0f probes/s are sent already: nothing is left; raise it, or wait", safety.MaxPPS, math.Ceil(busy))
	}
	// The share of each /24 or /48 decides what all may have.
	blocks := l.Blocks()
	into := plan.PPSInto(p.plan, blocks)
	for other, pps := range p.probes.pps {
		for block, n := range other.Blocks() {
			if _, shared := blocks[block]; shared {
				into[block] += pps * float64(n) / float64(len(other.Addrs))
			}
		}
	}
	most, tightest := math.Inf(1), netip.Prefix{}
	for block, n := range blocks {
		if m := (float64(safety.MaxPrefixPPS) - into[block]) * float64(len(l.Addrs)) / float64(n); m < most {
			most, tightest = m, block
		}
	}
	if asked := l.Demand(); asked > spare*(1+1e-9) {
		return tooMuch("/rate", "%.0f probes/s are asked for; safety.max_pps is %d, and %.0f of them are sent already: at most %.0f; lower the rate, or take a longer interval", asked, safety.MaxPPS, math.Ceil(busy), math.Floor(spare))
	} else if asked > most*(1+1e-9) || most < 1 {
		return tooMuch("/rate", "%.0f probes/s are asked for; safety.max_prefix_pps is %d, and %.0f of them are sent into %s already: at most %.0f for all of these targets; lower the rate, or take a longer interval", asked, safety.MaxPrefixPPS, math.Ceil(into[tightest]), tightest, math.Floor(most))
	}
	rate := min(spare, most)
	if asked := l.Demand(); asked > 0 {
		rate = min(rate, asked)
	}
	if len(l.Addrs) == 0 {
		rate = 1
	}
	l.Pace(rate, p.sourcePorts)
	p.probes.pps[l] = l.Rate
	return nil
}

// What source ports are taken of, where a request names none: most hosts give none
// of them to connections of their own (net.ipv4.ip_local_port_range).
const firstOnce, lastOnce = 61000, 65535

// sourcePorts returns n that no group of the configuration uses and that were not
// given last.
func (p *prober) sourcePorts(n int) []uint16 {
	var free []uint16
	for port := firstOnce; port <= lastOnce; port++ {
		used := false
		for _, g := range p.cfg.Groups {
			used = used || uint16(port) >= g.SrcPortA && uint16(port) <= g.SrcPortZ
		}
		if !used {
			free = append(free, uint16(port))
		}
	}
	var taken []uint16
	for range min(n, len(free)) {
		taken = append(taken, free[p.probes.cursor%len(free)])
		p.probes.cursor++
	}
	return taken
}

// sweep carries a layout out, chunk after chunk. The goroutine of probeOnce uses it.
type sweep struct {
	*prober
	layout  *oneshot.Layout
	report  *oneshot.Report
	ports   ports
	foreign bool
}

// chunk is a part of it that is under way.
type chunk struct {
	watches map[*engine.Watch][]*oneshot.Piece
	pieces  map[*plan.Target]*oneshot.Piece
	left    uint64 // probes that are not accounted for
	made    time.Time
	ends    time.Time // when the last one leaves; zero: it has not begun
	heard   time.Time
	longest time.Duration // timeout
	err     error
}

const (
	// mostHeld bounds the paths that engines hold for this, those included that
	// were probed a moment ago.
	mostHeld = 1 << 19
	// wake is how long a worker may take to hear of what begins.
	wake = 60 * time.Millisecond
	// askMost is how long next hops are waited for.
	askMost = 5 * time.Second
	// silence is how long after a timeout nothing must be heard of a probe before it is
	// given up: our own side did not tell.
	silence = 5 * time.Second
)

// run works until all is accounted for, or ctx ends.
func (s *sweep) run(ctx context.Context) error {
	var waiting *chunk // laid out, and to begin next
	var working []*chunk
	var making chan *chunk
	next, free := 0, time.Time{} // when what was begun last has left
	defer func() {
		if making != nil {
			waiting = <-making
		}
		for _, c := range append(working, waiting) {
			if c != nil {
				s.forget(c)
			}
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for next < s.layout.Chunks() || waiting != nil || making != nil || len(working) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case c := <-making:
			if making = nil; c.err != nil {
				return c.err
			}
			waiting = c
		case <-tick.C:
		}
		if making == nil && waiting == nil && next < s.layout.Chunks() && s.held() < mostHeld {
			making = make(chan *chunk, 1)
			go func(n int) { making <- s.make(n) }(next)
			next++
		}
		if c := waiting; c != nil && time.Until(free) < 2*wake && (time.Since(c.made) > askMost || !c.pending()) {
			begin := time.Now().Add(wake)
			if free.After(begin) {
				begin = free
			}
			for w, pieces := range c.watches {
				w.Begin(begin, targets(pieces)...)
			}
			c.ends = begin.Add(s.layout.Lasts(next - 1))
			free, waiting, working = c.ends, nil, append(working, c)
		}
		working = slices.DeleteFunc(working, func(c *chunk) bool {
			s.read(c)
			if c.left == 0 {
				s.settle(c)
			} else if quiet := time.Now(); quiet.After(c.ends.Add(3*c.longest+silence)) && quiet.After(c.heard.Add(3*c.longest+silence)) {
				s.report.Unread(c.left)
				c.left = 0
			}
			if c.left == 0 {
				s.forget(c)
			}
			return c.left == 0
		})
		s.report.Tick()
	}
	return nil
}

func targets(pieces []*oneshot.Piece) []*plan.Target {
	all := make([]*plan.Target, len(pieces))
	for i, p := range pieces {
		all[i] = p.Target
	}
	return all
}

// held is how many paths the busiest engine holds.
func (s *sweep) held() (most int) {
	for _, port := range s.ports {
		most = max(most, port.engine.HeldOnce())
	}
	return most
}

// make lays out a chunk and makes it known to the engines.
func (s *sweep) make(n int) *chunk {
	c := &chunk{watches: map[*engine.Watch][]*oneshot.Piece{}, pieces: map[*plan.Target]*oneshot.Piece{}, made: time.Now()}
	for at, pieces := range s.layout.Chunk(n, s.leavingBy()) {
		probes := 0
		for _, piece := range pieces {
			c.pieces[piece.Target] = piece
			probes += piece.Probes()
			c.longest = max(c.longest, piece.Timeout)
		}
		c.left += uint64(probes)
		w := s.ports[at].engine.Once(min(probes, 1<<16))
		c.watches[w] = pieces
		if err := w.Add(targets(pieces)...); err != nil {
			c.err = fmt.Errorf("interface %s: %w", s.ports[at].name, err)
		}
	}
	if c.err != nil {
		s.forget(c)
	}
	return c
}

// leavingBy says by which of our interfaces an address is reached.
func (s *sweep) leavingBy() func(netip.Addr) int {
	return func(a netip.Addr) int {
		if len(s.ports) == 1 {
			return 0
		}
		port, err := s.ports.leaving(a, netip.Addr{}, s.foreign)
		if err != nil {
			return 0 // its probes are not sent, with the reason
		}
		return max(0, slices.Index(s.ports, port))
	}
}

func (c *chunk) pending() bool {
	for w, pieces := range c.watches {
		if w.Pending(targets(pieces)...) {
			return true
		}
	}
	return false
}

// read takes what happened to a chunk.
func (s *sweep) read(c *chunk) {
	for w := range c.watches {
		w.Read(func(e *engine.Event) {
			c.heard = time.Now()
			if s.report.Event(e, c.pieces[e.Target].Addr[e.Addr]) {
				c.left--
			}
		})
	}
}

// settle waits a little for second answers to the last probes.
func (s *sweep) settle(c *chunk) {
	s.read(c)
	s.read(c)
}

// forget gives back what engines hold for a chunk.
func (s *sweep) forget(c *chunk) {
	for w, pieces := range c.watches {
		if err := w.Forget(targets(pieces)...); err != nil {
			s.Log.Error("cannot give back what was probed once", "error", err)
		}
	}
}
