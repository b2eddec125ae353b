// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// A path's history is what it did in its last rounds. Where a round has one
// probe of the path, it is a word of the leg: bits of the last 16 rounds, sent and
// answered, and the last round trip. Where it has several, it is a history.

// historyRounds is how many rounds a history holds.
const historyRounds = 8

// history is that of a path with several probes per round. Only the owning
// worker writes; any goroutine may read, and sees each round's figures of one
// moment.
type history struct {
	rounds [historyRounds]atomic.Uint64 // sent 16 bits, answered 16, sum of round trips 32 (float32, ns)
	round  atomic.Uint32                // newest
}

// noteSent counts a probe of this round.
func (e *Engine) noteSent(l *leg, round uint32) {
	if l.long != 0 {
		e.histories.at(l.long).sent(round)
		return
	}
	v := l.short.Load()
	behind := min(uint8(round)-l.round, 16)
	l.round = uint8(round)
	sent := uint16(v>>48)<<behind | 1
	answered := uint16(v>>32) << behind
	l.short.Store(uint64(sent)<<48 | uint64(answered)<<32 | v&math.MaxUint32)
}

// noteAnswered counts an answer to a probe of this round.
func (e *Engine) noteAnswered(l *leg, round uint32, rtt time.Duration) {
	if l.long != 0 {
		e.histories.at(l.long).answered(round, rtt)
		return
	}
	v := l.short.Load()
	if behind := l.round - uint8(round); behind < 16 {
		v |= 1 << (32 + behind)
	}
	l.short.Store(v&^math.MaxUint32 | uint64(math.Float32bits(float32(rtt))))
}

func (h *history) entry(round uint32) *atomic.Uint64 { return &h.rounds[round%historyRounds] }

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
	// RoundTrip is the mean. A path with one probe per round has it for its last
	// answer only.
	RoundTrip time.Duration
}

// Paths returns what each path of a target did in its last rounds, newest
// first; nil for an unknown target. Any goroutine may call it.
func (e *Engine) Paths(name string) []Path {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.named()[name]
	if !ok {
		return nil
	}
	t := e.targets.at(n)
	var paths []Path
	for g := range t.plan.Groups {
		group := &t.plan.Groups[g]
		s := e.series.at(t.series + uint32(g))
		for i := range len(t.plan.Addrs) * len(group.Sources) {
			l := e.legs.at(s.legs + uint32(i))
			p := Path{Group: group.Name, Remote: e.address(n, i/len(group.Sources))}
			if f, _ := l.way(); f != 0 {
				id := e.identity(e.flows.at(f))
				p.Local, p.SourcePort = id.Local, id.LocalPort
			}
			if l.long != 0 {
				p.Rounds = e.histories.at(l.long).read()
			} else {
				p.Rounds = readShort(l.short.Load())
			}
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

func readShort(v uint64) []PathRound {
	var out []PathRound
	sent, answered := uint16(v>>48), uint16(v>>32)
	told := false
	for ; sent != 0; sent, answered = sent>>1, answered>>1 {
		r := PathRound{Sent: sent & 1, Answered: answered & 1}
		if r.Answered == 1 && !told {
			r.RoundTrip, told = time.Duration(math.Float32frombits(uint32(v))), true
		}
		out = append(out, r)
	}
	return out
}
