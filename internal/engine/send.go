// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// probe sends a probe whose turn it is, or counts why it does not leave.
func (w *worker) probe(p *upcoming, now int64) {
	e := w.engine
	t, s, leg := p.target, p.series, p.leg
	number, why := e.legs.at(leg).way()
	var f *flow
	if number != 0 {
		f = e.flows.at(number)
		if s.class.typ.OneInFlight && e.waits(f) {
			// After a pause several probes of a path leave in one go: the
			// answer to the one before may be there, unread.
			w.receive()
		}
	}
	r := w.begin(s, t.round)
	r.left--
	if e.Stopped.Load() {
		w.skip(s, r, t.probe, result.Stopped)
		return
	}
	if t.behind(now, e.interval.Load()) {
		w.skip(s, r, t.probe, result.Behind)
		return
	}
	switch {
	case f == nil:
		w.skip(s, r, t.probe, why)
		return
	case len(w.sockets) == 0:
		w.skip(s, r, t.probe, result.LinkDown)
		return
	}
	state, mac := e.hops.at(f.hop.Load()).next.Load()
	switch state {
	case netdev.HopPending:
		w.skip(s, r, t.probe, result.NeighbourPending)
	case netdev.HopDown:
		w.skip(s, r, t.probe, result.LinkDown)
	case netdev.HopFailed:
		// The network did not answer: a loss, and nobody was sent anything.
		r.Sent++
		r.Lose(result.NoNeighbour)
		e.noteLost(e.legs.at(leg), t.round)
		if on := s.watch.Load(); on != nil {
			w.noteUnsent(on, Lost, uint8(result.NoNeighbour), s, t.round, t.probe)
		}
		w.finish(s, r)
	default:
		w.send(leg, s, r, t.probe, f, mac)
	}
}

// planned is how many probes a round of the series has.
func (e *Engine) planned(t *target, s *series) int {
	return s.class.packets * len(t.plan.Addrs)
}

// waits says whether the newest probe of a flow is owed an answer.
func (e *Engine) waits(f *flow) bool {
	return stateOf(e.slots.at(f.at(f.last.Load())).word.Load()) == inFlight
}

// skip counts a probe of a round that was not sent.
func (w *worker) skip(s *series, r *openRound, probe uint32, why result.Reason) {
	number := r.number // it may be over with this
	r.Skip(why)
	if on := s.watch.Load(); on != nil {
		w.noteUnsent(on, NotSent, uint8(why), s, number, probe)
	}
	w.finish(s, r)
}

// kicked is a probe that waits for the next kick.
type kicked struct {
	flight uint32
	series *series
	round  *openRound
	admission
}

// admission is by which places of the caps a probe leaves.
type admission struct {
	at         int64         // when it was admitted, ns
	all, block *atomic.Int64 // nil: none
}

// lateKick is how long after it was admitted a probe may leave and be remembered as having left
// when it was. A worker may be taken off its CPU between the two.
const lateKick = int64(time.Millisecond)

// leftBy lets the caps know that a probe left by then.
func (w *worker) leftBy(a admission, after int64) {
	for _, place := range [...]*atomic.Int64{a.all, a.block} {
		if place != nil && place.Load() < after {
			place.Store(after)
		}
	}
	if g := &w.grant; g.place == a.all {
		g.last, g.told = max(g.last, after), max(g.told, after)
	}
}

// send builds a probe for the next kick. Its slot is ready before, because the
// answer may come on another queue before the kick returns.
func (w *worker) send(leg uint32, s *series, r *openRound, probe uint32, f *flow, mac [6]byte) {
	e := w.engine
	last := f.last.Load()
	n := last + 1
	at := f.at(n)
	sl := e.slots.at(at)
	if sl.busy() || s.class.typ.OneInFlight && e.waits(f) {
		w.skip(s, r, probe, result.TupleBusy)
		return
	}
	key := &w.key
	e.identify(f, key)
	number := n
	r.Sent++ // before anything is kicked: the round must not end without it
	if f.proto == packet.TCP {
		number = w.nextOffset(f, key, s, mac)
	}
	socket := w.sockets[0]
	frame := socket.Reserve()
	if frame == nil {
		r.Sent--
		w.skip(s, r, probe, result.RingFull)
		return
	}
	socket.Queue(packet.Build(frame, key, &s.class.shape, f.hash, number, e.Link.MAC(), mac))
	// What others read is stored only where it changes: a store that all CPUs are to
	// see waits for the ones before it.
	if sl.leg.Load() != leg {
		sl.leg.Store(leg)
	}
	if f.proto == packet.TCP {
		sl.offset.Store(number)
	}
	number = w.flights.take()
	fl := w.flights.at(number)
	fl.slot, fl.round, fl.probe = at, r.number, probe
	f.last.Store(n)
	sl.word.Store(wordOf(uint16(n), inFlight, int64(number)))
	w.kicks = append(w.kicks, kicked{number, s, r, w.admitted})
	if len(w.kicks) >= w.perKick {
		w.kick()
	}
}

