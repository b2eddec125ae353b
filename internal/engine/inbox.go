// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// inbox carries the flights that one worker saw answered to the worker that owns
// them, so that they are counted at once. One goroutine puts, one takes. What
// does not fit is found when the probe's time is over.
type inbox struct {
	flights [512]atomic.Uint32 // 0: free
	given   uint32
	_       [60]byte // the two sides on lines of their own
	taken   uint32
}

func (b *inbox) put(n uint32) {
	place := &b.flights[b.given%uint32(len(b.flights))]
	if place.Load() == 0 {
		place.Store(n)
		b.given++
	}
}

// take returns the number of a flight, or 0.
func (b *inbox) take() uint32 {
	place := &b.flights[b.taken%uint32(len(b.flights))]
	n := place.Load()
	if n != 0 {
		place.Store(0)
		b.taken++
	}
	return n
}

// collect counts the answers that other workers saw.
func (w *worker) collect() {
	for i := range w.inboxes {
		for n := w.inboxes[i].take(); n != 0; n = w.inboxes[i].take() {
			// It may have been counted meanwhile, and even be in use again.
			fl := w.flights.at(n)
			if st := stateOf(w.engine.slots.at(fl.slot).word.Load()); fl.queued() && (st == answered || st == refused) {
				w.settle(n)
			}
		}
	}
}
