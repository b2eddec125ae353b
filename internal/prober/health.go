// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"errors"
	"fmt"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
)

// stalledFor is how long a worker may miss its tick before the prober is not
// healthy. Workers come round every 50 ms at least.
const stalledFor = 2 * time.Second

// healthy returns nil while every worker makes its tick. Any goroutine may call
// it.
func (p *prober) healthy() error {
	p.shownMu.RLock()
	defer p.shownMu.RUnlock()
	if p.closed {
		return errors.New("stopping")
	}
	for _, t := range p.ports {
		if t.engine == nil {
			continue
		}
		if stalled := t.engine.Stats().Stalled; stalled > stalledFor {
			return fmt.Errorf("a worker of interface %s has not made its tick for %v; the machine is overloaded, or the process was stopped", t.name, stalled.Round(100*time.Millisecond))
		}
	}
	return nil
}

// ready returns nil once every interface is attached and the first round of all
// targets is complete, but of those that have no address to probe: they have no
// round, and the others are measured all the same. From then on it stays so. Any
// goroutine may call it.
func (p *prober) ready() error {
	if p.complete.Load() {
		return nil
	}
	p.shownMu.RLock()
	defer p.shownMu.RUnlock()
	for _, t := range p.ports {
		if t.engine == nil {
			return fmt.Errorf("interface %s is not attached yet", t.name)
		}
	}
	nowhere := map[string]bool{}
	for _, t := range p.names.shown() {
		if t.Resolution != metrics.ResolutionPending && t.Address == "" {
			nowhere[t.Destination] = true
		}
	}
	var waiting int
	all := p.store.Series()
	for _, s := range all {
		if s.Rounds() == 0 && !nowhere[s.Labels().Destination] {
			waiting++
		}
	}
	if waiting > 0 {
		return fmt.Errorf("the first round of %d of %d series is not complete", waiting, len(all))
	}
	p.complete.Store(true)
	return nil
}

// status is what a service manager shows. Any goroutine may call it.
func (p *prober) status() string {
	cfg := p.current.Load()
	p.shownMu.RLock()
	status := fmt.Sprintf("probing %d targets every %v through %s", len(cfg.Targets), cfg.Global.Interval, p.ports)
	p.shownMu.RUnlock()
	if p.app.ReloadFailed.Load() {
		status += "; the last reload failed"
	}
	return status
}
