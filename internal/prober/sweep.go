// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// sweep carries a layout out, chunk after chunk. The goroutine of probeOnce uses it.
type sweep struct {
	*prober
	layout  *oneshot.Layout
	report  *oneshot.Report
	ports   ports
	foreign bool
}

// chunk is a part of it that is under way.
type chunk struct {
	watches map[*engine.Watch][]*oneshot.Piece
	pieces  map[*plan.Target]*oneshot.Piece
	left    uint64 // probes that are not accounted for
	made    time.Time
	ends    time.Time // when the last one leaves; zero: it has not begun
	heard   time.Time
	longest time.Duration // timeout
	err     error
}

const (
	// mostHeld bounds the paths that engines hold for this, those included that
	// were probed a moment ago.
	mostHeld = 1 << 19
	// wake is how long a worker may take to hear of what begins.
	wake = 60 * time.Millisecond
	// askMost is how long next hops are waited for.
	askMost = 5 * time.Second
	// silence is how long after a timeout nothing must be heard of a probe before it is
	// given up: our own side did not tell.
	silence = 5 * time.Second
)

// run works until all is accounted for, or ctx ends.
func (s *sweep) run(ctx context.Context) error {
	var waiting *chunk // laid out, and to begin next
	var working []*chunk
	var making chan *chunk
	next, free := 0, time.Time{} // when what was begun last has left
	defer func() {
		if making != nil {
			waiting = <-making
		}
		for _, c := range append(working, waiting) {
			if c != nil {
				s.forget(c)
			}
		}
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for next < s.layout.Chunks() || waiting != nil || making != nil || len(working) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case c := <-making:
			if making = nil; c.err != nil {
				return c.err
			}
			waiting = c
		case <-tick.C:
		}
		if making == nil && waiting == nil && next < s.layout.Chunks() && s.held() < mostHeld {
			making = make(chan *chunk, 1)
			go func(n int) { making <- s.make(n) }(next)
			next++
		}
		if c := waiting; c != nil && time.Until(free) < 2*wake && (time.Since(c.made) > askMost || !c.pending()) {
			begin := time.Now().Add(wake)
			if free.After(begin) {
				begin = free
			}
			for w, pieces := range c.watches {
				w.Begin(begin, targets(pieces)...)
			}
			c.ends = begin.Add(s.layout.Lasts(next - 1))
			free, waiting, working = c.ends, nil, append(working, c)
		}
		working = slices.DeleteFunc(working, func(c *chunk) bool {
			s.read(c)
			if c.left == 0 {
				s.read(c) // second answers that have come meanwhile
			} else if quiet := time.Now(); quiet.After(c.ends.Add(3*c.longest+silence)) && quiet.After(c.heard.Add(3*c.longest+silence)) {
				s.report.Unread(c.left)
				c.left = 0
			}
			if c.left == 0 {
				s.forget(c)
			}
			return c.left == 0
		})
		s.report.Tick()
	}
	return nil
}

func targets(pieces []*oneshot.Piece) []*plan.Target {
	all := make([]*plan.Target, len(pieces))
	for i, p := range pieces {
		all[i] = p.Target
	}
	return all
}

// held is how many paths the busiest engine holds.
func (s *sweep) held() (most int) {
	for _, port := range s.ports {
		most = max(most, port.engine.HeldOnce())
	}
	return most
}

// make lays out a chunk and makes it known to the engines.
func (s *sweep) make(n int) *chunk {
	c := &chunk{watches: map[*engine.Watch][]*oneshot.Piece{}, pieces: map[*plan.Target]*oneshot.Piece{}, made: time.Now()}
	for at, pieces := range s.layout.Chunk(n, s.leavingBy()) {
		probes := 0
		for _, piece := range pieces {
			c.pieces[piece.Target] = piece
			probes += piece.Probes()
			c.longest = max(c.longest, piece.Timeout)
		}
		c.left += uint64(probes)
		w := s.ports[at].engine.Once(min(probes, 1<<16))
		c.watches[w] = pieces
		if err := w.Add(targets(pieces)...); err != nil {
			c.err = fmt.Errorf("interface %s: %w", s.ports[at].name, err)
		}
	}
	if c.err != nil {
		s.forget(c)
	}
	return c
}

// leavingBy says by which of our interfaces an address is reached.
func (s *sweep) leavingBy() func(netip.Addr) int {
	return func(a netip.Addr) int {
		if len(s.ports) == 1 {
			return 0
		}
		port, err := s.ports.leaving(a, netip.Addr{}, s.foreign)
		if err != nil {
			return 0 // its probes are not sent, with the reason
		}
		return max(0, slices.Index(s.ports, port))
	}
}

func (c *chunk) pending() bool {
	for w, pieces := range c.watches {
		if w.Pending(targets(pieces)...) {
			return true
		}
	}
	return false
}

// read takes what happened to a chunk.
func (s *sweep) read(c *chunk) {
	for w := range c.watches {
		w.Read(func(e *engine.Event) {
			c.heard = time.Now()
			if s.report.Event(e, c.pieces[e.Target].Addr[e.Addr]) {
				c.left--
			}
		})
	}
}

// forget gives back what engines hold for a chunk.
func (s *sweep) forget(c *chunk) {
	for w, pieces := range c.watches {
		if err := w.Forget(targets(pieces)...); err != nil {
			s.Log.Error("cannot give back what was probed once", "error", err)
		}
	}
}
