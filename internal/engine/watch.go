// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// EventKind is what happened to a probe.
type EventKind uint8

// All but Sent, Duplicate and Late say how a probe counts, once for each.
const (
	replied   EventKind = iota // an answer is there, not counted yet: never handed on
	Sent                       // it left; only where every step is watched
	Answered                   // in time
	Refused                    // by an ICMP error: it is lost
	Lost                       // Cause says why
	Unknown                    // Doubt says why
	NotSent                    // Reason says why
	Duplicate                  // a second answer came
	Late                       // an answer came after it was counted as lost, or as unknown
)

// kindOf is what becomes of an answer that no probe waits for.
var kindOf = [...]EventKind{late: Late, duplicate: Duplicate, doubtful: Late}

// Event is something that happened to one probe of a target that is watched.
type Event struct {
	Kind   EventKind
	Target *plan.Target
	Group  int    // index into Target.Groups
	Packet int    // of those to the address in the round, from 0; -1: it is not known which
	Addr   int    // index into Target.Addrs
	Round  uint32 // of the target

	Sent    time.Time // zero: it was not
	At      time.Time // when it came to this: of an answer, its receive time
	Bracket time.Duration
	// Local and SourcePort are where it was sent from; SourcePort is the echo
	// identifier for ICMP. They are missing where that is not known.
	Local      netip.Addr
	SourcePort uint16

	RoundTrip time.Duration // of what was Answered, unless Untimed, or lost TooLate
	Uncertain bool          // the round trip: too much so for percentiles
	Untimed   bool          // the answer was received before the probe was sent
	TooLate   bool          // of Lost: an answer came after the timeout
	Reordered bool          // the answer came after that of a later probe of the path

	Reply      packet.Kind // 0: none is known
	TTL        uint8       // or hop limit of the reply
	Type, Code uint8       // of an ICMP error
	From       netip.Addr  // who sent an ICMP error

	Cause  result.Cause  // of Lost and Refused
	Doubt  result.Doubt  // of Unknown
	Reason result.Reason // of NotSent
}

// Watch gathers what happens to the probes of targets. One goroutine reads it and
// calls its methods; workers write to it, each to a ring of its own, and never wait.
type Watch struct {
	engine *Engine
	once   bool // its targets are probed once
	steps  bool // Sent is wanted
	rings  []ring

	targets map[uint32]*plan.Target
	numbers map[*plan.Target]uint32
	replies map[uint32]note // that wait to be counted, by slot
	counted []note          // that wait until what came before is known
	recent  map[uint32]recent
}

// recent is the probe that was counted last in a slot, by which a second answer is
// known.
type recent struct {
	gen   uint16
	probe uint32
}

// maxRecent bounds how many of them are known.
const maxRecent = 1 << 16

// minRoom is how many notes a worker's ring holds at the least.
const minRoom = 1 << 10

func (e *Engine) newWatch(room int) *Watch {
	w := &Watch{engine: e, rings: make([]ring, len(e.workers)), targets: map[uint32]*plan.Target{}, numbers: map[*plan.Target]uint32{}, replies: map[uint32]note{}, recent: map[uint32]recent{}}
	size := minRoom
	for size < room {
		size *= 2
	}
	for i := range w.rings {
		w.rings[i].notes = make([]note, size)
	}
	return w
}

// WatchOne watches a target that is probed, step by step, until Close. It returns
// nil when there is no such target, or somebody watches it.
func (e *Engine) WatchOne(name string) *Watch {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.named()[name]
	if !ok {
		return nil
	}
	t := e.targets.at(n)
	w := e.newWatch(4 * t.plan.Probes())
	w.steps = true
	w.know(n, t.plan)
	for g := range t.plan.Groups {
		if !e.series.at(t.series+uint32(g)).watch.CompareAndSwap(nil, w) {
			w.close()
			return nil
		}
	}
	return w
}

