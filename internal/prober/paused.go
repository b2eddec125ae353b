// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"maps"
	"time"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// pause is of a target that is not probed for now, by the control API.
type pause struct {
	owner   string
	resumes time.Time // zero: when it is resumed
}

// steered is what the control API did to targets, for those who list them.
// Immutable.
type steered struct {
	owners  map[string]string    // of targets that were added
	expires map[string]time.Time // of those that go by themselves
	paused  map[string]pause
}

// showSteered makes what was done known to others. Only control's goroutine calls
// it.
func (p *prober) showSteered() {
	s := &steered{owners: make(map[string]string, len(p.added)), expires: map[string]time.Time{}, paused: maps.Clone(p.paused)}
	for name, one := range p.added {
		s.owners[name] = one.owner
		if !one.expires.IsZero() {
			s.expires[name] = one.expires
		}
	}
	p.steered.Store(s)
}

// pausedNames are those of targets that are not probed for now. Only control's
// goroutine calls it.
func (p *prober) pausedNames() map[string]bool {
	if len(p.paused) == 0 {
		return nil
	}
	names := make(map[string]bool, len(p.paused))
	for name := range p.paused {
		names[name] = true
	}
	return names
}

// pauseTarget keeps a target from being probed until it is resumed, or its time is
// over. Any goroutine may call it but control's.
func (p *prober) pauseTarget(ctx context.Context, name string, req api.Pause) error {
	resumes, err := lifetime(req.Owner, req.LifetimeSeconds)
	if err != nil {
		return err
	}
	return p.do(ctx, func() error {
		if _, known := p.sources()[name]; !known {
			return server.NoTarget("name", name)
		}
		before := p.paused
		p.paused = maps.Clone(before)
		if p.paused == nil {
			p.paused = map[string]pause{}
		}
		p.paused[name] = pause{owner: req.Owner, resumes: resumes}
		if _, again := before[name]; !again {
			if _, err := p.apply(p.base, false); err != nil {
				p.paused = before
				return err
			}
			p.Log.Info("target paused by the control API", "target", name, "owner", req.Owner)
		}
		p.showSteered()
		return nil
	})
}

// resumeTarget lets a target be probed again. Any goroutine may call it but
// control's.
func (p *prober) resumeTarget(ctx context.Context, name string) error {
	return p.do(ctx, func() error {
		if _, known := p.sources()[name]; !known {
			return server.NoTarget("name", name)
		}
		if _, paused := p.paused[name]; !paused {
			return nil
		}
		return p.resume(name)
	})
}

// resume lets targets be probed again. Only control's goroutine calls it.
func (p *prober) resume(names ...string) error {
	before := p.paused
	p.paused = maps.Clone(before)
	for _, name := range names {
		delete(p.paused, name)
	}
	if _, err := p.apply(p.base, false); err != nil {
		p.paused = before
		return err
	}
	p.showSteered()
	for _, name := range names {
		p.Log.Info("target is probed again", "target", name)
	}
	return nil
}

// pausesOver are the names of those whose pause is over.
func (s *steered) pausesOver(now time.Time) (names []string) {
	if s == nil {
		return nil
	}
	for name, one := range s.paused {
		if !one.resumes.IsZero() && !one.resumes.After(now) {
			names = append(names, name)
		}
	}
	return names
}

// probed are the targets that the metrics describe: paused ones have no series.
func (p *prober) probed() []*metrics.Target {
	all, s := p.names.shown(), p.steered.Load()
	if s == nil || len(s.paused) == 0 {
		return all
	}
	kept := make([]*metrics.Target, 0, len(all))
	for _, t := range all {
		if _, paused := s.paused[t.Destination]; !paused {
			kept = append(kept, t)
		}
	}
	return kept
}
