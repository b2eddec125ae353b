// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"net/http"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// problem is one that is no field's.
func problem(status int, format string, args ...any) *api.Problem {
	return server.NewProblem(status, fmt.Sprintf(format, args...))
}

// readEvery is how often it is looked what happened.
const readEvery = 5 * time.Millisecond

// debug tells emit what happens in the next whole round of a target: what is sent, what comes
// back, and why it counts so. Emit must not block for long: what it keeps from being read is
// missed. Any goroutine may call it but control's.
func (p *prober) debug(ctx context.Context, name string, emit func(api.ProbeEvent)) error {
	var at *port
	var target *plan.Target
	err := p.do(ctx, func() error {
		for _, t := range p.plan.Targets {
			if t.Name == name {
				at, target = p.placed[name], t
				return nil
			}
		}
		if _, known := p.sources()[name]; !known {
			return server.NoTarget("name", name)
		}
		return problem(http.StatusConflict, "the target %q is paused, or cannot be probed at the moment, so nothing is sent", name)
	})
	switch {
	case err != nil:
		return err
	case target.Probes() == 0:
		return problem(http.StatusConflict, "target %q has no address at the moment, so nothing is sent", name)
	}
	w := at.engine.WatchOne(name)
	if w == nil {
		return problem(http.StatusConflict, "target %q is watched by somebody else; try again in a moment", name)
	}
	defer w.Close()
	emit(api.ProbeEvent{Kind: api.ProbeBegun, Time: time.Now(), Address: target.Addrs[0].String(), Planned: uint64(target.Probes())})
	d := debugLog{target: target, emit: emit}
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	give := time.NewTimer(3*p.current.Load().Global.Interval + 2*target.Timeout + 10*time.Second)
	defer give.Stop()
	for d.counted < target.Probes() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-give.C:
			emit(api.ProbeEvent{Kind: api.ProbeFailed, Time: time.Now(), Problem: problem(http.StatusGatewayTimeout, "target %q had no whole round in time; was it removed?", name)})
			return nil
		case <-tick.C:
		}
		w.Read(d.event)
	}
	if missed := w.Missed(); missed > 0 {
		emit(api.ProbeEvent{Kind: api.ProbeMissed, Time: time.Now(), Done: missed})
	}
	emit(api.ProbeEvent{Kind: api.ProbeDone, Time: time.Now(), Done: uint64(d.counted), Planned: uint64(target.Probes())})
	return nil
}

// debugLog finds the first whole round in what happens.
type debugLog struct {
	target  *plan.Target
	emit    func(api.ProbeEvent)
	begun   bool
	round   uint32
	counted int
}

func (d *debugLog) event(e *engine.Event) {
	first := e.Group == 0 && e.Packet == 0 && e.Addr == 0
	if !d.begun && first && (e.Kind == engine.Sent || e.Sent.IsZero()) && e.Kind != engine.Duplicate && e.Kind != engine.Late {
		d.begun, d.round = true, e.Round
	}
	beside := e.Kind == engine.Duplicate || e.Kind == engine.Late // of which round is not known
	if !d.begun || !beside && e.Round != d.round || d.counted == d.target.Probes() {
		return
	}
	if !beside && e.Kind != engine.Sent {
		d.counted++
	}
	out := oneshot.Describe(e)
	out.Group, out.Why = d.target.Groups[e.Group].Name, oneshot.Why(e)
	d.emit(out)
}