// kick sends the probes that were built, with one stamp just before.
func (w *worker) kick() {
	if len(w.kicks) == 0 {
		return
	}
	e := w.engine
	before := e.clock.now()
	sent, outcome := w.sockets[0].Kick()
	after := e.clock.now()
	w.kicked = after
	if outcome == xsk.LinkDown {
		// The kernel's own announcement of it may come a second later (net/core/link_watch.c).
		e.suspect(before, after, result.WentDown)
	}
	if after-w.kicks[0].at > lateKick {
		for i := range w.kicks {
			w.leftBy(w.kicks[i].admission, after)
		}
	}
	bracket := bracketOf(after-before, len(w.kicks))
	for i, k := range w.kicks {
		fl := w.flights.at(k.flight)
		if i < sent {
			fl.sent, fl.bracket = before, bracket
			w.expiries[k.series.class.expiry].push(k.flight)
			w.queued++
			if on := k.series.watch.Load(); on != nil {
				w.noteSent(on, k, fl)
			}
			continue
		}
		sl := e.slots.at(fl.slot)
		w.flights.give(k.flight)
		sl.word.Store(wordOf(genOf(sl.word.Load()), free, 0))
		k.round.Sent--
		why := result.LinkDown
		if outcome == xsk.RingFull {
			why = result.RingFull
		}
		w.skip(k.series, k.round, fl.probe, why)
	}
	w.kicks = w.kicks[:0]
}

// nextOffset returns where the next SYN's sequence number stands relative to
// the flow's base, and moves on by more than what it occupies.
//
// In the second half of the window it starts again as soon as the peer is
// known to hold nothing of the last SYN; at the end in any case, after a RST
// that clears what the peer may still hold. Seen from a half-open peer the new
// SYN would be out of its window: ignored, and so lost, and if our resets do
// not get through then for as long as the peer waits.
func (w *worker) nextOffset(f *flow, key *packet.Flow, s *series, mac [6]byte) uint32 {
	step := uint32(s.class.shape.PayloadLen) + 2
	offset := f.offset
	switch closed := f.peer.And(^uint32(peerClosed))&peerClosed != 0; {
	case closed && offset > packet.SeqWindow/2:
		offset = 0
	case offset+step > packet.SeqWindow:
		w.kick()
		newest := w.engine.slots.at(f.at(f.last.Load()))
		w.queueReset(f, key, packet.Base(f.hash)+newest.offset.Load()+1, mac)
		w.sockets[0].Kick()
		offset = 0
	}
	f.offset = offset + step
	return offset
}

// sendResets answers the SYN-ACKs of this tick: the kernel never saw the
// connections, so nobody else closes them.
func (w *worker) sendResets() {
	if w.engine.Stopped.Load() {
		w.resets = w.resets[:0] // a peer that repeats its SYN-ACK later gets its reset then
		return
	}
	if len(w.sockets) == 0 {
		w.resets = w.resets[:0]
		return
	}
	for i, r := range w.resets {
		f := w.engine.flows.at(r.flow)
		if state, mac := w.engine.hops.at(f.hop.Load()).next.Load(); state == netdev.HopReady {
			w.engine.identify(f, &w.key)
			w.queueReset(f, &w.key, r.seq, mac)
		}
		if i%resetsPerKick == resetsPerKick-1 {
			w.sockets[0].Kick()
		}
	}
	w.sockets[0].Kick()
	w.resets = w.resets[:0]
}

func (w *worker) queueReset(f *flow, key *packet.Flow, seq uint32, mac [6]byte) {
	socket := w.sockets[0]
	if frame := socket.Reserve(); frame != nil {
		socket.Queue(packet.BuildReset(frame, key, f.dscp, f.hash, seq, w.engine.Link.MAC(), mac))
	}
}
