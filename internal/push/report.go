// SPDX-License-Identifier: Apache-2.0

package push

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// sameAgain is how often a failure that goes on is said, anotherAgain how
	// soon one of another kind.
	sameAgain    = 5 * time.Minute
	anotherAgain = time.Minute
)

// report tells a person when pushing begins to fail, why, and when it works
// again. Any goroutine may use it.
type report struct {
	log *slog.Logger

	mu      sync.Mutex
	failing bool
	kind    string    // of what was said last
	at      time.Time // when
	dropped int       // pages, since pushing began to fail
	saidBig time.Time // when a page was said to be too large
}

// good notes a page that was delivered.
func (r *report) good(waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		r.log.Info("push: works again", "waiting", waiting, "dropped", r.dropped)
	}
	r.failing, r.kind, r.dropped, r.at = false, "", 0, time.Time{}
}

// bad notes an attempt that failed.
func (r *report) bad(err error, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind, text := "other", "push: a page is not delivered; it is kept and tried again"
	if f, ok := errors.AsType[*failure](err); ok {
		kind = f.kind
		if f.final {
			text = "push: a page is not delivered"
		}
	}
	again := sameAgain
	if kind != r.kind {
		again = anotherAgain
	}
	r.failing = true
	if time.Since(r.at) < again {
		return
	}
	r.kind, r.at = kind, time.Now()
	r.log.Warn(text, "error", err, "waiting", waiting, "dropped", r.dropped)
}

// full notes pages that were dropped because too many waited.
func (r *report) full(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped == 0 {
		r.log.Warn("push: push.buffer is full; the oldest pages are dropped from now on, netprobe_push_dropped_total counts them")
	}
	r.dropped += n
}

// tooLarge notes a page that is larger than the whole buffer.
func (r *report) tooLarge(buffer int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.saidBig) < sameAgain {
		return
	}
	r.saidBig = time.Now()
	r.log.Warn("push: a page is larger than push.buffer and is dropped; raise push.buffer", "buffer_bytes", buffer)
}
