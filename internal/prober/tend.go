// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// tendEvery is how often a port is looked after. What changed is mended within
// this time and what the mending takes: two seconds are promised for both.
const tendEvery = 250 * time.Millisecond

// tend keeps a port's program and sockets where its interface is, until ctx
// ends:
//
//	the interface is gone             until there is one of its name again
//	the program was taken off
//	there are more receive queues     which need sockets, and on veth the program anew
//	the MTU needs larger UMEM frames
//	the plan needs larger receive rings
//
// In each case the program is detached, all sockets are closed, and as soon as it
// can be all is opened again.
//
// What stands in the way is said once, and tried again.
func (t *port) tend(ctx context.Context, log *slog.Logger) {
	said := ""
	every(ctx, tendEvery, func() {
		err := t.mend(ctx, log)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			log.Warn("the interface cannot be probed through as it should be; trying again", "interface", t.name, "error", err)
		}
	})
}

// mend does what there is to do now.
func (t *port) mend(ctx context.Context, log *slog.Logger) error {
	switch reach, err := t.engine.Confirm(); {
	case len(t.sockets) == 0 && !t.link.Gone():
	case t.link.Gone():
		if err := t.letGo(ctx); err != nil {
			return err
		}
		if err := t.link.Reopen(); err != nil {
			return err
		}
	case err != nil:
		return err // it may be going just now
	case !reach.Attached, reach.Queues > len(t.sockets), frameSizeFor(t.link.MTU()) > t.options.frameSize:
		log.Warn("opening the interface anew", "interface", t.name, "attached", reach.Attached, "queues", reach.Queues, "mtu", t.link.MTU())
		if err := t.letGo(ctx); err != nil {
			return err
		}
	case t.options.rxFrames < int(t.frames.Load()):
		return t.enlarge(ctx, log)
	default:
		return nil
	}
	return t.reopen(ctx, log)
}

// reopen opens what letGo closed.
func (t *port) reopen(ctx context.Context, log *slog.Logger) error {
	info, err := t.link.Info()
	if err != nil {
		return err
	}
	if err := t.program.Fit(mostQueues(info)); err != nil {
		return err
	}
	if err := t.open(log, info); err != nil {
		return err
	}
	return t.engine.Use(ctx, t.sockets, xsk.MaxFrame(t.options.frameSize))
}

// enlarge opens the sockets anew with larger receive rings. Where that cannot be,
// it stays at those that there were, unless others still are wanted.
func (t *port) enlarge(ctx context.Context, log *slog.Logger) error {
	before, after := t.options, t.options
	after.rxFrames = int(t.frames.Load())
	stay := func(err error) {
		t.refused.Store(int64(after.rxFrames))
		t.frames.CompareAndSwap(int64(after.rxFrames), int64(before.rxFrames))
		log.Warn("the receive rings stay as they were, and hold answers for a shorter time; what does not fit them is unknown, ring_overflow", "interface", t.name, "frames", before.rxFrames, "wanted", after.rxFrames, "error", err)
	}
	if err := fits(after, before.memory()); err != nil {
		stay(err)
		return nil
	}
	log.Info("opening the interface anew for larger receive rings", "interface", t.name, "frames", after.rxFrames, "before", before.rxFrames)
	if err := t.letGo(ctx); err != nil {
		return err
	}
	t.resize(after.rxFrames)
	failed := t.reopen(ctx, log)
	if failed == nil {
		return nil
	}
	t.resize(before.rxFrames)
	err := t.reopen(ctx, log)
	if err == nil { // so it was the size
		stay(failed)
	}
	return err
}

// resize sets how many frames the receive rings hold that are opened next.
func (t *port) resize(frames int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.options.rxFrames = frames
}

// letGo takes the program off and closes the sockets, once the workers have
// let go of them.
func (t *port) letGo(ctx context.Context) error {
	if len(t.sockets) > 0 {
		if err := t.engine.Use(ctx, nil, xsk.MaxFrame(t.options.frameSize)); err != nil {
			return err
		}
	}
	return errors.Join(t.program.Detach(), t.closeSockets())
}
