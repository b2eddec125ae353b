// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"container/heap"
	"net/netip"
	"sync/atomic"
	"time"
)

// wanted is what Follow asks of the goroutine that asks for names.
type wanted struct {
	names []Name
	again bool
}

// Follow makes names the ones that are kept resolved. What was followed before
// for the same target, host and family goes on with its last answer, and is
// asked for again at once if again is set; the rest is asked for at once, and
// what is not among names is forgotten. Any goroutine may call it.
func (f *Refresher) Follow(names []Name, again bool) {
	f.mu.Lock()
	// Each is done in turn: who left out a name has forgotten its address, and is
	// told it anew when the name is back at once.
	f.wanted = append(f.wanted, wanted{names, again})
	took := make(map[string]*atomic.Int64, len(names))
	for _, n := range names {
		if took[n.Target] = f.took[n.Target]; took[n.Target] == nil {
			took[n.Target] = new(atomic.Int64)
		}
	}
	f.took = took
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default: // whoever was told before takes this too
	}
}

// turn makes what is followed what is wanted, and returns it by target.
func (f *Refresher) turn(all map[string]*entry, queue *dueQueue) map[string]*entry {
	f.mu.Lock()
	asked := f.wanted
	f.wanted = nil
	f.mu.Unlock()
	for _, w := range asked {
		all = w.follow(all, queue)
	}
	return all
}

// follow makes what is followed what w wants.
func (w *wanted) follow(all map[string]*entry, queue *dueQueue) map[string]*entry {
	now := time.Now()
	next := make(map[string]*entry, len(w.names))
	for _, n := range w.names {
		if _, err := netip.ParseAddr(n.Host); err == nil {
			continue
		}
		e := all[n.Target]
		if e == nil || e.Host != n.Host || e.Family != n.Family {
			e = &entry{Name: n, place: -1}
			e.ask(queue, now)
		} else {
			delete(all, n.Target)
			e.Keep = n.Keep
			e.retime(n.Interval, w.again, queue, now)
		}
		next[n.Target] = e
	}
	for _, e := range all {
		e.gone = true
		if e.place >= 0 {
			heap.Remove(queue, e.place)
		}
	}
	return next
}

// ask lets e be asked for at due.
func (e *entry) ask(queue *dueQueue, due time.Time) {
	e.due = due
	if e.place >= 0 {
		heap.Fix(queue, e.place)
	} else {
		heap.Push(queue, e)
	}
}

// retime gives e another interval, and lets it be asked for again at once if
// that is wanted.
func (e *entry) retime(interval time.Duration, again bool, queue *dueQueue, now time.Time) {
	before := e.Interval
	e.Interval = interval
	switch {
	case e.asked:
		e.again = again
	case again:
		e.ask(queue, now)
	case before == interval || e.failing || !e.told: // what fails is asked for again soon
	case interval == 0:
		heap.Remove(queue, e.place)
	case before == 0:
		e.ask(queue, now.Add(interval))
	default:
		e.ask(queue, e.due.Add(interval-before))
	}
}
