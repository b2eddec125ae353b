// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// inbox carries the slots that one worker saw answered to the worker that owns
// them, so that they are counted at once. One goroutine puts, one takes. What
// does not fit is found when the probe's time is over.
type inbox struct {
	slots [512]atomic.Uint32 // 0: free
	given uint32
	_     [60]byte // the two sides on lines of their own
	taken uint32
}

func (b *inbox) put(n uint32) {
	place := &b.slots[b.given%uint32(len(b.slots))]
	if place.Load() == 0 {
		place.Store(n)
		b.given++
	}
}

// take returns the number of a slot, or 0.
func (b *inbox) take() uint32 {
	place := &b.slots[b.taken%uint32(len(b.slots))]
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
			s := w.engine.slots.at(n)
			if st := stateOf(s.word.Load()); s.queued() && (st == answered || st == refused) {
				w.settle(n)
			}
		}
	}
}
