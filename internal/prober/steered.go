// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// AddTargets is part of api.Backend.
func (a asked) AddTargets(ctx context.Context, req wire.AddTargets) (wire.Reloaded, error) {
	return a.addTargets(ctx, req)
}

// RemoveTarget is part of api.Backend.
func (a asked) RemoveTarget(ctx context.Context, name, owner string) error {
	return a.removeTarget(ctx, name, owner)
}

// PauseTarget is part of api.Backend.
func (a asked) PauseTarget(ctx context.Context, name string, req wire.Pause) error {
	return a.pauseTarget(ctx, name, req)
}

// ResumeTarget is part of api.Backend.
func (a asked) ResumeTarget(ctx context.Context, name string) error {
	return a.resumeTarget(ctx, name)
}

// SetStopped is part of api.Backend.
func (a asked) SetStopped(stop bool) { a.setStopped(stop) }

// Events is part of api.Backend.
func (a asked) Events(ctx context.Context, rounds bool, emit func(ev wire.Event, more bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(a.life, cancel) // the server waits for its requests to end
	defer stop()
	return a.hub.follow(ctx, rounds, emit)
}
