// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"

	server "github.com/netprobe-xdp/netprobe-xdp/internal/api"
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

// Probe is part of api.Backend.
func (a asked) Probe(ctx context.Context, req wire.ProbeRequest, emit func(wire.ProbeEvent)) error {
	return a.whileAlive(ctx, func(ctx context.Context) error { return a.probeOnce(ctx, req, emit) })
}

// Debug is part of api.Backend.
func (a asked) Debug(ctx context.Context, target string, emit func(wire.ProbeEvent)) error {
	return a.whileAlive(ctx, func(ctx context.Context) error { return a.debug(ctx, target, emit) })
}

// whileAlive ends what a request does when the prober ends: the server waits for it.
func (a asked) whileAlive(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(a.life, cancel)
	defer stop()
	return do(ctx)
}

// Events is part of api.Backend.
func (a asked) Events(ctx context.Context, rounds bool, emit func(ev server.Told, more bool) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(a.life, cancel) // the server waits for its requests to end
	defer stop()
	return a.hub.follow(ctx, rounds, emit)
}
