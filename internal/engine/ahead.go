// SPDX-License-Identifier: Apache-2.0

package engine

// upcoming is a target out of the schedule whose next probe is about to leave.
type upcoming struct {
	number uint32 // of the target
	leg    uint32
	due    int64 // ns
	target *target
	series *series
	flow   *flow // as it was when looked ahead; nil: the leg had none
}

// lookAhead takes up to maxPerKick targets whose probes are due by horizon out of the
// schedule, and reads what their probes need. With many targets no cache holds it, and one
// thing leads to the next: the target to its plan and series, these to the path, that to flow
// and round, the flow to its slot. So it is read thing by thing, each for all of them: then
// what has to come from memory comes at the same time, and the probes find it in the cache.
// Each target has to be added to the schedule again. Those that went are left out.
func (w *worker) lookAhead(horizon int64) []upcoming {
	e := w.engine
	ahead := w.ahead[:0]
	var read uint32 // something of what was read: or the compiler would leave it out
	for len(ahead) < maxPerKick {
		n, due, ok := w.schedule.next()
		if !ok || due > horizon {
			break
		}
		w.schedule.drop()
		t := e.targets.at(n)
		ahead = append(ahead, upcoming{number: n, due: due, target: t})
		read += t.series
	}
	for i := range ahead {
		t := ahead[i].target
		ahead[i].series = e.series.at(t.series)
		read += uint32(len(t.plan.Groups)) + ahead[i].series.legs
	}
	left := 0
	for i := range ahead {
		p := &ahead[i]
		t := p.target
		if t.gone() {
			t.state.Or(targetLeft)
			continue
		}
		g, packet, a := t.plan.Probe(int(t.probe))
		group := &t.plan.Groups[g]
		if g > 0 {
			p.series = e.series.at(t.series + uint32(g))
		}
		p.leg = p.series.legs + uint32(a*len(group.Sources)) + group.Order[packet%len(group.Order)]
		read += e.legs.at(p.leg).series
		ahead[left] = *p
		left++
	}
	ahead = ahead[:left]
	for i := range ahead {
		p := &ahead[i]
		l := e.legs.at(p.leg)
		if r := p.series.open; r != nil {
			read += r.number
		}
		if l.long != 0 {
			read += uint32(e.histories.at(l.long)[0].Load())
		}
		if number, _ := l.way(); number != 0 {
			p.flow = e.flows.at(number)
			read += p.flow.last.Load()
		}
	}
	for i := range ahead {
		if f := ahead[i].flow; f != nil {
			read += e.slots.at(f.at(f.last.Load() + 1)).leg.Load()
		}
	}
	w.read = read
	return ahead
}

// putBack gives targets that were looked ahead at their place in the schedule again.
func (w *worker) putBack(ahead []upcoming) {
	for i := range ahead {
		w.schedule.add(ahead[i].number, ahead[i].due)
	}
}
