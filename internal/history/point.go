// SPDX-License-Identifier: Apache-2.0

package history

import (
	"math"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// point is what was measured of one series within one step. The zero point says
// that no round ended in it. A million of them are 28 MB.
type point struct {
	sent, lost, notSent, unknown uint32
	bands                        [bandCount]trip // all 0: there are no round trips
}

const (
	pointSize = 28 // bytes
	bandCount = len(result.BandPercents)
)

// trip is a round trip on a scale of ratios: 1 is 1 ns, and each further one is
// 1/1800 of an octave more. It is within 0.02 % of what it stands for, and ends at
// 90 s. 0 is none.
type trip uint16

const perOctave = 1800

func tripOf(d time.Duration) trip {
	if d <= 0 {
		return 0
	}
	return trip(min(math.Round(math.Log2(float64(d))*perOctave)+1, math.MaxUint16))
}

// seconds is the round trip that t stands for.
func (t trip) seconds() float64 {
	if t == 0 {
		return 0
	}
	return math.Exp2(float64(t-1)/perOctave) / 1e9
}

// empty says whether no round ended in the step.
func (p *point) empty() bool { return *p == point{} }

// answered is how many probes were: a round is whole, so each was answered or
// lost.
func (p *point) answered() uint32 { return p.sent - p.lost }

// add counts what is in another point of the same series too.
func (p *point) add(q *point) {
	switch {
	case q.bands[0] == 0:
	case p.bands[0] == 0:
		p.bands = q.bands
	default:
		p.bands = mix([]*point{p, q})
	}
	p.count(q)
}

func (p *point) count(q *point) {
	p.sent = sum(p.sent, q.sent)
	p.lost = sum(p.lost, q.lost)
	p.notSent = sum(p.notSent, q.notSent)
	p.unknown = sum(p.unknown, q.unknown)
}

func sum(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxUint32)) }

// merge is all of several points of one series, of which one at least is not
// empty. Counts are added up.
func merge(all []*point) point {
	var whole point
	tripped := all[:0:0]
	for _, p := range all {
		whole.count(p)
		if p.bands[0] != 0 {
			tripped = append(tripped, p)
		}
	}
	switch len(tripped) {
	case 0:
	case 1:
		whole.bands = tripped[0].bands
	default:
		whole.bands = mix(tripped)
	}
	return whole
}

// shares are the parts of the round trips that are at most the band's.
var shares = [bandCount]float64{0, 0.25, 0.5, 0.75, 0.95, 1}

// mix is the bands of the round trips of several points together, each with the
// weight of its answers. The least and the greatest are those of all. The
// percentiles between are of the mixture, where the round trips between two bands of
// a point are taken to be spread evenly: what is known of them is no more than that.
func mix(all []*point) (bands [bandCount]trip) {
	last := bandCount - 1
	bands[0] = math.MaxUint16
	var weight float64
	for _, p := range all {
		bands[0], bands[last] = min(bands[0], p.bands[0]), max(bands[last], p.bands[last])
		weight += float64(max(1, p.answered()))
	}
	low := bands[0]
	for i := 1; i < last; i++ {
		want := shares[i] * weight * (1 - 1e-9)
		high := bands[last]
		for low < high { // the first one that so many are at most
			middle := low + (high-low)/2
			var at float64
			for _, p := range all {
				at += float64(max(1, p.answered())) * p.share(middle)
			}
			if at >= want {
				high = middle
			} else {
				low = middle + 1
			}
		}
		bands[i] = low
	}
	return bands
}

// share is which part of the point's round trips is at most t.
func (p *point) share(t trip) float64 {
	if t < p.bands[0] {
		return 0
	}
	for i := bandCount - 1; i >= 0; i-- {
		if t < p.bands[i] {
			continue
		}
		if i == bandCount-1 {
			return 1
		}
		return shares[i] + (shares[i+1]-shares[i])*float64(t-p.bands[i])/float64(p.bands[i+1]-p.bands[i])
	}
	return 0
}
