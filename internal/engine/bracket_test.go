// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// kicker answers probes of series whose kicks took as long as it is told.
type kicker struct {
	*loop
	slot, round uint32
}

func newKicker() *kicker {
	k := &kicker{loop: newLoop()}
	k.slot = k.engine.slots.take(1)
	return k
}

// series enters a target of one address that is probed from this many source ports.
func (k *kicker) series(name string, typ *probe.Type, addr string, ports int) *series {
	to := netip.MustParseAddr(addr)
	p := &plan.Target{
		Name: name, Type: typ, Family: "ipv4", Addrs: []netip.Addr{to}, Timeout: time.Second,
		Groups: []plan.Group{{Name: "g", NbPackets: 1, PayloadLen: 8, Sources: make([]plan.Source, ports), Order: []uint32{0}}},
	}
	if to.Is6() {
		p.Family = "ipv6"
	}
	e := k.engine
	return e.series.at(e.targets.at(e.enter(p)).series)
}

// answer counts an answer to a probe of s, whose kick had this bracket, and returns
// whether it was marked.
func (k *kicker) answer(s *series, bracket uint32) bool {
	e := k.engine
	before := marked(s)
	k.round++
	r := k.begin(s, k.round)
	r.left--
	r.Sent++
	n := k.flights.take()
	*k.flights.at(n) = flight{slot: k.slot, round: k.round, sent: 1000, bracket: bracket}
	sl := e.slots.at(k.slot)
	ports := uint32(len(e.targets.at(s.target).plan.Groups[0].Sources))
	sl.leg.Store(s.legs + k.round%ports)
	word := wordOf(uint16(k.round), inFlight, int64(n))
	sl.word.Store(word)
	k.conclude(n, word, answered, 1700)
	return marked(s) != before
}

func marked(s *series) uint64 {
	var snap result.Snapshot
	s.result.Snapshot(&snap)
	return snap.Marked
}

// Series whose kicks always take long are not marked because others' are short, be they of
// another kind or of the same, many or few; kicks that were interrupted are, of each.
func TestSlowSeriesIsMarkedForItsInterruptionsOnly(t *testing.T) {
	us := func(n float64) uint32 { return uint32(n * 1e3) }
	for name, often := range map[string][4]int{
		"as often as each other": {1, 1, 1, 1},
		"slow ones seldom":       {20, 1, 20, 1},
		"slow ones mostly":       {1, 20, 1, 20},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKicker()
			all := []struct {
				*series
				usual float64 // us
				first int     // samples it may take to know that
			}{
				{k.series("fast ping", probe.ICMPping, "192.0.2.2", 1), 4, 0},
				{k.series("slow TCP", probe.TCPsyn, "2001:db8::2", 100), 70, 0},
				{k.series("fast UDP", probe.UDPunreachable, "192.0.2.2", 1), 6, 0},
				{k.series("slow ping", probe.ICMPping, "192.0.2.3", 1), 60, 20},
			}
			chance := rand.New(rand.NewPCG(1, 2))
			for i := range all {
				k.answer(all[i].series, us(all[i].usual))
			}
			var wrong, missed [4]int
			for round := range 2000 {
				for i, s := range all {
					for range often[i] {
						usual := s.usual * (0.9 + 0.2*chance.Float64())
						if interrupted := round%20 == 19; k.answer(s.series, us(usual)) {
							wrong[i]++
						} else if interrupted && !k.answer(s.series, us(usual+2*s.usual+30)) {
							missed[i]++
						}
					}
				}
			}
			for i, s := range all {
				if wrong[i] > s.first {
					t.Errorf("%d kicks of %v us are marked, want at most %d", wrong[i], s.usual, s.first)
				}
				if missed[i] > 0 {
					t.Errorf("%d interrupted kicks beside those of %v us are not marked", missed[i], s.usual)
				}
			}
		})
	}
}

// A series that begins with kicks that were interrupted has them marked as soon as anything
// of its kind is known, and does not take long to know better.
func TestInterruptedFromTheStart(t *testing.T) {
	k := newKicker()
	first, second := k.series("first", probe.ICMPping, "192.0.2.2", 1), k.series("second", probe.ICMPping, "192.0.2.3", 1)
	k.answer(first, 3_000_000) // nothing is known: it is what is usual
	for range 100 {
		k.answer(first, 5000)
	}
	if !k.answer(first, 40_000) {
		t.Error("100 kicks of 5 us after one of 3 ms, one of 40 us is not marked")
	}
	for _, ns := range []uint32{3_000_000, 2_000_000, 1_000_000} {
		if !k.answer(second, ns) {
			t.Errorf("a kick of a new series took %d ns, those of its kind 5 us, and it is not marked", ns)
		}
	}
	if k.answer(second, 6000) {
		t.Error("a kick as of its kind is marked")
	}
}

// A kick of several probes tells nothing of those of one, and by what these take it is
// judged: the last of its probes left that much later than the stamp.
func TestSharedKick(t *testing.T) {
	k := newKicker()
	s := k.series("t", probe.ICMPping, "192.0.2.2", 1)
	if got := k.answer(s, bracketOf(100_000, 2)); !got {
		t.Error("100 us for several probes, nothing known: not marked")
	}
	k.answer(s, bracketOf(5000, 1))
	for i := range 1000 {
		if !k.answer(s, bracketOf(100_000, 32)) {
			t.Fatalf("kick %d of 32 probes took 100 us, those of one 5 us, and it is not marked", i)
		}
	}
	if k.answer(s, bracketOf(24_000, 2)) || !k.answer(s, bracketOf(30_000, 1)) || k.answer(s, bracketOf(6000, 1)) {
		t.Error("after kicks of several probes those of one are judged otherwise than before")
	}
	if fl := (&flight{bracket: bracketOf(math.MaxInt64, 2)}); fl.took() != shared-1 {
		t.Errorf("the longest kick took %d ns, want %d", fl.took(), shared-1)
	}
}

func TestMedian(t *testing.T) {
	for _, ns := range []uint32{1, 31, 32, 33, 63, 64, 1000, 4999, 20_000, 1e6, shared - 1} {
		var m median
		m.follow(ns)
		if got := m.read(); got < ns || float64(got) > 1.032*float64(ns) {
			t.Errorf("a median of %d ns reads %d", ns, got)
		}
	}
	var m median
	m.follow(0)
	if m == 0 {
		t.Error("after a bracket of 0 ns there is no median")
	}
	// What most brackets are counts, not how long the others are.
	chance := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		if ns := uint32(10_000 * (0.8 + 0.4*chance.Float64())); chance.IntN(4) == 0 {
			m.follow(100 * ns)
		} else {
			m.follow(ns)
		}
	}
	if got := m.read(); got < 9000 || got > 12_500 {
		t.Errorf("three quarters of the brackets are around 10 us, and the median is %d ns", got)
	}
}
