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
			frame, meta := socket.Frame(i)
			rx, ok := steer.Meta(meta)
			if !ok || !w.engine.verifier.Parse(frame, &w.reply).Steered() {
				w.foreign.Add(1)
				continue
			}
			w.match(&w.reply, int64(rx))
		}
		socket.Release()
	}
}

// match gives the reply to the probe it answers, whichever worker sent that.
func (w *worker) match(r *packet.Reply, rx int64) {
	f := w.engine.index.Load().lookup(r.Hash, &r.Flow)
	if f == nil {
		w.foreign.Add(1)
		return
	}
	sl, word := f.find(r)
	if sl == nil {
		w.foreign.Add(1)
		return
	}
	s := sl.leg.Load().series
	to := uint64(answered)
	if r.Kind == packet.Error && s.typ.Judge(r, r.From == f.Remote) == probe.Refused {
		s.result.ICMPError(r.Type, r.Code)
		to = refused
	} else if f.ttlChanged(r.TTL) {
		s.result.TTLChange()
	}
	if stateOf(word) == inFlight { // before the claim, which lets the owner send the next
		f.closed.Store(r.Kind == packet.RstAck)
	}
	switch sl.claim(word, to, rx) {
	case claimed:
		if f.owner == w {
			w.settle(sl)
		} else {
			f.owner.inboxes[w.number].put(sl)
		}
	case late:
		s.result.LateAnswer()
	case duplicate:
		s.result.Duplicate()
	case doubtful: // its round is over, and it was not the network that was late
	case noProbe:
		w.foreign.Add(1)
	}
	if r.Kind == packet.SynAck && s.typ.Reset && len(w.resets) < maxResets {
		w.resets = append(w.resets, reset{f, r.Ack})
	}
}

// find returns the slot of the probe that r answers, and its word as it was
// read before the rest of the slot, or nil.
func (f *flow) find(r *packet.Reply) (*slot, uint64) {
	last := f.last.Load()
	switch f.Proto {
	case packet.TCP:
		// One probe is in flight, so the newest matches; the older ones are
		// looked at for late and second answers.
		for back := range uint32(min(len(f.slots), 16)) {
			sl := f.at(last - back)
			word := sl.word.Load()
			if stateOf(word) == free || genOf(word) != uint16(last-back) {
				continue
			}
			offset := sl.offset.Load()
			if r.Number == offset || r.Kind != packet.Error && r.Number == offset+uint32(sl.leg.Load().series.shape.PayloadLen) {
				return sl, word
			}
		}
		return nil, 0
	case packet.UDP:
		if sl, word := f.numbered(last, r.Number, packet.UDPNumbers-1); sl != nil || r.Alternate == r.Number {
			return sl, word
		}
		return f.numbered(last, r.Alternate, packet.UDPNumbers-1)
	default:
		return f.numbered(last, r.Number, packet.ICMPNumbers-1)
	}
}

// numbered returns the slot of the newest probe whose number ends in these
// bits.
func (f *flow) numbered(last, number, mask uint32) (*slot, uint64) {
	n := last - (last-number)&mask
	sl := f.at(n)
	word := sl.word.Load()
	if stateOf(word) == free || genOf(word) != uint16(n) {
		return nil, 0
	}
	return sl, word
}
