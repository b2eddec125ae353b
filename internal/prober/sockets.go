// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

const (
	// ringSpan is how much of the planned rate the receive rings hold.
	ringSpan = 0.25 // s
	minRing  = 2048 // frames
	maxRing  = 65536
	txFrames = 1024
	// tooSmall is how many times larger receive rings would be than they are before
	// the sockets are opened anew for it: they hold less than half of ringSpan then.
	tooSmall = 4
)

// socketOptions are how a port's program is attached and its sockets are opened.
type socketOptions struct {
	mode      string // of XDP, as configured
	bind      string // as configured
	rxFrames  int
	frameSize int // bytes; of the sockets that are open, or were last
	queues    int // that had one each
}

// rxFrames is how many frames a receive ring holds at a planned rate.
func rxFrames(pps float64) int {
	rx := minRing
	for float64(rx) < ringSpan*pps && rx < maxRing {
		rx *= 2
	}
	return rx
}

// size says for which rate the port is used from now on. Where its receive rings
// are too small for it, tend opens the sockets anew.
func (t *port) size(pps float64) {
	if want := int64(rxFrames(pps)); want >= tooSmall*t.frames.Load() && want != t.refused.Load() {
		t.frames.Store(want)
	}
}

// receiveQueues is how many queues replies can arrive on.
func receiveQueues(i netdev.Info) int { return max(1, i.Queues.Receive()) }

// mostQueues is how many queues there may be once somebody adds all there can
// be.
func mostQueues(i netdev.Info) int {
	return max(receiveQueues(i), i.Queues.MaxRX+i.Queues.MaxCombined)
}

// ethernetOverhead is the header with two VLAN tags, in bytes.
const ethernetOverhead = 14 + 8

// frameSizeFor is the size of a UMEM frame that holds what an interface with
// this MTU receives, as far as there is one.
func frameSizeFor(mtu int) int {
	if xsk.MaxFrame(2048) < mtu+ethernetOverhead {
		return 4096
	}
	return 2048
}

// open attaches the program and opens a socket on every receive queue. Where
// it fails the program is detached and no socket is open.
func (t *port) open(log *slog.Logger, info netdev.Info) error {
	t.mu.Lock()
	t.options.frameSize, t.options.queues = frameSizeFor(info.MTU), receiveQueues(info)
	t.mu.Unlock()
	mode, err := modeFor(t.options.mode, info)
	if err == nil {
		err = fits(t.options, 0)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", t.link.Name(), err)
	}
	err = t.link.Do(func() error {
		attachment, err := t.program.Attach(info.Index, mode)
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.attachment = attachment
		t.mu.Unlock()
		return t.openSockets(info)
	})
	if err != nil {
		return errors.Join(t.explain(err), t.program.Detach(), t.closeSockets())
	}
	log.Info("attached", "interface", t.link.Name(), "xdp", t.attachment.Mode, "bind", t.bind(), "queues", len(t.sockets), "driver", info.Driver)
	if mode != t.options.mode {
		log.Warn("native XDP on a bond hands no answers to our sockets; generic mode costs more and stamps later", "interface", t.link.Name())
	}
	if t.attachment.Refusal != "" {
		log.Warn("the driver refused native XDP; generic mode costs more and stamps later", "interface", t.link.Name(), "refusal", t.attachment.Refusal)
	}
	return nil
}

// modeFor is the mode of XDP that is attached for a configured one. A bond
// takes a native program and runs it on its slaves, but a socket on the bond gets no
// frame of theirs (net/xdp/xsk.c, xsk_rcv_check): every answer would be lost.
func modeFor(configured string, info netdev.Info) (string, error) {
	switch {
	case info.Driver != "bonding":
		return configured, nil
	case configured == steer.ModeNative:
		return "", exitcode.With(exitcode.Unavailable, errors.New("native XDP on a bond hands no answers to our sockets; use --xdp-mode generic or auto"))
	}
	return steer.ModeGeneric, nil
}

// openSockets opens a socket on every receive queue, inside the interface's
// namespace.
func (t *port) openSockets(info netdev.Info) error {
	for q := range t.options.queues {
		s, err := xsk.Open(xsk.Options{
			Ifindex: info.Index, Queue: q, RxFrames: t.options.rxFrames, TxFrames: txFrames,
			FrameSize: t.options.frameSize, Bind: t.options.bind,
		})
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.sockets = append(t.sockets, s)
		t.mu.Unlock()
		if err := t.program.Register(q, s.FD()); err != nil {
			return err
		}
	}
	return nil
}

// closeSockets closes all sockets, which nobody uses any more, and keeps what
// they counted.
func (t *port) closeSockets() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for q, s := range t.sockets {
		if q == len(t.dropped) {
			t.dropped = append(t.dropped, xsk.Stats{})
		}
		if st, err := s.Stats(); err == nil {
			t.dropped[q].RxRingFull += st.RxRingFull
			t.dropped[q].FillRingEmpty += st.FillRingEmpty
		}
		errs = append(errs, s.Close())
	}
	t.sockets = nil
	return errors.Join(errs...)
}

// bind is how the sockets are bound: "copy" or "zerocopy".
func (t *port) bind() string {
	if len(t.sockets) > 0 && t.sockets[0].ZeroCopy() {
		return "zerocopy"
	}
	return "copy"
}

// drops are what the sockets of each receive queue dropped since the start.
func (t *port) drops() ([]xsk.Stats, error) {
	all := slices.Clone(t.dropped)
	var errs []error
	for q, s := range t.sockets {
		if q == len(all) {
			all = append(all, xsk.Stats{})
		}
		st, err := s.Stats()
		errs = append(errs, err)
		all[q].RxRingFull += st.RxRingFull
		all[q].FillRingEmpty += st.FillRingEmpty
	}
	return all, errors.Join(errs...)
}
