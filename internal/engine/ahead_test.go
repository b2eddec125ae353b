// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

// What is looked ahead at is what is due, in the order of time and no more than go
// with one kick; put back, it is due again as before. A target that went is left out,
// and is known to have left.
func TestLookAheadTakesWhatIsDue(t *testing.T) {
	l := newLoop()
	l.ahead = make([]upcoming, 0, maxPerKick)
	e := l.engine
	p := e.targets.at(1).plan
	want := map[uint32]int64{}
	for i := range 2 * maxPerKick {
		n := e.enter(p)
		tg := e.targets.at(n)
		tg.cycle = int64(1000 + i)
		l.schedule.add(n, tg.due())
		if i == 3 {
			tg.state.Or(targetGone)
			continue
		}
		want[n] = tg.due()
	}
	horizon := int64(1000 + maxPerKick + 9)
	for _, looked := range []int{maxPerKick - 1, maxPerKick, 9} {
		if looked == maxPerKick {
			l.putBack(l.lookAhead(horizon)) // now without the one that went
		}
		ahead := l.lookAhead(horizon)
		last := int64(0)
		for i := range ahead {
			if got := &ahead[i]; got.due != want[got.number] || got.due <= last || got.due > horizon {
				t.Fatalf("target %d is looked at as due at %d, after %d; want %d", got.number, got.due, last, want[got.number])
			}
			last = ahead[i].due
		}
		if looked == maxPerKick-1 {
			if len(ahead) != looked {
				t.Fatalf("%d targets, want %d: one of those due went", len(ahead), looked)
			}
			if e.targets.at(5).state.Load()&targetLeft == 0 {
				t.Error("the target that went does not know that it left the schedule")
			}
			l.putBack(ahead)
			continue
		}
		if len(ahead) != looked {
			t.Fatalf("%d targets, want %d", len(ahead), looked)
		}
	}
	if _, due, _ := l.schedule.next(); due != horizon+1 {
		t.Errorf("next due %d, want the first after what was looked at, %d", due, horizon+1)
	}
	if got := testing.AllocsPerRun(1000, func() { l.putBack(l.lookAhead(int64(time.Hour))) }); got != 0 {
		t.Errorf("looking ahead: %v allocations", got)
	}
}
