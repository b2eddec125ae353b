// SPDX-License-Identifier: Apache-2.0

package engine

// schedule is a binary heap of targets by when their next probe is due. Only
// its worker uses it.
type schedule struct{ heap []entry }

// entry keeps the due time beside the target, so that sifting touches no
// target.
type entry struct {
	due    int64
	target *target
}

// next returns the entry that is due first.
func (s *schedule) next() (entry, bool) {
	if len(s.heap) == 0 {
		return entry{}, false
	}
	return s.heap[0], true
}

func (s *schedule) add(t *target) {
	s.heap = append(s.heap, entry{t.due(), t})
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s.heap[parent].due <= s.heap[i].due {
			break
		}
		s.heap[parent], s.heap[i] = s.heap[i], s.heap[parent]
		i = parent
	}
}

// again puts the first entry's target back in its place after its due time
// moved.
func (s *schedule) again() {
	s.heap[0].due = s.heap[0].target.due()
	s.down()
}

// drop takes the first entry out.
func (s *schedule) drop() {
	n := len(s.heap) - 1
	s.heap[0] = s.heap[n]
	s.heap[n] = entry{}
	s.heap = s.heap[:n]
	s.down()
}

func (s *schedule) down() {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s.heap) {
			return
		}
		if r := child + 1; r < len(s.heap) && s.heap[r].due < s.heap[child].due {
			child = r
		}
		if s.heap[i].due <= s.heap[child].due {
			return
		}
		s.heap[i], s.heap[child] = s.heap[child], s.heap[i]
		i = child
	}
}

// expiry holds the probes under way that share one timeout and wait for their
// answer, oldest first. Only its worker uses it.
type expiry struct {
	timeout int64 // ns
	ends    slot  // its next is the oldest, its prev the newest
}

func newExpiry(timeout int64) *expiry {
	e := &expiry{timeout: timeout}
	e.ends.next, e.ends.prev = &e.ends, &e.ends
	return e
}

func (e *expiry) push(s *slot) {
	s.next, s.prev = &e.ends, e.ends.prev
	s.prev.next, e.ends.prev = s, s
}

// remove takes a slot out of the queue it is in.
func (s *slot) remove() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.next, s.prev = nil, nil
}

// oldest returns the slot whose time is over first; nil when none waits.
func (e *expiry) oldest() *slot {
	if e.ends.next == &e.ends {
		return nil
	}
	return e.ends.next
}

// pop returns the oldest slot if its time is over at now, and takes it out.
func (e *expiry) pop(now int64) *slot {
	s := e.oldest()
	if s == nil || s.sent+e.timeout+int64(grace) > now {
		return nil
	}
	s.remove()
	return s
}
