// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"container/heap"
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// retryFailed is how soon at the latest a name is asked for again while it does
// not resolve: a prober that starts before its resolver must not miss targets
// until somebody reloads it.
const retryFailed = 30 * time.Second

// Name is a name to be kept resolved.
type Name struct {
	Target   string // who wants to know
	Host     string
	Family   string        // "ipv4" or "ipv6"
	Interval time.Duration // 0: no more once it has resolved
	Keep     time.Duration // how long the last address is kept while the resolver fails
}

// Names returns the targets of a configuration whose destination is a name.
func Names(cfg *config.Config) []Name {
	var names []Name
	for i := range cfg.Targets {
		t := &cfg.Targets[i]
		if _, err := netip.ParseAddr(t.Destination); err == nil || t.IsSubnet {
			continue
		}
		names = append(names, Name{Target: t.Name, Host: t.Destination, Family: t.Family, Interval: t.DNSUpdateInterval, Keep: cfg.Engine.DNSKeep})
	}
	return names
}

// Change is news about a name: its first address, another one, none any more,
// none from the start; that the resolver fails and the address is kept (New is
// Old, with Err), or fails no more (New is Old, without).
type Change struct {
	Target string
	Host   string        // the name, which Follow may have changed since, as it may
	Family string        // this
	Old    netip.Addr    // zero: it had none
	New    netip.Addr    // zero: it has none, and Err says why
	Err    error         // of the last question
	Took   time.Duration // how long the resolver took to answer
}

// Refresher keeps names resolved. One goroutine of its own asks; any may take
// changes, as late as it likes: nobody waits for it.
type Refresher struct {
	resolver *Resolver
	changed  chan struct{}

	mu      sync.Mutex
	pending []Change
	wanted  []wanted // not yet seen by the goroutine that asks
	news    chan struct{}
	took    map[string]*atomic.Int64 // by target: how long the last question took, ns; 0: none was asked
}

// Took returns where it is kept how long the last question for a target's name
// took, in ns, 0 before the first; nil for targets without a name.
func (f *Refresher) Took(target string) *atomic.Int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.took[target]
}

// Refresh starts resolving names, all of them at once and each again Interval
// after its last answer, until ctx ends.
func (r *Resolver) Refresh(ctx context.Context, names []Name) *Refresher {
	f := &Refresher{resolver: r, changed: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	f.Follow(names, false)
	go f.run(ctx)
	return f
}

// Changed is ready when there is something to Take.
func (f *Refresher) Changed() <-chan struct{} { return f.changed }

// Take returns the changes since it was last called, oldest first. A name may
// be among them more than once.
func (f *Refresher) Take() []Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.pending
	f.pending = nil
	return taken
}

// entry is a name on its way. The goroutine of the Refresher owns it, but for
// the answer while it is being asked for.
type entry struct {
	Name
	due   time.Time
	place int        // in the queue; -1: it is being asked for, or no more
	asked bool       // it is being asked for
	again bool       // ask once more, since the answer under way may be old
	gone  bool       // nobody wants to know any more
	addr  netip.Addr // what the target has
	told  bool       // the first answer was reported

	failing bool      // the last question had no answer with an address
	doubted bool      // it failed once, and was asked again
	good    time.Time // when an address came last

	answer []netip.Addr
	took   time.Duration
	err    error
}

func (f *Refresher) run(ctx context.Context) {
	answers := make(chan *entry, maxLookups)
	timer := time.NewTimer(0)
	defer timer.Stop()
	all := map[string]*entry{}
	var queue dueQueue
	for asked := 0; ; {
		for asked < maxLookups && len(queue) > 0 && time.Until(queue[0].due) <= 0 {
			e := heap.Pop(&queue).(*entry)
			e.asked = true
			asked++
			go func() {
				e.answer, e.took, e.err = f.resolver.ask(ctx, e.Host, e.Family)
				answers <- e
			}()
		}
		var next <-chan time.Time
		if asked < maxLookups && len(queue) > 0 {
			timer.Reset(time.Until(queue[0].due))
			next = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-f.news:
			all = f.turn(all, &queue)
		case e := <-answers:
			asked--
			e.asked = false
			if ctx.Err() != nil {
				return // an error now says nothing about the name
			}
			if e.gone {
				continue
			}
			wait := f.settle(e)
			if e.again {
				e.again = false
				e.ask(&queue, time.Now())
			} else if wait > 0 {
				e.ask(&queue, time.Now().Add(wait))
			}
		case <-next:
		}
	}
}

// settle reports what is new about e and returns how long until it is asked for
// again; 0: never.
func (f *Refresher) settle(e *entry) time.Duration {
	if took := f.Took(e.Target); took != nil {
		took.Store(max(1, int64(e.took)))
	}
	var addr netip.Addr
	keep := time.Duration(0)
	switch {
	case e.err == nil:
		e.good = time.Now()
		if addr = e.answer[0]; slices.Contains(e.answer, e.addr) {
			addr = e.addr // resolvers turn the order round with each answer
		}
	case e.addr.IsValid() && !noSuchName(e.err):
		if !e.failing && !e.doubted {
			e.doubted = true // a question or its answer may just be lost
			return 1
		}
		if keep = e.Keep - time.Since(e.good); keep > 0 {
			addr = e.addr
		}
	}
	e.doubted = false
	if failing := e.err != nil; !e.told || addr != e.addr || failing != e.failing {
		f.report(e, addr)
		e.told, e.addr, e.failing = true, addr, failing
	}
	wait := e.Interval
	if e.failing {
		if wait <= 0 || wait > retryFailed {
			wait = retryFailed
		}
		if keep > 0 {
			wait = min(wait, keep)
		}
	}
	return wait
}

func (f *Refresher) report(e *entry, addr netip.Addr) {
	log := f.resolver.log.With("target", e.Target, "name", e.Host)
	switch {
	case e.err == nil:
		log.Info("target has an address", "address", addr, "before", e.addr, "of", len(e.answer))
	case addr.IsValid():
		log.Warn("name does not resolve; its last address is kept", "address", addr, "at_most", e.Keep, "error", e.err)
	default:
		log.Warn("target has no address", "error", e.err)
	}
	f.mu.Lock()
	f.pending = append(f.pending, Change{Target: e.Target, Host: e.Host, Family: e.Family, Old: e.addr, New: addr, Err: e.err, Took: e.took})
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default: // whoever was told before takes this one too
	}
}

// dueQueue is a heap: the name that is due first is at its head.
type dueQueue []*entry

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *dueQueue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

func (q *dueQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	e.place = -1
	*q = old[:len(old)-1]
	return e
}
