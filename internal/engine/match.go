// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
)

// receive handles the replies that wait on the worker's sockets.
func (w *worker) receive() {
	for _, socket := range w.sockets {
		n := socket.Receive(math.MaxInt) // all that wait: what expires next may be among them
		for i := range n {
			if i%maxForeseen == 0 && n > 1 {
				w.foresee(socket, i, min(n-i, maxForeseen))
			}
			frame, meta := socket.Frame(i)
			if m, ok := steer.ReadMeta(meta); ok {
				w.take(frame, m)
			} else {
				w.foreign.Add(1)
			}
		}
		socket.Release()
	}
}

// take reads a reply that the XDP program has verified, and matches it. Only what
// has an unusual form is taken apart again.
func (w *worker) take(frame []byte, m steer.Meta) {
	r := &w.reply
	var number uint32
	var f *flow
	if from, ok := packet.ReadKnown(frame, m.Verdict, m.Hash, r); ok {
		number, f = w.engine.known(m.Hash, from)
	} else if w.engine.verifier.Parse(frame, r).Steered() {
		number, f = w.engine.lookup(r.Hash, &r.Flow)
	}
	w.match(number, f, r, int64(m.RxNS))
}

// match gives the reply to the probe of flow f that it answers, whichever worker
// sent that. f may be nil.
func (w *worker) match(number uint32, f *flow, r *packet.Reply, rx int64) {
	e := w.engine
	if f == nil {
		w.foreign.Add(1)
		return
	}
	n, word := e.find(f, r)
	if n == 0 {
		e.unmatched(f, r)
		if r.Weak {
			w.guesses.note(r.Hash, rx)
		}
		w.foreign.Add(1)
		return
	}
	if r.Weak && w.guesses.on(r.Hash, rx) {
		w.foreign.Add(1)
		return
	}
	sl := e.slots.at(n)
	s := e.series.at(e.legs.at(sl.leg.Load()).series)
	if s.class == nil { // its target is gone
		w.foreign.Add(1)
		return
	}
	to := uint64(answered)
	if r.Kind == packet.Error && s.class.typ.Judge(r, r.From == r.Flow.Remote) == probe.Refused {
		s.result.ICMPError(r.Type, r.Code)
		to = refused
	} else if f.ttlChanged(r.TTL) {
		s.result.TTLChange()
	}
	on := s.watch.Load()
	if on != nil && stateOf(word) == inFlight { // before the claim, so that it is known when the probe is counted
		w.noteReply(on, replied, s, n, word, r, rx)
	}
	if stateOf(word) == inFlight { // before the claim, which lets the owner send the next
		f.close(r.Kind == packet.RstAck)
	}
	verdict := claimed
	own := f.owner == w.number
	if own && stateOf(word) == inFlight && !w.flights.at(flightOf(word)).queued() {
		verdict = noProbe // it has not left yet
	} else if !own || stateOf(word) != inFlight || !w.conclude(flightOf(word), word, to, uint64(rx)) {
		verdict = sl.claim(word, to, rx)
	}
	if on != nil && (verdict == late || verdict == duplicate || verdict == doubtful) {
		w.noteReply(on, kindOf[verdict], s, n, word, r, rx)
	}
	switch verdict {
	case claimed:
		if !own {
			e.workers[f.owner].inboxes[w.number].put(flightOf(word))
		}
	case late:
		s.result.LateAnswer()
	case duplicate:
		s.result.Duplicate()
	case doubtful: // its round is over, and it was not the network that was late
	case noProbe:
		w.foreign.Add(1)
	}
	if r.Kind == packet.SynAck && s.class.typ.Reset && len(w.resets) < maxResets {
		w.resets = append(w.resets, reset{number, r.Ack})
	}
}

// find returns the number of the slot of the probe that r answers, and its word
// as it was read before the rest of the slot; or 0.
func (e *Engine) find(f *flow, r *packet.Reply) (uint32, uint64) {
	if f.slots.Load() == 0 {
		return 0, 0
	}
	last := f.last.Load()
	switch f.proto {
	case packet.TCP:
		// One probe is in flight, so the newest matches; the older ones are
		// looked at for late and second answers.
		for back := range uint32(1) << f.bits {
			n := f.at(last - back)
			sl := e.slots.at(n)
			word := sl.word.Load()
			if stateOf(word) == free || genOf(word) != uint16(last-back) {
				continue
			}
			offset := sl.offset.Load()
			if r.Number == offset || r.Kind != packet.Error && r.Number == offset+e.payload(sl) {
				return n, word
			}
		}
		return 0, 0
	case packet.UDP:
		if n, word := e.numbered(f, last, r.Number, packet.UDPNumbers-1); n != 0 || r.Alternate == r.Number {
			return n, word
		}
		return e.numbered(f, last, r.Alternate, packet.UDPNumbers-1)
	default:
		return e.numbered(f, last, r.Number, packet.ICMPNumbers-1)
	}
}

// unmatched counts a TCP answer on a flow of ours whose acknowledgement fits
// none of its probes, for the target that used the flow last.
func (e *Engine) unmatched(f *flow, r *packet.Reply) {
	if f.proto != packet.TCP || r.Kind == packet.Error || f.slots.Load() == 0 {
		return
	}
	newest := e.slots.at(f.at(f.last.Load()))
	if s := e.series.at(e.legs.at(newest.leg.Load()).series); s.class != nil { // else its target is gone
		s.result.Unmatch()
	}
}

// payload returns how many bytes the probe in the slot carried.
func (e *Engine) payload(sl *slot) uint32 {
	c := e.series.at(e.legs.at(sl.leg.Load()).series).class
	if c == nil { // its target is gone
		return 0
	}
	return uint32(c.shape.PayloadLen)
}

// numbered returns the slot of the newest probe whose number ends in these
// bits.
func (e *Engine) numbered(f *flow, last, number, mask uint32) (uint32, uint64) {
	probe := last - (last-number)&mask
	n := f.at(probe)
	word := e.slots.at(n).word.Load()
	if stateOf(word) == free || genOf(word) != uint16(probe) {
		return 0, 0
	}
	return n, word
}
