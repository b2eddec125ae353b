// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// confirmEvery bounds how often the kernel is asked whether answers can reach us,
// which is only while probes go unanswered.
const confirmEvery = 20 * time.Millisecond

// Reach is whether answers can reach us, as the kernel says.
type Reach struct {
	Attached bool // the XDP program is where it was put
	Queues   int  // receive queues that the interface has; 0: it does not say, or is gone
}

// confirmation is what is known of the way from the wire to our sockets. A probe
// is called lost only when that was whole until its time was over; suspects
// remember when it was not.
type confirmation struct {
	until  atomic.Int64  // all is known until then, ns
	wanted chan struct{} // capacity 1: a worker waits for more
	since  atomic.Int64  // since when, ns; 0: nobody does

	mu      sync.Mutex     // guards what follows; held while the kernel is asked
	served  int            // receive queues with a socket
	downs   uint64         // how often the link went down
	arrived netdev.Arrived // at the interface, by then
}

// start begins with what is known when the engine is made.
func (c *confirmation) start(e *Engine) {
	c.until.Store(e.clock.now())
	c.wanted = make(chan struct{}, 1)
	c.served, c.downs = len(e.Sockets), e.Link.Downs()
	c.arrived, _ = e.Link.Arrived() // counted from 0 instead makes the first span doubtful
}

// confirmed returns until when probes of this worker may be called lost: seen,
// or less while the kernel is still being asked.
func (w *worker) confirmed(seen int64) int64 {
	e := w.engine
	c := &e.confirmation
	until := c.until.Load()
	if until >= seen || !w.anyOver(seen) {
		return seen
	}
	now := e.clock.now()
	if since := c.since.Load(); since == 0 {
		c.since.CompareAndSwap(0, now)
	} else if now-since > stalled { // as with a worker that gets no CPU
		e.suspect(until, seen, result.StalledWorker)
		return seen
	}
	select {
	case c.wanted <- struct{}{}:
	default:
	}
	return until
}

// anyOver says whether a probe's time is over.
func (w *worker) anyOver(now int64) bool {
	for _, q := range w.expiries {
		if _, s := q.oldest(); s != nil && s.sent+q.timeout+int64(grace) <= now {
			return true
		}
	}
	return false
}

// confirmWanted asks the kernel whenever a worker waits for it, until ctx ends.
func (e *Engine) confirmWanted(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.confirmation.wanted:
			_, _ = e.Confirm() // an error makes a span of doubt
			pause(ctx, confirmEvery)
		}
	}
}

// Confirm asks the kernel whether answers can reach us, as is done before any
// probe is called lost, and remembers when they could not. Whoever mends what
// makes them miss us has to go by what it returns: then the time until the mending
// is known to be doubtful. Any goroutine may call it.
func (e *Engine) Confirm() (Reach, error) {
	c := &e.confirmation
	c.mu.Lock()
	defer c.mu.Unlock()
	now := e.clock.now()
	var r Reach
	doubt := func(why result.Doubt) {
		e.suspect(c.until.Load(), e.clock.now(), why)
	}
	attached, err := e.Program.Attached()
	r.Attached = attached
	if !attached {
		doubt(result.Detached)
	}
	if err == nil && attached {
		r.Queues, err = e.Link.ReceiveQueues()
		if err != nil || r.Queues > c.served {
			doubt(result.UnservedQueue)
		}
	}
	if downs := e.Link.Downs(); downs != c.downs {
		c.downs = downs
		doubt(result.WentDown)
	}
	// An error comes with an interface that goes, which is noticed otherwise.
	if a, err := e.Link.Arrived(); err == nil {
		if lossy(c.arrived, a) {
			doubt(result.InterfaceDropped)
		}
		c.arrived = a
	}
	c.until.Store(now)
	c.since.Store(0)
	return r, err
}

// fewDropped is how many frames come in for one that the interface drops where that
// is too little to doubt every probe without an answer: an outage must not hide
// behind a ring that is full now and then.
const fewDropped = 1000

// lossy says whether an interface dropped so much of what arrived between two
// looks that answers may be among it.
func lossy(before, now netdev.Arrived) bool {
	if now.Dropped < before.Dropped || now.Received < before.Received {
		return true // it is another interface by now
	}
	dropped := now.Dropped - before.Dropped
	return dropped > 0 && dropped*fewDropped >= now.Received-before.Received
}

// serve notes how many receive queues have a socket from now on.
func (c *confirmation) serve(queues int) {
	c.mu.Lock()
	c.served = queues
	c.mu.Unlock()
}
