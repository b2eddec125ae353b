// SPDX-License-Identifier: Apache-2.0

package xsk

import (
	"time"

	"golang.org/x/sys/unix"
)

// Waiter sleeps until a reply arrives on one of its sockets. One goroutine may
// use it.
type Waiter struct{ fds []unix.PollFd }

// NewWaiter returns a Waiter for these sockets.
func NewWaiter(sockets []*Socket) *Waiter {
	w := &Waiter{fds: make([]unix.PollFd, len(sockets))}
	for i, s := range sockets {
		w.fds[i] = unix.PollFd{Fd: int32(s.FD()), Events: unix.POLLIN}
	}
	return w
}

// shortSleep is up to when a sleep costs less than handing the processor over for
// it. Longer ones are rare, and the scheduler is told of them: a thread that is held
// up in one, by a debugger or because its CPU is taken, must not hold up the others,
// who wait for it when garbage is collected.
const shortSleep = 2 * time.Millisecond

// Wait returns when a reply arrived, d has passed, or a signal came.
func (w *Waiter) Wait(d time.Duration) {
	// The caller looks at its rings and its clock whatever these say.
	ts := unix.NsecToTimespec(max(0, int64(d)))
	if d <= shortSleep {
		wait(w.fds, ts)
		return
	}
	_, _ = unix.Ppoll(w.fds, &ts, nil)
}
