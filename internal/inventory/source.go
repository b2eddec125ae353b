// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"time"
)

// Source is where a list of targets comes from: a File, an HTTP address or a
// Command. It is immutable, so any goroutine may use it.
type Source interface {
	// Run hands over the list each time it may have changed, and each failure to
	// get it, until ctx ends. It calls take from its own goroutine, once at a
	// time. The error of take says why a list cannot be used; the source then
	// does not count on its having been taken.
	Run(ctx context.Context, take func(Delivery) error)
}

// Delivery is what a source has to say.
type Delivery struct {
	// Err is why there is no list; the last one holds.
	Err error
	// Same is whether the list is the one that was taken last.
	Same bool
	// Data is the whole list, unless it is in a file: whoever takes it reads
	// that. It must not be changed.
	Data []byte
}

// Waits after failures: the first, doubled with each further one.
const (
	firstWait = time.Second
	maxWait   = time.Minute
)

// backoff is how long to wait after a number of failures in a row, at most
// longest.
func backoff(failures int, longest time.Duration) time.Duration {
	wait := firstWait
	for ; failures > 1 && wait < longest; failures-- {
		wait *= 2
	}
	return min(wait, longest)
}

// pause waits, and returns false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// poll gets a list at an interval, sooner after a failure.
func poll(ctx context.Context, interval time.Duration, get func(context.Context) Delivery, take func(Delivery) error) {
	for failures := 0; ; {
		d := get(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := interval
		if err := take(d); d.Err != nil {
			failures++
			wait = backoff(failures, interval)
		} else if err == nil {
			failures = 0
		}
		if !pause(ctx, wait) {
			return
		}
	}
}
