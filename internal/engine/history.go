// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// historyRounds is how many rounds a path's history holds.
const historyRounds = 8

// history is what one path did in the last rounds. Only the owning worker
// writes; any goroutine may read, and sees each round's figures of one moment.
type history struct {
	rounds [historyRounds]atomic.Uint64 // sent 16 bits, answered 16, sum of round trips 32 (float32, ns)
	round  atomic.Uint32                // newest
}

func (h *history) entry(round uint32) *atomic.Uint64 { return &h.rounds[round%historyRounds] }

// sent counts a probe of this round; the first one begins it.
func (h *history) sent(round uint32) {
	e := h.entry(round)
	if h.round.Load() != round {
		e.Store(0)
		h.round.Store(round)
	}
	if v := e.Load(); v>>48 < math.MaxUint16 {
		e.Store(v + 1<<48)
	}
}

// answered counts an answer to a probe of this round.
func (h *history) answered(round uint32, rtt time.Duration) {
	e := h.entry(round)
	v := e.Load()
	if v>>32&math.MaxUint16 == math.MaxUint16 {
		return
	}
	sum := math.Float32frombits(uint32(v)) + float32(rtt)
	e.Store(v&^math.MaxUint32 + 1<<32 | uint64(math.Float32bits(sum)))
}

// Path is one source port to one address of a target in one group, over its
// last rounds.
type Path struct {
	Group         string
	Local, Remote netip.Addr // Local is the zero Addr while it cannot be sent to
	SourcePort    uint16     // ICMP: the echo identifier
	Rounds        []PathRound
}

// PathRound is one round of a path. The newest may still be under way.
type PathRound struct {
	Sent, Answered uint16 // at most 65535 each
	RoundTrip      time.Duration
}

// Paths returns what each path of a target did in its last rounds, newest
// first; nil for an unknown target. Any goroutine may call it.
func (e *Engine) Paths(target string) []Path {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.targets[target]
	if t == nil {
		return nil
	}
	var paths []Path
	for _, s := range t.series {
		for i := range s.legs {
			l := &s.legs[i]
			p := Path{Group: s.group.Name, Remote: t.bound[i/len(s.group.Sources)]}
			if f := l.flow.Load(); f != nil {
				p.Local, p.SourcePort = f.Local, f.LocalPort
			}
			p.Rounds = l.history.read()
			paths = append(paths, p)
		}
	}
	return paths
}

func (h *history) read() []PathRound {
	var out []PathRound
	newest := h.round.Load()
	for back := range uint32(historyRounds) {
		v := h.entry(newest - back).Load()
		if v == 0 {
			break
		}
		r := PathRound{Sent: uint16(v >> 48), Answered: uint16(v >> 32)}
		if r.Answered > 0 {
			r.RoundTrip = time.Duration(math.Float32frombits(uint32(v)) / float32(r.Answered))
		}
		out = append(out, r)
	}
	return out
}
