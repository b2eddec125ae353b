// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// probe sends the target's next probe, or counts why it did not leave.
func (w *worker) probe(t *target, now int64) {
	g, i, a := t.plan.Probe(t.probe)
	s := t.series[g]
	leg := s.leg(i, a)
	f := leg.flow.Load()
	if f != nil && s.typ.OneInFlight && f.waits() {
		// After a pause several probes of a path leave in one go: the answer
		// to the one before may be there, unread.
		w.receive()
	}
	r := s.round(t.round)
	r.dispatched++
	if now-t.due() > w.engine.interval {
		w.skip(s, r, result.Behind)
		return
	}
	if f == nil {
		w.skip(s, r, result.Reason(leg.why.Load()))
		return
	}
	state, mac := f.hop.Load().Load()
	switch state {
	case netdev.HopPending:
		w.skip(s, r, result.NeighbourPending)
	case netdev.HopDown:
		w.skip(s, r, result.LinkDown)
	case netdev.HopFailed:
		// The network did not answer: a loss, and nobody was sent anything.
		r.Sent++
		r.Lose(result.NoNeighbour)
		w.finish(s, r)
	default:
		w.send(leg, r, t.round, f, mac)
	}
}

func (w *worker) skip(s *series, r *openRound, why result.Reason) {
	r.Skip(why)
	w.finish(s, r)
}

// kicked is a probe that waits for the next kick.
type kicked struct {
	slot  *slot
	round *openRound
}

// send builds a probe for the next kick. Its slot is ready before, because the
// answer may come on another queue before the kick returns.
func (w *worker) send(l *leg, r *openRound, round uint32, f *flow, mac [6]byte) {
	s := l.series
	last := f.last.Load()
	n := last + 1
	sl := f.at(n)
	// What another queue's worker saw answered is not counted yet, and yet over.
	if sl.busy() || s.typ.OneInFlight && f.waits() {
		w.skip(s, r, result.TupleBusy)
		return
	}
	number := n
	if s.typ.Proto == packet.TCP {
		number = w.nextOffset(f, s, mac)
	}
	socket := w.sockets[0]
	frame := socket.Reserve()
	if frame == nil {
		w.skip(s, r, result.RingFull)
		return
	}
	socket.Queue(packet.Build(frame, &f.Flow, &s.shape, f.hash, number, w.engine.Link.MAC(), mac))
	sl.leg.Store(l)
	sl.offset.Store(number)
	sl.number, sl.round = n, round
	f.last.Store(n)
	sl.word.Store(wordOf(uint16(n), inFlight, 0))
	r.Sent++
	w.kicks = append(w.kicks, kicked{sl, r})
	if len(w.kicks) >= w.perKick {
		w.kick()
	}
}

// kick sends the probes that were built, with one stamp just before.
func (w *worker) kick() {
	if len(w.kicks) == 0 {
		return
	}
	before := w.engine.clock.now()
	sent, outcome := w.sockets[0].Kick()
	after := w.engine.clock.now()
	for i, k := range w.kicks {
		sl := k.slot
		l := sl.leg.Load()
		if i < sent {
			sl.sent, sl.bracket = before, uint32(min(after-before, math.MaxUint32))
			l.series.expiry.push(sl)
			l.history.sent(sl.round)
			continue
		}
		sl.word.Store(wordOf(uint16(sl.number), free, 0))
		k.round.Sent--
		why := result.LinkDown
		if outcome == xsk.RingFull {
			why = result.RingFull
		}
		w.skip(l.series, k.round, why)
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
func (w *worker) nextOffset(f *flow, s *series, mac [6]byte) uint32 {
	step := uint32(s.shape.PayloadLen) + 2
	offset := f.offset
	switch closed := f.closed.Swap(false); {
	case closed && offset > packet.SeqWindow/2:
		offset = 0
	case offset+step > packet.SeqWindow:
		w.kick()
		w.queueReset(f, packet.Base(f.hash)+f.at(f.last.Load()).offset.Load()+1, mac)
		w.sockets[0].Kick()
		offset = 0
	}
	f.offset = offset + step
	return offset
}

// sendResets answers the SYN-ACKs of this tick: the kernel never saw the
// connections, so nobody else closes them.
func (w *worker) sendResets() {
	for i, r := range w.resets {
		if state, mac := r.flow.hop.Load().Load(); state == netdev.HopReady {
			w.queueReset(r.flow, r.seq, mac)
		}
		if i%resetsPerKick == resetsPerKick-1 {
			w.sockets[0].Kick()
		}
	}
	w.sockets[0].Kick()
	w.resets = w.resets[:0]
}

func (w *worker) queueReset(f *flow, seq uint32, mac [6]byte) {
	socket := w.sockets[0]
	if frame := socket.Reserve(); frame != nil {
		socket.Queue(packet.BuildReset(frame, &f.Flow, f.dscp, f.hash, seq, w.engine.Link.MAC(), mac))
	}
}
