// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// A path's history is what it did in its last rounds. Where a round has one
// probe of the path, it is a word of the leg: bits of the last 16 rounds, sent and
// answered, and the last round trip. Where it has several, it is a history.

// historyRounds is how many rounds a history holds.
const historyRounds = 8

// shortRounds is how many rounds the word of a leg holds.
const shortRounds = 16

// history is that of a path with several probes per round: sent 16 bits, answered 16,
// sum of round trips 32 (float32, ns). It is one line of the cache; which round is the
// newest stands in the leg. Only the owning worker writes; any goroutine may read, and
// sees each round's figures of one moment.
type history [historyRounds]atomic.Uint64

// noteLost counts a probe of this round that stayed without a round trip, once that
// is known.
func (e *Engine) noteLost(l *leg, round uint32) {
	if l.long != 0 {
		e.histories.at(l.long).note(l, round, 0, 0)
		return
	}
	l.note(uint8(round), 0, uint32(l.short.Load()))
}

// noteAnswered counts a probe of this round that was answered.
func (e *Engine) noteAnswered(l *leg, round uint32, rtt time.Duration) {
	if l.long != 0 {
		e.histories.at(l.long).note(l, round, 1, float32(rtt))
		return
	}
	l.note(uint8(round), 1, math.Float32bits(float32(rtt)))
}

// note adds a probe to the leg's short history, of a round fewer than
// shortRounds behind the newest, or later than it.
func (l *leg) note(round uint8, answered uint64, rtt uint32) {
	v := l.short.Load()
	back := l.round - round
	if back >= shortRounds {
		on := min(round-l.round, shortRounds)
		v = uint64(uint16(v>>48)<<on)<<48 | uint64(uint16(v>>32)<<on)<<32
		l.round, back = round, 0
	}
	l.short.Store(v&^math.MaxUint32 | (1<<48|answered<<32)<<back | uint64(rtt))
}

func (h *history) entry(round uint32) *atomic.Uint64 { return &h[round%historyRounds] }

// note adds a probe of l, whose history it is, to the entry of its round.
func (h *history) note(l *leg, round uint32, answered uint64, rtt float32) {
	e := h.entry(round)
	if newest := uint32(l.short.Load()); newest-round >= historyRounds {
		if int32(round-newest) < 0 {
			return // too long ago
		}
		for on := range min(round-newest, historyRounds) {
			h.entry(round - on).Store(0)
		}
		l.short.Store(uint64(round))
	}
	v := e.Load()
	if v>>48 == math.MaxUint16 {
		return
	}
	sum := math.Float32frombits(uint32(v)) + rtt
	e.Store((v>>32+1<<16+answered)<<32 | uint64(math.Float32bits(sum)))
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

// Paths returns what the paths of a target did in their last rounds, newest
// first, and how many paths there are; none for an unknown target. It returns at
// most so many, of each group the same number at most: a prefix can have millions.
// Any goroutine may call it.
func (e *Engine) Paths(name string, most int) (paths []Path, total int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.named()[name]
	if !ok {
		return nil, 0
	}
	t := e.targets.at(n)
	for g := range t.plan.Groups {
		group := &t.plan.Groups[g]
		s := e.series.at(t.series + uint32(g))
		all := len(t.plan.Addrs) * len(group.Sources)
		total += all
		for i := range min(all, max(1, most/len(t.plan.Groups))) {
			l := e.legs.at(s.legs + uint32(i))
			p := Path{Group: group.Name, Remote: e.address(n, i/len(group.Sources))}
			if f, _ := l.way(); f != 0 {
				var id packet.Flow
				e.identify(e.flows.at(f), &id)
				p.Local, p.SourcePort = id.Local, id.LocalPort
			}
			if l.long != 0 {
				p.Rounds = e.histories.at(l.long).read(uint32(l.short.Load()))
			} else {
				p.Rounds = readShort(l.short.Load())
			}
			paths = append(paths, p)
		}
	}
	return paths, total
}

func (h *history) read(newest uint32) []PathRound {
	var out []PathRound
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
