// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
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
