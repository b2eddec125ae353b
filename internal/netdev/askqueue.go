// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"container/heap"
	"time"
)

const (
	// askEvery is the time between two questions to a next hop that answers,
	// or that has failed.
	askEvery = time.Second

	// A question leaves at most every askGap, over all next hops; after a
	// pause askBurst of them may leave together.
	askGap   = time.Millisecond
	askBurst = 20

	// late is how long after its time a look at a neighbour says that this host had no
	// CPU for us; lastLook is how long what arrived meanwhile has to be read then.
	late     = 20 * time.Millisecond
	lastLook = 200 * time.Millisecond

	// unicastAsks is how many questions go to the known MAC alone before all
	// stations are asked.
	unicastAsks = 2
)

var (
	// pendingWaits are the times after each question to a neighbour that was not heard since
	// the link came up; after the last it has failed. The last two are those of the kernel
	// (retrans_time_ms in net/core/neighbour.c): a host whose link comes up with ours, and that
	// gets little CPU, may need more than a second until its addresses answer.
	pendingWaits = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, time.Second}

	// readyWaits are the same for one that answered before. It gets two more
	// questions, so that a link that loses one frame in ten does not make a working
	// gateway fail: that would be reported as loss of every probe. The first
	// question to all leaves 0.4 s after the first to be unanswered, so that
	// a new MAC is known within two seconds.
	readyWaits = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond,
		300 * time.Millisecond, 300 * time.Millisecond, time.Second}
)

// The lanes in which neighbours wait for their turn to be asked. Those that
// answer never wait behind those that do not.
const (
	laneReady = iota
	lanePending
	laneFailed
	lanes
	laneNone = -1
)

// next returns the neighbour to ask now, and whether only the station known so
// far is asked; or nil and when to call again (zero: nothing to do). It
// declares failed what has not answered its last question, unless it comes late: the
// answer may have arrived, unread.
func (t *neighbours) next(now time.Time) (n *neighbour, unicast bool, again time.Time) {
	for {
		n, again = t.first(now)
		if n == nil {
			return nil, false, again
		}
		waits := pendingWaits
		switch n.state {
		case HopReady:
			waits = readyWaits
		case HopFailed:
			waits = nil
		}
		if waits != nil && n.asks >= len(waits) {
			if !n.looked && now.Sub(n.due) > late {
				n.looked = true
				t.wait(n, now.Add(lastLook))
				continue
			}
			t.log.Warn("next hop does not answer", "address", n.hop.Addr, "asks", n.asks)
			t.set(n, HopFailed)
			t.wait(n, n.due)
			continue
		}
		if t.free.After(now) {
			return nil, false, t.free
		}
		if floor := now.Add(-askBurst * askGap); t.free.Before(floor) {
			t.free = floor
		}
		t.free = t.free.Add(askGap)
		t.turn = n.state == HopReady

		unicast = n.state == HopReady && n.asks < unicastAsks
		pause := askEvery
		if waits != nil {
			pause = waits[n.asks]
		}
		n.asks++
		n.asked, n.looked = now, false
		t.wait(n, now.Add(pause))
		return n, unicast, time.Time{}
	}
}

// unasked takes back the question that next asked for and that could not leave:
// what our own side did not ask is no silence of the neighbour's. It is asked
// again as soon as it would have been if it did not answer.
func (n *neighbour) unasked() { n.asks-- }

// first returns the neighbour that is due and whose turn it is, or when the
// next one is due.
func (t *neighbours) first(now time.Time) (*neighbour, time.Time) {
	var silent *neighbour // due, and does not answer
	var ready *neighbour
	var again time.Time
	for i := range t.lane {
		if len(t.lane[i]) == 0 {
			continue
		}
		n := t.lane[i][0]
		switch {
		case n.due.After(now):
			if again.IsZero() || n.due.Before(again) {
				again = n.due
			}
		case i == laneReady:
			ready = n
		case silent == nil:
			silent = n
		}
	}
	if ready == nil || silent != nil && t.turn {
		ready = silent
	}
	return ready, again
}

// wait puts n into the lane of its state, to be looked at when due.
func (t *neighbours) wait(n *neighbour, due time.Time) {
	t.leave(n)
	if n.pinned {
		return
	}
	n.due = due
	switch n.state {
	case HopReady:
		n.lane = laneReady
	case HopPending:
		n.lane = lanePending
	case HopFailed:
		n.lane = laneFailed
	default:
		return
	}
	heap.Push(&t.lane[n.lane], n)
}

func (t *neighbours) leave(n *neighbour) {
	if n.lane != laneNone {
		heap.Remove(&t.lane[n.lane], n.at)
		n.lane = laneNone
	}
}

// doubt asks all stations at once, unless that is under way.
func (t *neighbours) doubt(n *neighbour, now time.Time) {
	if n.asks < unicastAsks {
		n.asks = unicastAsks
		t.wait(n, now)
	}
}

// askQueue is a heap (container/heap) of neighbours by due time.
type askQueue []*neighbour

func (q askQueue) Len() int           { return len(q) }
func (q askQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q askQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].at, q[j].at = i, j }

// Push is for container/heap.
func (q *askQueue) Push(x any) {
	n := x.(*neighbour)
	n.at = len(*q)
	*q = append(*q, n)
}

// Pop is for container/heap.
func (q *askQueue) Pop() any {
	old := *q
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return n
}
