// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// maxForeseen bounds the replies whose probes are looked at before they are matched.
const maxForeseen = sendBatch

// foreseen is what a reply that is about to be read will need; nil: it cannot be told.
type foreseen struct {
	hash   uint64
	flow   *flow
	slot   *slot
	leg    *leg
	series *series
}

// foresee reads what count replies from the first on will need, as lookAhead does for
// probes and for the same reason: what was read when their probes left is not in the cache
// any more, since the kernel had its turn.
func (w *worker) foresee(socket *xsk.Socket, first, count int) {
	w.foreseen = w.foreseen[:0]
	for i := range count {
		_, meta := socket.Frame(first + i)
		if m, ok := steer.ReadMeta(meta); ok {
			w.foreseen = append(w.foreseen, foreseen{hash: m.Hash})
		}
	}
	w.read = w.foreseeEach()
}

// foreseeEach guesses that each reply answers the newest probe of its flow, one of this
// worker's, and changes nothing. It returns something of what it read: or the compiler would
// leave that out.
func (w *worker) foreseeEach() (read uint32) {
	e, all := w.engine, w.foreseen
	ix := e.index.Load()
	mask := len(ix.entries) - 1
	for i := range all {
		read += ix.entries[int(all[i].hash)&mask].Load()
	}
	for i := range all {
		if n := ix.entries[int(all[i].hash)&mask].Load(); n != 0 {
			all[i].flow = e.flows.at(n)
			read += all[i].flow.last.Load()
		}
	}
	for i := range all {
		if f := all[i].flow; f != nil && f.owner == w.number && f.slots.Load() != 0 {
			all[i].slot = e.slots.at(f.at(f.last.Load()))
			read += all[i].slot.leg.Load()
		}
	}
	for i := range all {
		if sl := all[i].slot; sl != nil && stateOf(sl.word.Load()) == inFlight {
			all[i].leg = e.legs.at(sl.leg.Load())
			read += all[i].leg.series
		}
	}
	for i := range all {
		if l := all[i].leg; l != nil {
			all[i].series = e.series.at(l.series)
			read += all[i].series.legs
			if l.long != 0 {
				read += uint32(e.histories.at(l.long)[0].Load())
			}
		}
	}
	for i := range all {
		if s := all[i].series; s != nil && s.open != nil {
			read += s.open.number + s.open.Sent + uint32(e.legs.at(s.legs).median)
		}
	}
	for i := range all {
		if s := all[i].series; s != nil && s.open != nil {
			read += uint32(s.open.Room())
		}
	}
	return read
}
