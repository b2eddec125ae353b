// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

// The worker that came round least lately is told; those that have not begun do
// not count.
func TestStalled(t *testing.T) {
	e := &Engine{workers: []*worker{{}, {}, {}}, clock: clock{base: time.Now(), offset: int64(time.Hour)}}
	if got := e.Stats().Stalled; got != 0 {
		t.Errorf("before the start: %v", got)
	}
	now := e.clock.now()
	e.workers[0].round.Store(now - int64(3*time.Second))
	e.workers[1].round.Store(now)
	if got := e.Stats().Stalled; got < 3*time.Second {
		t.Errorf("stalled for %v, want 3 s at least", got)
	}
}
