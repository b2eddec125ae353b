// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// gear is what a worker sends and receives by. It does not change: a worker
// gets another. Only its workers use the sockets.
type gear struct {
	sockets []*xsk.Socket // it receives on all, and sends on the first; none: nothing can be sent
	waiter  *xsk.Waiter
	shared  *sync.Mutex // not nil: another worker has the same sockets, and only one works at a time
}

func (g *gear) lock() {
	if g.shared != nil {
		g.shared.Lock()
	}
}

func (g *gear) unlock() {
	if g.shared != nil {
		g.shared.Unlock()
	}
}

// gears deals sockets out to the workers. Where there are fewer than workers,
// which is only where an interface came back with fewer queues, some share.
func (e *Engine) gears(sockets []*xsk.Socket) []*gear {
	all := make([]*gear, len(e.workers))
	for i := range all {
		g := &gear{}
		switch {
		case len(sockets) == 0:
		case i >= len(sockets):
			first := all[i%len(sockets)]
			if first.shared == nil {
				first.shared = new(sync.Mutex)
			}
			g.sockets, g.shared = first.sockets, first.shared
		default:
			for q := i; q < len(sockets); q += len(all) {
				g.sockets = append(g.sockets, sockets[q])
			}
		}
		g.waiter = xsk.NewWaiter(g.sockets)
		all[i] = g
	}
	return all
}

// Use has the workers send and receive by these sockets from now on, one per
// receive queue, and returns when none of them uses any other any more: those may
// be closed then. Without sockets probes are not sent, reason link_down, and those
// without an answer are unknown, reason detached, until there are some again.
// Targets, schedules and counters stay. The number of workers stays that of the
// start.
//
// Run must be at work; should it end meanwhile, ctx ends the wait. One goroutine
// at a time may call it.
func (e *Engine) Use(ctx context.Context, sockets []*xsk.Socket, maxFrame int) error {
	gears := e.gears(sockets)
	for i, w := range e.workers {
		w.given.Store(gears[i])
	}
	for i, w := range e.workers {
		for w.taken.Load() != gears[i] {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	e.confirmation.serve(len(sockets))
	e.mu.Lock()
	changed := e.maxFrame != maxFrame
	e.maxFrame = maxFrame
	e.mu.Unlock()
	if changed {
		e.rebind()
	}
	return nil
}

// change takes up other gear, between two rounds of work: nothing waits for a
// kick then.
func (w *worker) change(g *gear) {
	e := w.engine
	w.lock()
	now := e.clock.now()
	w.receive() // an answer that is there is in no doubt
	w.checkDrops(now)
	w.unlock()
	if len(w.sockets) == 0 {
		// What came until the new sockets were there was for nobody.
		e.suspect(w.seen.Load(), e.clock.now(), result.Detached)
	}
	if len(w.sockets) == 0 || !slices.Contains(g.sockets, w.sockets[0]) {
		w.dropped = 0 // what sockets that stay have dropped is known already
	}
	w.gear = g
	w.taken.Store(g)
}
