// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
)

// exposition says where the metrics find what they show.
func (p *prober) exposition() metrics.Options {
	return metrics.Options{
		Store:       &p.store,
		ProbeName:   func() string { return p.current.Load().Global.ProbeName },
		Version:     p.Version,
		Revision:    p.Revision,
		App:         &p.app,
		Targets:     p.probed,
		Links:       p.links,
		Push:        func() metrics.Push { return metrics.Push(p.pusher.Stats()) },
		MaxSeries:   func() int { return p.current.Load().Metrics.MaxSeries },
		Log:         p.Log,
		Inventories: p.shownInventories,
	}
}

// links reads what the XDP programs and sockets counted, for one scrape.
func (p *prober) links() []metrics.Link {
	p.shownMu.RLock()
	defer p.shownMu.RUnlock()
	if p.closed {
		return nil
	}
	var all []metrics.Link
	for _, t := range p.ports {
		if t.engine == nil {
			continue
		}
		l := metrics.Link{Interface: t.name, ReceiveClock: steer.ReceiveClock}
		st := t.engine.Stats()
		l.ScheduleLag, l.Foreign, l.ClockFaults = st.Lag, st.Foreign, st.ClockFaults
		t.mu.Lock()
		l.Mode, l.Bind = t.attachment.Mode, t.bind()
		drops, err := t.drops()
		t.mu.Unlock()
		if err != nil {
			p.Log.Warn("cannot read the sockets' counters", "interface", l.Interface, "error", err)
		}
		counted, err := t.program.Counters() // of as many queues at least
		if err != nil {
			p.Log.Warn("cannot read the XDP program's counters", "interface", l.Interface, "error", err)
			continue
		}
		for q, st := range drops {
			l.Queues = append(l.Queues, metrics.Queue{
				ID: q, Steered: counted.Queues[q].Steered, Passed: counted.Queues[q].Passed,
				RxRingFull: st.RxRingFull, FillRingEmpty: st.FillRingEmpty,
			})
		}
		for v, n := range counted.Verdicts {
			if v := packet.Verdict(v); n > 0 && !v.Steered() {
				l.PassedReasons = append(l.PassedReasons, metrics.ReasonCount{Reason: v.String(), Count: n})
			}
		}
		all = append(all, l)
	}
	return all
}
