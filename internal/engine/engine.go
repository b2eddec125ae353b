// SPDX-License-Identifier: Apache-2.0

// Package engine sends probes and gives each its answer: workers pace, stamp,
// send, match and expire; a control goroutine binds targets to flows and next
// hops, and follows what changes.
package engine

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// Options are what one engine works with. All are required but Log.
type Options struct {
	Link          *netdev.Link
	Program       *steer.Program // attached, with the sockets registered
	Sockets       []*xsk.Socket  // one per receive queue
	MaxFrame      int            // bytes of the longest frame the sockets receive
	Secret        packet.Secret
	Store         *result.Store
	Interval      time.Duration // of every target
	Tick          time.Duration // probes due within one tick share a wake-up
	Percentiles   []int
	Limiter       *Limiter // shared by all engines
	ForeignSource bool     // sources need not be local addresses
	Log           *slog.Logger
}

// Engine probes through one interface. Add, Remove, Move and Run may be called
// from any goroutine; they are the control side and take a lock that no packet
// waits for.
type Engine struct {
	Options
	clock    clock
	interval int64 // ns
	tick     int64 // ns
	workers  []*worker

	verifier *packet.Verifier
	index    atomic.Pointer[index]

	suspects    suspects
	clockFaults atomic.Uint64

	mu      sync.Mutex // guards what follows
	targets map[string]*target
	flows   map[packet.Flow]*flow
	retired map[*flow]time.Time // still found by late answers until then
	staged  []*leg              // that get another flow with the next publish
	seed    maphash.Seed
}

// New returns an engine that sends nothing until Run.
func New(o Options) (*Engine, error) {
	e := &Engine{
		Options: o, interval: int64(o.Interval), tick: int64(o.Tick),
		targets: map[string]*target{}, flows: map[packet.Flow]*flow{}, retired: map[*flow]time.Time{},
		verifier: packet.NewVerifier(o.Secret),
		seed:     maphash.MakeSeed(),
	}
	var err error
	if e.clock, err = newClock(); err != nil {
		return nil, err
	}
	count := min(len(o.Sockets), runtime.NumCPU())
	for i := range count {
		w := &worker{engine: e, resets: make([]reset, 0, maxResets), kicks: make([]kicked, 0, maxPerKick), perKick: 1}
		for q := i; q < len(o.Sockets); q += count {
			w.sockets = append(w.sockets, o.Sockets[q])
		}
		w.waiter = xsk.NewWaiter(w.sockets)
		e.workers = append(e.workers, w)
	}
	for i, w := range e.workers {
		w.number, w.inboxes = i, make([]inbox, len(e.workers))
	}
	return e, e.publish()
}

// Run works until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, w := range e.workers {
		workers.Go(func() { w.run(ctx) })
	}
	prune := time.NewTicker(5 * time.Second)
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			workers.Wait()
			return
		case <-e.Link.Changes():
			e.rebind()
		case <-prune.C:
			e.prune()
		}
	}
}

// Add starts probing targets. Those whose route is missing are probed as soon
// as there is one; until then their probes are not sent.
func (e *Engine) Add(plans ...*plan.Target) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var fresh []*target
	for _, p := range plans {
		t := newTarget(p, e.Interval, e.Percentiles)
		t.owner = e.workerFor(p)
		e.bind(t)
		e.targets[p.Name] = t
		fresh = append(fresh, t)
	}
	if err := e.publish(); err != nil {
		return err
	}
	var shown []*result.Series
	for _, t := range fresh {
		for _, s := range t.series {
			shown = append(shown, s.result)
		}
	}
	e.Store.Add(shown...)
	for _, t := range fresh {
		t.owner.give(t)
	}
	return nil
}

// Remove stops probing targets; their series disappear.
func (e *Engine) Remove(names ...string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var gone []*result.Series
	for _, name := range names {
		t, ok := e.targets[name]
		if !ok {
			continue
		}
		t.gone.Store(true)
		delete(e.targets, name)
		for _, s := range t.series {
			gone = append(gone, s.result)
			for i := range s.legs {
				e.drop(&s.legs[i])
			}
		}
	}
	e.Store.Remove(gone...)
	return e.publish()
}

// Move sends a target's probes to another address from its next probe on. Its
// counters, schedule and probes under way stay.
func (e *Engine) Move(name string, to netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, ok := e.targets[name]
	if !ok || len(t.plan.Addrs) != 1 {
		return nil
	}
	t.bound = []netip.Addr{to}
	e.bind(t)
	return e.publish()
}

// workerFor keeps targets with the same address on one worker, because flows
// that they share have one owner.
func (e *Engine) workerFor(p *plan.Target) *worker {
	if len(p.Addrs) == 0 {
		return e.workers[0]
	}
	return e.workers[maphash.Comparable(e.seed, p.Addrs[0])%uint64(len(e.workers))]
}

// publish lets the kernel and all workers know the flows of now, and then the
// legs use them: an answer on a flow that was not published would be lost.
func (e *Engine) publish() error {
	all := make(map[packet.Flow]*flow, len(e.flows)+len(e.retired))
	for f := range e.retired {
		all[f.Flow] = f
	}
	for k, f := range e.flows {
		if f.slots == nil {
			f.slots = make([]slot, slotsFor(f.Proto, f.needs))
		}
		all[k] = f
	}
	filter := filterOf(all)
	if err := e.Program.SetFilter(filter); err != nil {
		return err
	}
	e.verifier.SetFilter(filter)
	e.index.Store(newIndex(all))
	e.commit()
	return nil
}

// firstCycle is when, on the monotonic clock, the interval begins whose phase
// comes next: intervals are aligned to the wall clock, so that a restart does
// not move a target's probes.
func (e *Engine) firstCycle(phase time.Duration, now int64) int64 {
	wall := time.Now().UnixNano()
	into := (wall - int64(phase)) % e.interval
	return now + e.interval - into
}
