// SPDX-License-Identifier: Apache-2.0

package engine

// expiry holds the probes under way that share one timeout and wait for their
// answer, oldest first: a ring of slots, of which one stands for both ends. Only
// its worker uses it.
type expiry struct {
	timeout int64 // ns
	slots   *arena[slot]
	ends    uint32 // its next is the oldest, its prev the newest
}

// newExpiry makes a queue of ends, a slot of its own.
func newExpiry(timeout int64, slots *arena[slot], ends uint32) *expiry {
	e := slots.at(ends)
	e.next, e.prev = ends, ends
	return &expiry{timeout: timeout, slots: slots, ends: ends}
}

func (e *expiry) push(n uint32) {
	s, ends := e.slots.at(n), e.slots.at(e.ends)
	s.next, s.prev = e.ends, ends.prev
	e.slots.at(ends.prev).next = n
	ends.prev = n
}

// remove takes a slot out of the queue it is in, e or another.
func (e *expiry) remove(s *slot) {
	e.slots.at(s.prev).next = s.next
	e.slots.at(s.next).prev = s.prev
	s.next, s.prev = 0, 0
}

// oldest returns the slot whose time is over first; nil when none waits.
func (e *expiry) oldest() (uint32, *slot) {
	n := e.slots.at(e.ends).next
	if n == e.ends {
		return 0, nil
	}
	return n, e.slots.at(n)
}

// pop returns the oldest slot if its time is over at now, and takes it out; nil
// otherwise.
func (e *expiry) pop(now int64) (uint32, *slot) {
	n, s := e.oldest()
	if s == nil || s.sent+e.timeout+int64(grace) > now {
		return 0, nil
	}
	e.remove(s)
	return n, s
}
