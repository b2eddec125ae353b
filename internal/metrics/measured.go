// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// family is what HELP and TYPE say.
type family struct{ name, typ, help string }

const (
	counter = "counter"
	gauge   = "gauge"
)

// typeFamilies are the families of one probe type.
type typeFamilies struct {
	typ                          *probe.Type
	sent, loss, ratio, roundTrip family
	mismatch                     []family // one for each of typ.Mismatch
}

// contractFamilies names the families of every registered type, with
// netprobify's names and help texts.
func contractFamilies() []typeFamilies {
	var all []typeFamilies
	for _, t := range probe.Types() {
		f := typeFamilies{
			typ:       t,
			sent:      family{t.Metric + "_sent_total", counter, "number of sent packets using " + t.Help + "."},
			loss:      family{t.Metric + "_loss_total", counter, "number of lost packets using " + t.Help + "."},
			ratio:     family{t.Metric + "_loss_ratio", gauge, "loss ratio using " + t.Help + "."},
			roundTrip: family{t.Metric + "_round_trip_seconds", gauge, "percentile latency in seconds using " + t.Help + "."},
		}
		for _, m := range t.Mismatch {
			f.mismatch = append(f.mismatch, family{t.Metric + "_" + m.Name, gauge, m.Help})
		}
		all = append(all, f)
	}
	return all
}

// measuredSeries is how many time series the measurements of s are, mismatches
// of its target included.
func measuredSeries(snap *result.Snapshot, mismatches uint8) int {
	if snap.Rounds == 0 {
		return 0
	}
	n := 3 + int(mismatches)
	if snap.RoundSent > 0 {
		n++
	}
	if hasRoundTrips(snap) {
		for i, rtt := range snap.RoundTrips {
			if rtt != result.Unpublished && !repeated(snap.Percentiles(), i) {
				n++
			}
		}
	}
	return n
}

// hasRoundTrips reports whether the last round has round trips to show. They
// are 0 on total loss, as in netprobify. When something was answered and no
// round trip is believable there are none: 0 would read as total loss.
func hasRoundTrips(snap *result.Snapshot) bool {
	return snap.RoundSent > 0 && (snap.RoundAnswered == 0 || snap.Max > 0)
}

// repeated reports whether percentile i stands earlier in the list as well.
func repeated(percentiles []int, i int) bool {
	return slices.Contains(percentiles[:i], percentiles[i])
}

// measurements renders the families of one probe type. A target appears after
// its first whole round.
func (p *page) measurements(f *typeFamilies) {
	shown := p.order.spans[f.typ.Metric].until(p.measured)
	e := &p.enc
	e.family(f.sent)
	for i := shown.from; i < shown.to; i++ {
		if snap := &p.snaps[i]; snap.Rounds > 0 {
			p.begin(f.sent.name, i)
			e.uint(snap.Sent)
		}
	}
	e.family(f.loss)
	for i := shown.from; i < shown.to; i++ {
		if snap := &p.snaps[i]; snap.Rounds > 0 {
			p.begin(f.loss.name, i)
			e.uint(snap.Lost)
		}
	}
	e.family(f.ratio)
	for i := shown.from; i < shown.to; i++ {
		if ratio, ok := p.snaps[i].LossRatio(); ok {
			p.begin(f.ratio.name, i)
			e.float(ratio)
		}
	}
	e.family(f.roundTrip)
	for i := shown.from; i < shown.to; i++ {
		if hasRoundTrips(&p.snaps[i]) {
			p.roundTrips(f.roundTrip.name, i)
		}
	}
}

// mismatches renders the further series of one probe type. They are per
// target, without a group.
func (p *page) mismatches(f *typeFamilies) {
	span := p.order.spans[f.typ.Metric]
	shown := span.until(p.measured)
	for k, fam := range f.mismatch {
		p.enc.family(fam)
		for i := shown.from; i < shown.to; i++ {
			if p.order.mismatches[i] == 0 || p.snaps[i].Rounds == 0 {
				continue
			}
			sum := p.snaps[i].Unmatched
			for j := i + 1; j < span.to && p.order.mismatches[j] == 0; j++ { // its other groups
				sum += p.snaps[j].Unmatched
			}
			if !f.typ.Mismatch[k].Unmatched {
				sum = 0
			}
			l := p.snaps[i].Labels()
			p.beginProbe(fam.name)
			p.enc.label("destination", l.Destination)
			p.enc.label("address_family", l.Family)
			p.enc.uint(sum)
		}
	}
}

// outOfOrder renders the clock faults of every type.
func (p *page) outOfOrder() {
	p.enc.family(timeOutOfOrder)
	for i := range p.measured {
		if p.snaps[i].Rounds == 0 {
			continue
		}
		l := p.snaps[i].Labels()
		p.beginProbe(timeOutOfOrder.name)
		p.enc.label("destination", l.Destination)
		p.enc.label("address_family", l.Family)
		p.enc.label("group", l.Group)
		p.enc.uint(p.snaps[i].ClockFaults)
	}
}

func (p *page) roundTrips(name string, i int) {
	percentiles := p.snaps[i].Percentiles()
	for k, rtt := range p.snaps[i].RoundTrips {
		if rtt == result.Unpublished || repeated(percentiles, k) {
			continue
		}
		p.begin(name, i)
		p.enc.labelInt("percentile", percentiles[k])
		p.enc.float(seconds(rtt))
	}
}

// begin starts a sample of series i with the five labels of a target in a
// group.
func (p *page) begin(name string, i int) {
	l := p.snaps[i].Labels()
	e := &p.enc
	e.begin(name)
	e.label("probe_name", p.probeName)
	e.label("destination", l.Destination)
	e.label("address_family", l.Family)
	e.label("state", stateLabel(l.State))
	e.label("group", l.Group)
}

// stateLabel is netprobify's text for a state that is not set.
func stateLabel(state string) string {
	if state == "" {
		return "None"
	}
	return state
}

// seconds divides once, so that the text is the shortest: 250 µs is 0.00025.
func seconds(d time.Duration) float64 { return float64(d) / 1e9 }