func (w *Watch) know(n uint32, p *plan.Target) { w.targets[n], w.numbers[p] = p, n }

// Close ends the watch on targets that go on. Those that are probed once must have
// been given to Forget.
func (w *Watch) Close() {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.close()
}

func (w *Watch) close() {
	e := w.engine
	for n, p := range w.targets {
		t := e.targets.at(n)
		if t.plan != p || w.once {
			continue
		}
		for g := range p.Groups {
			e.series.at(t.series+uint32(g)).watch.CompareAndSwap(w, nil)
		}
	}
}

// Missed is how much could not be told, because it was not read in time.
func (w *Watch) Missed() (n uint64) {
	for i := range w.rings {
		n += w.rings[i].missed.Load()
	}
	return n
}

// Read hands on what happened since the last call, but for the newest, which the next
// call does: what other workers saw of it is read first.
func (w *Watch) Read(each func(*Event)) {
	ready := w.counted
	w.counted = nil
	for i := range w.rings {
		w.rings[i].read(func(n *note) {
			if n.kind == replied {
				w.replies[n.slot] = *n
			} else {
				w.counted = append(w.counted, *n)
			}
		})
	}
	now, mono := time.Now(), w.engine.clock.now()
	for i := range ready {
		var e Event
		if w.tell(&ready[i], &e, func(at int64) time.Time { return now.Add(time.Duration(at - mono)) }) {
			each(&e)
		}
	}
}

// tell writes what a note says into e. It returns false when its target is not
// watched any more.
func (w *Watch) tell(n *note, e *Event, wall func(int64) time.Time) bool {
	p := w.targets[n.target]
	if p == nil {
		return false
	}
	*e = Event{Kind: n.kind, Target: p, Round: n.round, At: wall(n.at), Bracket: time.Duration(n.bracket)}
	if known, ok := w.recent[n.slot]; n.legged && ok && known.gen == n.gen {
		e.Group, e.Packet, e.Addr = p.Probe(int(known.probe))
	} else if n.legged {
		e.Group, e.Addr, e.Packet = int(n.group), int(n.addr), -1
	} else {
		e.Group, e.Packet, e.Addr = p.Probe(int(n.probe))
		if n.slot != 0 && n.kind != Sent && len(w.recent) < maxRecent {
			w.recent[n.slot] = recent{n.gen, n.probe}
		}
	}
	if n.sent != 0 {
		e.Sent = wall(n.sent)
	}
	if n.ported {
		e.Local, e.SourcePort = (*w.engine.locals.Load())[n.local], n.port
	}
	reply := n
	switch n.kind {
	case Answered, Refused, Lost:
		if r, ok := w.replies[n.slot]; ok && n.slot != 0 && r.gen == n.gen && (n.kind != Lost || n.marks&tooLate != 0) {
			reply = &r
		}
		delete(w.replies, n.slot)
		e.Cause = result.Cause(n.cause)
	case Unknown:
		e.Doubt = result.Doubt(n.cause)
	case NotSent:
		e.Reason = result.Reason(n.cause)
	}
	if reply.reply != 0 {
		e.Reply, e.TTL = reply.reply, reply.ttl
		if e.Reply == packet.Error {
			e.Type, e.Code, e.From = reply.typ, reply.code, netip.AddrFrom16(reply.from).Unmap()
		}
	}
	e.Uncertain, e.Untimed = n.marks&uncertain != 0, n.marks&untimed != 0
	e.TooLate, e.Reordered = n.marks&tooLate != 0, n.marks&reordered != 0
	if (n.kind == Answered && !e.Untimed) || n.kind == Refused || e.TooLate {
		e.RoundTrip = time.Duration(n.at - n.sent)
	}
	return true
}

// ring carries notes from one worker to the reader of a Watch. It does not lock;
// what does not fit is counted.
type ring struct {
	notes  []note // a power of two
	missed atomic.Uint64
	given  atomic.Uint64
	_      [48]byte // the two sides on lines of their own
	taken  atomic.Uint64
}

