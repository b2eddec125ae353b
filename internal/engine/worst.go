// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// Answers is how one address of a target answered in its last rounds, from all
// sources of all groups. Rounds whose answers may still come are left out.
type Answers struct {
	Target         string
	Address        netip.Addr
	Sent, Answered uint64 // Answered counts those in time only
	// RoundTrip is the mean over the paths: of a path with one probe per round it
	// is the last round trip. 0: none is known.
	RoundTrip time.Duration
}

// Loss is the share of probes without an answer in time.
func (a *Answers) Loss() float64 { return float64(a.Sent-a.Answered) / float64(a.Sent) }

// CompareWorst orders addresses: the one that lost the larger share first, and
// of two that lost the same, the slower one.
func CompareWorst(a, b Answers) int {
	return cmp.Or(cmp.Compare(b.Loss(), a.Loss()), cmp.Compare(b.RoundTrip, a.RoundTrip),
		cmp.Compare(a.Target, b.Target), a.Address.Compare(b.Address))
}

// Worst returns the n addresses that answered worst, worst first: of one
// target, or with "" of all. It returns false when there is no such target. Any
// goroutine may call it; no packet waits for it.
func (e *Engine) Worst(name string, n int) ([]Answers, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var worst []Answers
	cut := func(to int) {
		slices.SortFunc(worst, CompareWorst)
		worst = worst[:min(len(worst), to)]
	}
	look := func(number uint32, t *target) {
		for a := range t.plan.Addrs {
			if got := e.answersOf(number, t, a); got.Sent > 0 {
				worst = append(worst, got)
			}
			if len(worst) >= 2*n+1024 {
				cut(n)
			}
		}
	}
	if name != "" {
		number, ok := e.named()[name]
		if !ok {
			return nil, false
		}
		look(number, e.targets.at(number))
	} else {
		for number := uint32(1); number < e.targets.used; number++ {
			if t := e.targets.at(number); t.plan != nil && !t.gone() && !t.plan.Once {
				look(number, t)
			}
		}
	}
	cut(n)
	return worst, true
}

// answersOf adds up the paths to address a of a target.
func (e *Engine) answersOf(number uint32, t *target, a int) Answers {
	sum := Answers{Target: t.plan.Name, Address: e.address(number, a)}
	open := openRounds(t.plan, time.Duration(e.interval.Load()))
	var trips, answers float64
	for g := range t.plan.Groups {
		s, sources := e.series.at(t.series+uint32(g)), len(t.plan.Groups[g].Sources)
		for i := range sources {
			l := e.legs.at(s.legs + uint32(a*sources+i))
			if l.long != 0 {
				for at, r := range e.histories.at(l.long).read(uint32(l.short.Load())) {
					if at >= open {
						sum.Sent += uint64(r.Sent)
						sum.Answered += uint64(r.Answered)
						trips += float64(r.RoundTrip) * float64(r.Answered)
						answers += float64(r.Answered)
					}
				}
				continue
			}
			v := l.short.Load()
			sent, answered := uint16(v>>48)>>open, uint16(v>>32)>>open
			sum.Sent += uint64(bits.OnesCount16(sent))
			sum.Answered += uint64(bits.OnesCount16(answered))
			if answered != 0 {
				trips += float64(math.Float32frombits(uint32(v)))
				answers++
			}
		}
	}
	if answers > 0 {
		sum.RoundTrip = time.Duration(trips / answers)
	}
	return sum
}

// openRounds is how many of the newest rounds may still be owed answers.
func openRounds(t *plan.Target, interval time.Duration) int {
	return 1 + int((t.Timeout+grace)/interval)
}
