// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// inbox carries the slots that one worker saw answered to the worker that owns
// them, so that they are counted at once. One goroutine puts, one collects. What
// does not fit is found when the probe's time is over.
type inbox struct {
	slots [512]atomic.Pointer[slot] // nil: free
	given uint32
	_     [60]byte // the two sides on lines of their own
	taken uint32
}

func (b *inbox) put(s *slot) {
	place := &b.slots[b.given%uint32(len(b.slots))]
	if place.Load() == nil {
		place.Store(s)
		b.given++
	}
}

// take returns a slot, or nil.
func (b *inbox) take() *slot {
	place := &b.slots[b.taken%uint32(len(b.slots))]
	s := place.Load()
	if s != nil {
		place.Store(nil)
		b.taken++
	}
	return s
}

// collect counts the answers that other workers saw.
func (w *worker) collect() {
	for i := range w.inboxes {
		for {
			s := w.inboxes[i].take()
			if s == nil {
				break
			}
			// It may have been counted meanwhile, and even be in use again.
			if st := stateOf(s.word.Load()); s.queued() && (st == answered || st == refused) {
				w.settle(s)
			}
		}
	}
}
