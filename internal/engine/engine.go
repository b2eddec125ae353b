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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// Options are what one engine works with. All are required but Log,
// and what has a meaning when it is nil.
type Options struct {
	Link          *netdev.Link
	Program       *steer.Program // attached, with the sockets registered
	Sockets       []*xsk.Socket  // one per receive queue; later Use says which
	MaxFrame      int            // bytes of the longest frame the sockets receive; later Use says
	Secret        packet.Secret
	Store         *result.Store
	Interval      time.Duration // of every target
	Tick          time.Duration // probes due within one tick share a wake-up
	Percentiles   []int
	Limiter       *Limiter                 // shared by all engines
	Blocks        *Blocks                  // shared by all engines
	ForeignSource bool                     // sources need not be local addresses
	Lists         *config.Lists            // of addresses that nothing is sent to; nil: none
	Stopped       *atomic.Bool             // while true nothing is sent, from the next tick on; nil: never
	Workers       int                      // 0: one per queue, at most one per CPU
	Pinning       []int                    // CPUs for the workers, in turn; empty: not pinned
	Histogram     func(target string) bool // whether to keep one; nil: for none
	// Astray is told of targets whose route now leaves by another interface.
	// May be nil; must not call the engine.
	Astray func(targets []string)
	Log    *slog.Logger
}

// Engine probes through one interface. Add, Remove, Move and Run may be called
// from any goroutine; they are the control side and take a lock that no packet
// waits for.
type Engine struct {
	Options
	clock    clock
	interval atomic.Int64 // ns
	tick     int64        // ns
	workers  []*worker

	verifier *packet.Verifier
	index    atomic.Pointer[index]
	locals   atomic.Pointer[[]netip.Addr] // our addresses, as flows number them

	targets   arena[target]
	series    arena[series]
	legs      arena[leg]
	histories arena[history]
	flows     arena[flow]
	hops      arena[hop]
	slots     arena[slot]

	suspects     suspects
	longest      atomic.Int64 // timeout, ns
	confirmation confirmation
	clockFaults  atomic.Uint64

	mu       sync.Mutex // guards what follows
	names    map[string]uint32
	numbers  map[netip.Addr]uint32 // of locals
	moved    map[uint32]netip.Addr // targets that lead elsewhere than planned
	classes  map[classKey]*class
	kinds    map[kindKey]*result.Kind
	renamed  map[uint32]*result.Kind // series whose state is not that of their class
	timeouts []int64                 // ns; one expiry queue each
	maxFrame int                     // bytes
	fresh    map[uint32]int          // flows without slots, and how many they need
	staged   map[uint32]uint32       // legs that get another flow with the next publish
	retired  map[uint32]retired      // flows without users, still found by late answers until then
	dead     map[uint32]int64        // flows that nobody finds any more, since, ns
	leaving  map[uint32]leaving      // targets that were removed
	byHop    map[netip.Addr]uint32
	taken    map[netip.Addr]netip.Addr // next hops of equal cost that were said to be taken, by destination
	inTheWay *flow                     // of another worker, when a leg needed it
	noneLeft map[packet.Flow]struct{}  // our and a target's addresses all of whose echo identifiers have users
	waiting  map[uint32]bool           // targets that need a flow they cannot have yet: whether it has no users
	astray   []string                  // targets whose route leaves by another interface
	deadHops map[uint32]int64          // next hops without flows, since, ns
	seed     maphash.Seed

	counted  uint32 // epoch of the counts of Blocks that has the targets
	heldOnce int    // paths of targets that are probed once and are not forgotten
	pruned   int64  // when what they leave was looked for, ns
}

// New returns an engine that sends nothing until Run.
func New(o Options) (*Engine, error) {
	if o.Stopped == nil {
		o.Stopped = new(atomic.Bool)
	}
	e := &Engine{
		Options: o, tick: int64(o.Tick),
		numbers: map[netip.Addr]uint32{}, moved: map[uint32]netip.Addr{}, classes: map[classKey]*class{}, renamed: map[uint32]*result.Kind{}, fresh: map[uint32]int{},
		staged: map[uint32]uint32{}, retired: map[uint32]retired{}, dead: map[uint32]int64{}, leaving: map[uint32]leaving{},
		byHop: map[netip.Addr]uint32{}, taken: map[netip.Addr]netip.Addr{}, deadHops: map[uint32]int64{}, noneLeft: map[packet.Flow]struct{}{},
		maxFrame: o.MaxFrame,
		verifier: packet.NewVerifier(o.Secret),
		seed:     maphash.MakeSeed(),
	}
	e.interval.Store(int64(o.Interval))
	e.index.Store(newIndex(0))
	e.locals.Store(new([]netip.Addr))
	var err error
	if e.clock, err = newClock(); err != nil {
		return nil, err
	}
	e.confirmation.start(e)
	count := min(len(o.Sockets), runtime.NumCPU(), 256)
	if o.Workers > 0 {
		count = min(count, o.Workers)
	}
	for i := range count {
		w := &worker{
			engine: e, number: uint8(i), inboxes: make([]inbox, count),
			resets: make([]reset, 0, maxResets), kicks: make([]kicked, 0, maxPerKick), ahead: make([]upcoming, 0, maxPerKick), foreseen: make([]foreseen, 0, maxForeseen), perKick: 1,
		}
		e.workers = append(e.workers, w)
	}
	for i, g := range e.gears(o.Sockets) {
		e.workers[i].gear = g
		e.workers[i].given.Store(g)
	}
	e.countAnew() // none yet
	return e, e.publish()
}

