// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// tendEvery is how often a port is looked after. What changed is mended within
// this time and what the mending takes: two seconds are promised for both.
const tendEvery = 250 * time.Millisecond

// tend keeps a port's program and sockets where its interface is, until ctx
// ends:
//
//	the interface is gone             everything is closed until one of its name is there
//	the program was taken off         it is attached again
//	there are more receive queues     they get sockets
//	the MTU needs larger UMEM frames  all sockets are opened anew
//
// What stands in the way is said once, and tried again.
func (t *port) tend(ctx context.Context, log *slog.Logger) {
	said := ""
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := t.mend(ctx, log)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			log.Warn("the interface cannot be probed through as it should be; trying again", "interface", t.name, "error", err)
		}
	}
}

// mend does what there is to do now.
func (t *port) mend(ctx context.Context, log *slog.Logger) error {
	if t.link.Gone() {
		if err := t.letGo(ctx); err != nil {
			return err
		}
		if err := t.link.Reopen(); err != nil {
			return err
		}
	}
	info, err := t.link.Info()
	if err != nil {
		return err // it may be going just now
	}
	attached, err := t.program.Attached()
	switch {
	case err != nil:
		return err
	case !attached && len(t.sockets) > 0, len(t.sockets) > 0 && frameSizeFor(info.MTU) > t.options.frameSize:
		log.Warn("opening the interface anew", "interface", t.name, "attached", attached, "mtu", info.MTU)
		if err := t.letGo(ctx); err != nil {
			return err
		}
		fallthrough
	case len(t.sockets) == 0:
		if err := t.program.Fit(mostQueues(info)); err != nil {
			return err
		}
		if err := t.open(log, info); err != nil {
			return err
		}
	case receiveQueues(info) > len(t.sockets):
		if err := t.grow(log, info); err != nil {
			return err
		}
	default:
		return nil
	}
	return t.engine.Use(ctx, t.sockets, xsk.MaxFrame(t.options.frameSize))
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

// grow opens sockets on queues that were added.
func (t *port) grow(log *slog.Logger, info netdev.Info) error {
	before := len(t.sockets)
	if err := t.link.Do(func() error { return t.openSockets(info) }); err != nil {
		return err
	}
	log.Info("receive queues were added, and have sockets now", "interface", t.name, "were", before, "are", len(t.sockets))
	return nil
}
