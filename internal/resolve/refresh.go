// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"container/heap"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// firstRetry is how soon a name is asked for again while it has never had an
// address: a prober that starts before its resolver must not miss targets until
// somebody reloads it.
const firstRetry = 30 * time.Second

// Name is a name to be kept resolved.
type Name struct {
	Target   string // who wants to know
	Host     string
	Family   string        // "ipv4" or "ipv6"
	Interval time.Duration // 0: no more once it has resolved
}

// Names returns the targets of a configuration whose destination is a name.
func Names(cfg *config.Config) []Name {
	var names []Name
	for i := range cfg.Targets {
		t := &cfg.Targets[i]
		if _, err := netip.ParseAddr(t.Destination); err == nil || t.IsSubnet {
			continue
		}
		names = append(names, Name{Target: t.Name, Host: t.Destination, Family: t.Family, Interval: t.DNSUpdateInterval})
	}
	return names
}

// Change is news about a name: its first address, another one, none any more,
// or none from the start.
type Change struct {
	Target string
	Host   string     // the name, which Follow may have changed since
	Old    netip.Addr // zero: it had none
	New    netip.Addr // zero: it has none, and Err says why
	Err    error
	Took   time.Duration // how long the resolver took to answer
}

// Refresher keeps names resolved. One goroutine of its own asks; any may take
// changes, as late as it likes: nobody waits for it.
type Refresher struct {
	resolver *Resolver
	changed  chan struct{}

	mu      sync.Mutex
	pending []Change
	wanted  *wanted // not yet seen by the goroutine that asks; nil: nothing new
	news    chan struct{}
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
	addr  netip.Addr // of the last answer
	told  bool       // the first answer was reported
	found bool       // it has had an address

	answer netip.Addr
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
	if !e.told || e.answer != e.addr {
		f.report(e)
	}
	e.told, e.addr = true, e.answer
	if e.err == nil {
		e.found = true
	}
	if !e.found && (e.Interval <= 0 || e.Interval > firstRetry) {
		return firstRetry
	}
	return e.Interval
}

func (f *Refresher) report(e *entry) {
	if e.err != nil {
		f.resolver.log.Warn("target has no address", "target", e.Target, "name", e.Host, "error", e.err)
	} else {
		f.resolver.log.Info("target has an address", "target", e.Target, "name", e.Host, "address", e.answer, "before", e.addr)
	}
	f.mu.Lock()
	f.pending = append(f.pending, Change{Target: e.Target, Host: e.Host, Old: e.addr, New: e.answer, Err: e.err, Took: e.took})
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