// Run works until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	// A worker that sleeps keeps its processor of the runtime (xsk.Waiter): there
	// is one for each, beside those for everybody else.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + len(e.workers))
	defer func() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - len(e.workers)) }()
	var workers sync.WaitGroup
	workers.Go(func() { e.confirmWanted(ctx) })
	for _, w := range e.workers {
		workers.Go(func() { w.run(ctx) })
	}
	prune := time.NewTicker(5 * time.Second)
	defer prune.Stop()
	soon := time.NewTicker(100 * time.Millisecond)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			workers.Wait()
			return
		case <-e.Link.Changes():
			began := time.Now()
			e.rebind()
			// A host whose routes change all the time gets a quarter of a core
			// at the most.
			pause(ctx, 3*time.Since(began))
		case <-prune.C:
			e.prune()
		case <-soon.C:
			e.retrySoon()
			e.pruneOnce()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Add starts probing targets. Those whose route is missing are probed as soon
// as there is one; until then their probes are not sent.
func (e *Engine) Add(plans ...*plan.Target) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.add(plans)
}

func (e *Engine) add(plans []*plan.Target) error {
	given := make([][]uint32, len(e.workers))
	var shown []*result.Series
	from := e.routerFor(len(plans))
	for _, p := range plans {
		n := e.admit(from, p)
		t := e.targets.at(n)
		given[t.owner()] = append(given[t.owner()], n)
		for g := range p.Groups {
			shown = append(shown, &e.series.at(t.series+uint32(g)).result)
		}
	}
	err := e.publish() // if it fails, the next one makes up for it: the targets are there
	e.Store.Add(shown...)
	for i, w := range e.workers {
		w.give(given[i], slices.Clone(e.timeouts))
	}
	return err
}

// admit makes a target that no worker knows yet, and binds it.
func (e *Engine) admit(from router, p *plan.Target) uint32 {
	n := e.enter(p)
	t := e.targets.at(n)
	if f := e.bindFitting(from, n); f != nil {
		// No worker knows the target yet: give it to the one that has the flow.
		e.unbindAll(n, t)
		t.state.Store(t.state.Load()&^0xff | uint32(f.owner))
		e.bindFitting(from, n)
	}
	return n
}

// Remove stops probing targets; their series disappear.
func (e *Engine) Remove(names ...string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(names)
	return e.publish()
}

func (e *Engine) remove(names []string) {
	var gone []*result.Series
	for _, name := range names {
		n, ok := e.named()[name]
		if !ok {
			continue
		}
		delete(e.names, name)
		t := e.targets.at(n)
		t.state.Or(targetGone)
		for g := range t.plan.Groups {
			gone = append(gone, &e.series.at(t.series+uint32(g)).result)
		}
		e.leave(n, t)
	}
	e.Store.Remove(gone...)
}

// Move sends a target's probes to another address from its next probe on. Its
// counters, schedule and probes under way stay, unless it now shares a
// four-tuple with a target of another worker: then it begins anew beside that.
func (e *Engine) Move(name string, to netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.named()[name]
	if !ok || len(e.targets.at(n).plan.Addrs) != 1 {
		return nil
	}
	e.countBlocks(n, -1)
	e.moved[n] = to
	e.countBlocks(n, 1)
	if f := e.bindFitting(e.Link, n); f != nil && f.users > 0 {
		there := *e.targets.at(n).plan
		if kind, ok := e.renamed[e.targets.at(n).series]; ok {
			there.State = kind.State
		}
		there.Addrs = []netip.Addr{to}
		e.remove([]string{name})
		return e.add([]*plan.Target{&there})
	}
	return e.publish()
}

// named returns the targets by name. Only who asks for one pays for the map.
func (e *Engine) named() map[string]uint32 {
	if e.names == nil {
		e.names = map[string]uint32{}
		for n := uint32(1); n < e.targets.used; n++ {
			if t := e.targets.at(n); t.plan != nil && !t.gone() && !t.plan.Once {
				e.names[t.plan.Name] = n
			}
		}
	}
	return e.names
}

// settling is how long new targets wait for their next hops to be known.
const settling = 300 * time.Millisecond

// firstCycle is when, on the monotonic clock, the interval begins whose phase
// comes next: intervals are aligned to the wall clock, so that a restart does
// not move a target's probes.
func (e *Engine) firstCycle(phase time.Duration, now time.Time) int64 {
	interval := e.interval.Load()
	into := (now.UnixNano() + int64(settling) - int64(phase)) % interval
	return e.clock.at(now) + int64(settling) + interval - into
}
