// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"time"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// keepHistory takes up what was published, twice a round, until ctx ends.
func (p *prober) keepHistory(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.history.Every()):
			p.history.Read(p.store.Series(), time.Now())
		}
	}
}

// History is part of api.Backend. A target of which nothing was kept yet has an
// empty one.
func (a asked) History(target, group string, step time.Duration) (wire.History, bool) {
	if past, ok := a.history.Of(target, group, step); ok {
		return past, true
	}
	found, ok := a.Target(target)
	if !ok {
		return wire.History{}, false
	}
	past := wire.History{Target: target, Group: group, Points: []wire.Point{}}
	for _, g := range found.Groups {
		if group == "" || g.Group == group {
			past.Group = g.Group
			return past, true
		}
	}
	return past, group == ""
}
