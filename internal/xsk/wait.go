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

// Wait returns when a reply arrived, d has passed, or a signal came.
func (w *Waiter) Wait(d time.Duration) {
	wait(w.fds, unix.NsecToTimespec(max(0, int64(d)))) // the caller looks at its rings and its clock whatever this says
}