func (r *ring) put(n *note) {
	given := r.given.Load()
	if given-r.taken.Load() == uint64(len(r.notes)) {
		r.missed.Add(1)
		return
	}
	r.notes[given&uint64(len(r.notes)-1)] = *n
	r.given.Store(given + 1)
}

func (r *ring) read(each func(*note)) {
	taken, given := r.taken.Load(), r.given.Load()
	for ; taken != given; taken++ {
		each(&r.notes[taken&uint64(len(r.notes)-1)])
	}
	r.taken.Store(taken)
}

// note is an Event as a worker writes it.
type note struct {
	at, sent      int64 // ns of the monotonic clock; sent 0: it was not
	target, round uint32
	probe         uint32 // of the round; unless legged
	slot          uint32 // 0: none
	addr, group   uint32 // where legged
	local         uint32 // of Engine.locals, where ported
	bracket       uint32 // ns
	from          [16]byte
	gen, port     uint16
	kind          EventKind
	cause, marks  uint8
	reply         packet.Kind
	ttl           uint8
	typ, code     uint8
	legged        bool
	ported        bool
}

// The marks of a note.
const (
	uncertain = 1 << iota
	untimed
	tooLate
	reordered
)

// noteUnsent notes a probe that did not leave.
func (w *worker) noteUnsent(on *Watch, kind EventKind, cause uint8, s *series, round, probe uint32) {
	on.rings[w.number].put(&note{kind: kind, cause: cause, target: s.target, round: round, probe: probe, at: w.engine.clock.now()})
}

// noteSent notes a probe that left with a kick.
func (w *worker) noteSent(on *Watch, k kicked, fl *flight) {
	if !on.steps {
		return
	}
	sl := w.engine.slots.at(fl.slot)
	n := note{kind: Sent, target: k.series.target, round: fl.round, probe: fl.probe, slot: fl.slot, sent: fl.sent, at: fl.sent, bracket: fl.took()}
	n.cameFrom(w.engine, w.engine.legs.at(sl.leg.Load()))
	on.rings[w.number].put(&n)
}

// cameFrom writes where a leg sends from.
func (n *note) cameFrom(e *Engine, l *leg) {
	if number, _ := l.way(); number != 0 {
		f := e.flows.at(number)
		n.local, n.port, n.ported = f.local, f.localPort, true
	}
}

// noteReply notes an answer to the probe whose slot held word. Any worker may see
// it, so of the probe it knows where it went, and not which one it was.
func (w *worker) noteReply(on *Watch, kind EventKind, s *series, slot uint32, word uint64, r *packet.Reply, rx int64) {
	e := w.engine
	n := note{kind: kind, target: s.target, slot: slot, gen: genOf(word), at: rx, reply: r.Kind, ttl: r.TTL, typ: r.Type, code: r.Code, legged: true}
	if r.Kind == packet.Error {
		n.from = r.From.As16()
	}
	t := e.targets.at(s.target)
	leg := e.slots.at(slot).leg.Load()
	for g := range t.plan.Groups {
		if e.series.at(t.series+uint32(g)) == s {
			n.group, n.addr = uint32(g), (leg-s.legs)/uint32(len(t.plan.Groups[g].Sources))
		}
	}
	n.cameFrom(e, e.legs.at(leg))
	on.rings[w.number].put(&n)
}

// noteCounted notes how a probe that left counts. word is that of its slot.
func (w *worker) noteCounted(on *Watch, kind EventKind, cause, marks uint8, s *series, l *leg, fl *flight, word uint64, at int64) {
	n := note{
		kind: kind, cause: cause, marks: marks, target: s.target, round: fl.round, probe: fl.probe,
		slot: fl.slot, gen: genOf(word), sent: fl.sent, at: at, bracket: fl.took(),
	}
	n.cameFrom(w.engine, l)
	on.rings[w.number].put(&n)
}
