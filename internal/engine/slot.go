// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"
)

// A slot remembers one probe from just before it is sent until it rests. The
// owning worker writes everything; any worker that sees the answer may move the
// word with one CAS, and reads the rest. What the owner alone needs is in the
// probe's flight.
type slot struct {
	// word: generation (16 bits), state (3 bits), and 45 bits: of a probe in flight
	// the number of its flight, of an answered one the receive time.
	word   atomic.Uint64
	leg    atomic.Uint32 // what the probe counts for
	offset atomic.Uint32 // TCP: sequence number relative to the flow's base
}

// The states of a slot. Receivers move inFlight to answered or refused, and
// expired to lateAnswered, and doubted to settled. The owner does everything
// else.
const (
	free         = iota // never used, or withdrawn
	inFlight            // an answer is owed
	answered            // an answer came, not yet counted
	refused             // an ICMP error ended the wait, not yet counted
	settled             // counted; another answer is a duplicate
	expired             // counted as lost; an answer is late
	lateAnswered        // counted as lost, and the late answer was seen
	doubted             // counted as unknown; an answer may have come in time and been read late
)

const (
	timeBits   = 45 // 9.7 hours in ns
	timeMask   = 1<<timeBits - 1
	stateShift = timeBits
	stateMask  = 7
	genShift   = timeBits + 3
)

func wordOf(gen uint16, state uint64, rest int64) uint64 {
	return uint64(gen)<<genShift | state<<stateShift | uint64(rest)&timeMask
}

// flightOf returns the number of the flight of a probe that is in flight.
func flightOf(word uint64) uint32 { return uint32(word & timeMask) }

func stateOf(word uint64) uint64 { return word >> stateShift & stateMask }

func genOf(word uint64) uint16 { return uint16(word >> genShift) }

// busy says whether the probe in the slot still has to be counted.
func (s *slot) busy() bool {
	st := stateOf(s.word.Load())
	return st == inFlight || st == answered || st == refused
}

// roundTrip returns the time from sent to the receive time in word: negative
// when the clocks disagree.
func roundTrip(sent int64, word uint64) time.Duration {
	d := (word - uint64(sent)) & timeMask
	if d > timeMask/2 {
		return time.Duration(int64(d) - timeMask - 1)
	}
	return time.Duration(d)
}

// verdict is what became of an answer.
type verdict uint8

const (
	claimed   verdict = iota // the slot has its answer
	late                     // after it was given up
	duplicate                // it had its answer
	doubtful                 // after its probe was counted as unknown
	noProbe                  // no such probe
)

// claim gives the probe seen in word its answer, exactly once over all workers.
func (s *slot) claim(word, to uint64, rx int64) verdict {
	for {
		gen := genOf(word)
		switch stateOf(word) {
		case free:
			return noProbe
		case inFlight:
			if s.word.CompareAndSwap(word, wordOf(gen, to, rx)) {
				return claimed
			}
		case expired:
			if s.word.CompareAndSwap(word, wordOf(gen, lateAnswered, rx)) {
				return late
			}
		case doubted:
			if s.word.CompareAndSwap(word, wordOf(gen, settled, rx)) {
				return doubtful
			}
		default:
			return duplicate
		}
		now := s.word.Load()
		if genOf(now) != gen {
			return noProbe
		}
		word = now
	}
}
