// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"
	"testing"
)

// What one goroutine puts, another takes, in order and once; what does not fit
// is left out, and nothing else.
func TestInboxHandsOver(t *testing.T) {
	var b inbox
	slots := make([]slot, 100000)
	for i := range slots {
		slots[i].number = uint32(i)
	}
	var both sync.WaitGroup
	done := make(chan struct{})
	both.Go(func() {
		for i := range slots {
			b.put(&slots[i])
		}
		close(done)
	})
	taken, last := 0, -1
	both.Go(func() {
		for {
			s := b.take()
			if s == nil {
				select {
				case <-done:
					if s = b.take(); s == nil {
						return
					}
				default:
					continue
				}
			}
			if int(s.number) <= last {
				t.Errorf("%d after %d", s.number, last)
			}
			last = int(s.number)
			taken++
		}
	})
	both.Wait()
	if taken < len(b.slots) {
		t.Errorf("only %d of %d handed over", taken, len(slots))
	}
}
