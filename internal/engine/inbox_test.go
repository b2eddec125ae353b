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
	const all = 100000
	var both sync.WaitGroup
	done := make(chan struct{})
	both.Go(func() {
		for n := range uint32(all) {
			b.put(n + 1)
		}
		close(done)
	})
	taken, last := 0, uint32(0)
	both.Go(func() {
		for {
			s := b.take()
			if s == 0 {
				select {
				case <-done:
					if s = b.take(); s == 0 {
						return
					}
				default:
					continue
				}
			}
			if s <= last {
				t.Errorf("%d after %d", s, last)
			}
			last = s
			taken++
		}
	})
	both.Wait()
	if taken < len(b.flights) {
		t.Errorf("only %d of %d handed over", taken, all)
	}
}
