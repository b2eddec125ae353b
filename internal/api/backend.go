// SPDX-License-Identifier: Apache-2.0

// Package api is the control API: it serves what the prober knows and does, over a
// UNIX socket, over TCP and below the metrics server, and sees to who may ask for
// what. Its types on the wire are those of pkg/api.
package api

import (
	"context"
	"time"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Backend is the prober. Any goroutine calls its methods; none of them waits for a
// packet, and none keeps one waiting. An error that is a *wire.Problem is what the
// client is told; any other is told as a failure of ours.
type Backend interface {
	Info() wire.Info
	Status() wire.Status
	Healthy() error
	Ready() error
	Config() (wire.Config, error)

	// Token is what clients have to present, "" if there is none.
	Token() (string, error)

	Targets(Query) wire.Targets
	// Target returns one target; false: there is none of this name.
	Target(name string) (wire.TargetDetail, bool)
	// History returns the past of a target in a group, "" for its first, in the longest
	// steps kept that are at most so long; false: there is no such target, or group.
	History(target, group string, step time.Duration) (wire.History, bool)
	// Worst returns the n addresses that answered worst, of one target or with ""
	// of all; false: there is no such target.
	Worst(target string, n int) (wire.Worst, bool)

	// Reload loads the configuration again. What is wrong with it comes as a
	// *wire.Problem that names each fault.
	Reload(context.Context) (wire.Reloaded, error)

	AddTargets(context.Context, wire.AddTargets) (wire.Reloaded, error)
	RemoveTarget(ctx context.Context, name, owner string) error
	PauseTarget(context.Context, string, wire.Pause) error
	ResumeTarget(ctx context.Context, name string) error

	// Probe probes once what a request names and tells emit what comes of it; Debug
	// tells what happens in the next whole round of a target. Emit is called by one
	// goroutine at a time, and not after the return. A *wire.Problem comes before any
	// event.
	Probe(ctx context.Context, req wire.ProbeRequest, emit func(wire.ProbeEvent)) error
	Debug(ctx context.Context, target string, emit func(wire.ProbeEvent)) error

	// SetStopped stops all sending, or lets it go on.
	SetStopped(stop bool)

	// Events calls emit for what happens, until ctx ends, the prober does, or emit
	// fails. more: the next call follows at once.
	Events(ctx context.Context, rounds bool, emit func(ev Told, more bool) error) error
}

// Told is an event as it is sent, to as many as follow. Immutable.
type Told struct {
	Type string // of the wire.Event
	JSON []byte // the wire.Event
}

// The orders of targets.
const (
	ByName      = "name"
	ByWorst     = "worst" // the largest share lost in the last round first, then the slowest
	ByLoss      = "loss"  // the same
	ByRoundTrip = "round_trip"
)

// Query chooses targets.
type Query struct {
	Filter string // text in name, destination, address or a label, in any case
	Group  string
	Family string
	Source string
	State  string
	Sort   string // ByName and so on
	Limit  int
	Offset int
}
