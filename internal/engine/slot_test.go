// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWordHoldsGenerationStateAndTime(t *testing.T) {
	for _, gen := range []uint16{0, 1, 0x8000, 0xffff} {
		for state := uint64(free); state <= lateAnswered; state++ {
			for _, ns := range []int64{0, 1, timeMask, timeMask + 5} {
				w := wordOf(gen, state, ns)
				if genOf(w) != gen || stateOf(w) != state || w&timeMask != uint64(ns)&timeMask {
					t.Errorf("wordOf(%d, %d, %d) = %#x", gen, state, ns, w)
				}
			}
		}
	}
}

func TestRoundTripOverTheWrap(t *testing.T) {
	const wrap = int64(1) << timeBits
	for _, c := range []struct {
		sent, received int64
		want           time.Duration
	}{
		{1000, 3500, 2500},
		{wrap - 10, wrap + 20, 30},
		{5*wrap - 1, 5 * wrap, 1},
		{3000, 2000, -1000}, // clocks that disagree must not look like hours
		{wrap + 5, wrap - 5, -10},
	} {
		if got := roundTrip(c.sent, wordOf(7, answered, c.received)); got != c.want {
			t.Errorf("sent %d received %d: %v, want %v", c.sent, c.received, got, c.want)
		}
	}
}

func TestClaimByState(t *testing.T) {
	for _, c := range []struct {
		state, after uint64
		want         verdict
	}{
		{free, free, noProbe},
		{inFlight, answered, claimed},
		{answered, answered, duplicate},
		{refused, refused, duplicate},
		{settled, settled, duplicate},
		{expired, lateAnswered, late},
		{lateAnswered, lateAnswered, duplicate},
	} {
		var s slot
		s.word.Store(wordOf(3, c.state, 0))
		if got := s.claim(s.word.Load(), answered, 99); got != c.want || stateOf(s.word.Load()) != c.after {
			t.Errorf("state %d: verdict %d state %d, want %d %d", c.state, got, stateOf(s.word.Load()), c.want, c.after)
		}
	}
	// The slot went on to another probe between the look and the claim.
	var s slot
	seen := wordOf(3, inFlight, 0)
	s.word.Store(wordOf(4, inFlight, 0))
	if got := s.claim(seen, answered, 99); got != noProbe || stateOf(s.word.Load()) != inFlight {
		t.Errorf("claim of a slot that moved on: %d", got)
	}
}

// Many workers that see copies of one answer while the owner gives the probe up:
// exactly one of them, or the owner, decides.
func TestClaimedExactlyOnce(t *testing.T) {
	for round := range 2000 {
		var s slot
		gen := uint16(round)
		s.word.Store(wordOf(gen, inFlight, 0))
		var claims, lates atomic.Int32
		var expiredFirst bool
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				switch s.claim(s.word.Load(), answered, 5) {
				case claimed:
					claims.Add(1)
				case late:
					lates.Add(1)
				}
			})
		}
		all.Go(func() {
			w := s.word.Load()
			expiredFirst = stateOf(w) == inFlight && s.word.CompareAndSwap(w, wordOf(gen, expired, 0))
		})
		all.Wait()
		if n := claims.Load(); expiredFirst && n != 0 || !expiredFirst && n != 1 || lates.Load() > 1 || expiredFirst && lates.Load() > 1 {
			t.Fatalf("expired %v, claimed %d times, late %d", expiredFirst, n, lates.Load())
		}
	}
}
