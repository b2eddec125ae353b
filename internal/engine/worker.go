// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

const (
	// grace is how long after its timeout a probe is given up: an answer that
	// arrived in time, by its receive time, may still wait to be read.
	grace = 20 * time.Millisecond
	// longestSleep bounds a sleep, so that new targets and the end are seen.
	longestSleep = 50 * time.Millisecond
	// sendBatch bounds the probes sent before replies are read again.
	sendBatch = 32
	// overdue is how late probes may be before several share a kick and its
	// stamp: single kicks carry some 200,000 probes per second and core.
	overdue    = 2 * time.Millisecond
	maxPerKick = 32
	// resetsPerKick is how many resets go with one kick; nobody times them.
	resetsPerKick = 32
	// checkDrops is how often the sockets are asked what they dropped.
	checkDrops = 5 * time.Millisecond
	// expectAtLeast is how many answers there is always room for: what comes twice, and what
	// somebody forges, in bursts. Beyond them there is room for two to each probe under way, and
	// for one to each that was given up lately. Not more: the kernel fills frames in turn, so
	// that with many thousands each packet is written to memory that no cache holds.
	expectAtLeast = 1024
	// maxResets bounds the resets that wait for the end of a tick.
	maxResets = 4096
)

// worker paces, sends, receives, matches and expires. It runs on one goroutine;
// what others may touch is marked.
type worker struct {
	engine *Engine
	number uint8
	*gear                       // what it works with now
	given  atomic.Pointer[gear] // by the control side: to be taken up
	taken  atomic.Pointer[gear] // that it has taken up

	schedule schedule
	flights  flights
	expiries []*expiry
	ahead    []upcoming // taken out of the schedule: these leave next
	foreseen []foreseen // scratch of foresee
	read     uint32     // while looking ahead; of no meaning
	kicks    []kicked   // built, and waiting for the next kick
	perKick  int        // how many go with one kick
	kicked   int64      // when the last kick was over, ns
	resets   []reset
	reply    packet.Reply

	key   packet.Flow // of the packet being built
	grant grant       // what it may send without asking the limiter

	admitted admission // of the probe being sent

	guesses guesses

	medians [kickKinds]median // of how long a kick takes, by kind of probe

	inboxes []inbox // answers that other workers saw to probes of this one, by worker

	queued  int  // probes in its expiry queues
	givenUp owed // probes that got no answer in time: it may come late

	seen    atomic.Int64 // until when all that arrived was read and dropped answers are known, ns
	judged  atomic.Int64 // all its probes that were sent before are counted, ns
	dropped uint64       // answers its sockets dropped so far
	round   atomic.Int64 // when it last came round, whatever its sockets say, ns; 0: it has not begun

	lag     windowMax     // how late the first due probe was, ns
	foreign atomic.Uint64 // verified replies that match no probe

	mu       sync.Mutex // guards what follows
	arrived  []uint32   // new targets, not yet in the schedule
	renamed  []relabel  // series that get other labels
	timeouts []int64    // of the expiry queues they need, ns
	news     atomic.Bool
}

// reset is a RST owed to a peer that sent a SYN-ACK.
type reset struct {
	flow uint32
	seq  uint32
}

// give hands new targets to the worker, and the timeouts of all expiry queues.
// Any goroutine may call it.
func (w *worker) give(targets []uint32, timeouts []int64) {
	w.mu.Lock()
	w.arrived = append(w.arrived, targets...)
	w.timeouts = timeouts
	w.mu.Unlock()
	w.news.Store(true)
}

// relabel is a series that becomes something else.
type relabel struct {
	series uint32
	kind   *result.Kind
}

// relabel lets the worker's series become what they are to be. Any goroutine
// may call it.
func (w *worker) relabel(series []relabel) {
	if len(series) == 0 {
		return
	}
	w.mu.Lock()
	w.renamed = append(w.renamed, series...)
	w.mu.Unlock()
	w.news.Store(true)
}

// maxNews bounds the new targets and labels that are taken up in one turn, each:
// probes are due meanwhile.
const maxNews = 512

func (w *worker) takeNews() {
	w.mu.Lock()
	w.schedule.grow(len(w.arrived))
	arrived := w.arrived[:min(len(w.arrived), maxNews)]
	w.arrived = w.arrived[len(arrived):]
	renamed := w.renamed[:min(len(w.renamed), maxNews)]
	w.renamed = w.renamed[len(renamed):]
	if len(w.arrived)+len(w.renamed) == 0 {
		w.arrived, w.renamed = nil, nil
		w.news.Store(false)
	}
	for i := len(w.expiries); i < len(w.timeouts); i++ {
		w.expiries = append(w.expiries, newExpiry(w.timeouts[i], &w.flights))
	}
	w.mu.Unlock()
	for _, r := range renamed {
		w.engine.series.at(r.series).result.Become(r.kind)
	}
	now := time.Now()
	for _, n := range arrived {
		t := w.engine.targets.at(n)
		if t.plan.Probes() > 0 {
			if !t.plan.Once { // else it has one
				t.cycle = w.engine.firstCycle(t.plan.Phase, now)
			}
			w.schedule.add(n, t.due())
		}
	}
}

// run works until ctx ends.
func (w *worker) run(ctx context.Context) {
	// A worker keeps its thread: no hand-over between a stamp and its kick. The
	// thread ends with it.
	runtime.LockOSThread()
	w.pin()
	for ctx.Err() == nil {
		if g := w.given.Load(); g != w.gear {
			w.change(g)
		}
		if w.news.Load() {
			w.takeNews()
		}
		w.lock()
		now := w.engine.clock.now()
		w.receive()
		w.collect()
		if now-w.seen.Load() > int64(checkDrops) {
			w.checkDrops(now)
			w.expire(w.confirmed(w.engine.seenByAll(now)))
			w.judged.Store(w.oldest(now))
		}
		w.expect(now)
		wait := w.sendDue()
		w.receive() // what came meanwhile: or the wait would be over at once
		w.sendResets()
		w.unlock()
		if wait > 0 {
			w.grant.rest()
			w.waiter.Wait(time.Duration(wait))
		}
	}
}

// expect makes room for the answers to all probes under way, since this worker
// may get no CPU while they arrive. Where there are others, which send meanwhile, its
// sockets keep all the room they have.
func (w *worker) expect(now int64) {
	if len(w.engine.workers) > 1 {
		return
	}
	w.givenUp.roll(now, w.engine.longest.Load())
	for _, s := range w.sockets {
		s.Expect(expectAtLeast + 2*w.queued + w.givenUp.lately())
	}
}

// pin ties the worker's thread to its CPU, if it was given one.
func (w *worker) pin() {
	cpus := w.engine.Pinning
	if len(cpus) == 0 {
		return
	}
	cpu := cpus[int(w.number)%len(cpus)]
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		w.engine.Log.Warn("cannot pin a worker; it runs anywhere", "worker", w.number, "cpu", cpu, "error", err)
	}
}

// windowMax is the largest of what was observed lately: in the current window
// and the one before it. One goroutine observes, any may read.
type windowMax struct {
	start   int64
	current atomic.Int64
	before  atomic.Int64
}

const lagWindow = int64(15 * time.Second)

func (m *windowMax) observe(now, v int64) {
	if now-m.start > lagWindow {
		m.before.Store(m.current.Load())
		m.current.Store(0)
		m.start = now
	}
	if v > m.current.Load() {
		m.current.Store(v)
	}
}

func (m *windowMax) read() time.Duration {
	return time.Duration(max(m.current.Load(), m.before.Load()))
}
