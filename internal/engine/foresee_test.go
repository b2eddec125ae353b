// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// What is foreseen is the flow, the probe and the series of a reply, and nothing where
// nobody knows its hash or nothing is under way; the replies are matched as ever.
func TestForesee(t *testing.T) {
	l := newLoop()
	l.send()
	e := l.engine
	s := e.series.at(e.legs.at(l.leg).series)
	l.foreseen = append(l.foreseen, foreseen{hash: l.flow.hash}, foreseen{hash: l.flow.hash + 1}, foreseen{})
	l.foreseeEach()
	for i, got := range l.foreseen[:1] {
		if got.flow != l.flow || got.leg != e.legs.at(l.leg) || got.series != s || got.slot != e.slots.at(l.flow.at(l.number)) {
			t.Errorf("reply %d: %+v", i, got)
		}
	}
	if got := testing.AllocsPerRun(1000, func() { l.foreseeEach() }); got != 0 {
		t.Errorf("foreseeing: %v allocations", got)
	}
	if open := s.open; open == nil || open.Sent != 1 || open.Answered != 0 || stateOf(l.foreseen[0].slot.word.Load()) != inFlight {
		t.Fatalf("foreseeing changed something: %+v", open)
	}
	l.receive(l.number)
	l.foreseen = append(l.foreseen[:0], foreseen{hash: l.flow.hash})
	l.foreseeEach()
	if got := l.foreseen[0]; got.flow != l.flow || got.leg != nil || got.series != nil {
		t.Errorf("with nothing under way: %+v", got)
	}
}
