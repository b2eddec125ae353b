// SPDX-License-Identifier: Apache-2.0

package engine

// expiry holds the probes under way that share one timeout and wait for their
// answer, oldest first: a ring of flights, of which one stands for both ends. Only
// its worker uses it.
type expiry struct {
	timeout int64 // ns
	flights *flights
	ends    uint32 // its next is the oldest, its prev the newest
}

func newExpiry(timeout int64, all *flights) *expiry {
	ends := all.take()
	f := all.at(ends)
	f.next, f.prev = ends, ends
	return &expiry{timeout: timeout, flights: all, ends: ends}
}

func (e *expiry) push(n uint32) {
	f, ends := e.flights.at(n), e.flights.at(e.ends)
	f.next, f.prev = e.ends, ends.prev
	e.flights.at(ends.prev).next = n
	ends.prev = n
}

// remove takes a flight out of the queue it is in, e or another.
func (e *expiry) remove(f *flight) {
	e.flights.at(f.prev).next = f.next
	e.flights.at(f.next).prev = f.prev
	f.next, f.prev = 0, 0
}

// oldest returns the flight whose time is over first; nil when none waits.
func (e *expiry) oldest() (uint32, *flight) {
	n := e.flights.at(e.ends).next
	if n == e.ends {
		return 0, nil
	}
	return n, e.flights.at(n)
}

// pop returns the oldest flight if its time is over at now, and takes it out; nil
// otherwise.
func (e *expiry) pop(now int64) (uint32, *flight) {
	n, f := e.oldest()
	if f == nil || f.sent+e.timeout+int64(grace) > now {
		return 0, nil
	}
	e.remove(f)
	return n, f
}

// owed counts the probes that were given up in the last span, and up to as long
// before. Only its worker uses it.
type owed struct {
	start           int64 // of the current span, ns
	current, before int
}

// roll begins another span where the current one is over.
func (o *owed) roll(now, span int64) {
	if now-o.start <= span {
		return
	}
	o.before = o.current
	if now-o.start > 2*span {
		o.before = 0
	}
	o.start, o.current = now, 0
}

func (o *owed) lately() int { return o.current + o.before }
