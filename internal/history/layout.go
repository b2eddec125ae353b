// SPDX-License-Identifier: Apache-2.0

package history

import "time"

// tier is one resolution: how long a step is, and how many are kept.
type tier struct {
	step  int64 // seconds
	count int
}

func (t tier) kept() time.Duration {
	return time.Duration(t.step) * time.Second * time.Duration(t.count)
}

// tiers are the resolutions, finest first. The points of a coarse step are those
// of the finer ones, which are kept at least as long as it takes. All counts are 0
// where nothing is kept.
type tiers [3]tier

// reach is how far back each resolution goes at least where there is room,
// seconds, and plenty how far at most.
var (
	reach  = [3]int64{30 * 60, 6 * 3600, 48 * 3600}
	plenty = [3]int64{6 * 3600, 48 * 3600, 30 * 24 * 3600}
)

// steps are those that a person reads easily, seconds.
var steps = []int64{
	1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800,
	3600, 2 * 3600, 3 * 3600, 4 * 3600, 6 * 3600, 8 * 3600, 12 * 3600, 24 * 3600,
}

const (
	recordSize = 160  // bytes that a series takes beside its points, at most
	mostSteps  = 2160 // of a resolution: nobody sees more at once
	leastSteps = 4    // of a resolution: below that there is no past to speak of
)

// layout decides what is kept of each of this many series within so many bytes,
// when a round takes so long.
func layout(memory, series int, interval time.Duration) (all tiers) {
	budget := min(memory/max(1, series)-recordSize, len(all)*mostSteps*pointSize)
	points := fitting(budget) / pointSize
	if points < leastSteps*len(all) {
		return tiers{}
	}
	// A step has two rounds, so that none lacks one because it ended a bit late.
	least := max(1, int64((2*interval+time.Second-1)/time.Second))
	for i := range all {
		count := min(points/(len(all)-i), mostSteps)
		far := reach[i]
		if count == mostSteps {
			far = plenty[i]
		}
		step := niceStep(max(least, far/int64(count)), all[:i])
		if step == 0 {
			break // the finer ones are too short for it
		}
		all[i] = tier{step, int(min(int64(count), max(plenty[i]/step, leastSteps)))}
		points -= all[i].count
	}
	return all
}

// niceStep is the shortest one of at least so many seconds of which the steps of
// the finer resolutions are parts; 0: there is none.
func niceStep(least int64, finer []tier) int64 {
	longest := steps[len(steps)-1]
	if n := len(finer); n > 0 {
		longest = finer[n-1].step * int64(finer[n-1].count-1)
		least = max(least, 2*finer[n-1].step)
	}
	var fits int64
	for _, s := range steps {
		if s > longest || len(finer) > 0 && s%finer[len(finer)-1].step != 0 {
			continue
		}
		if fits = s; s >= least {
			break
		}
	}
	if len(finer) == 0 && fits < least { // an interval of more than half a day
		fits = least
	}
	if len(finer) > 0 && fits < 2*finer[len(finer)-1].step {
		return 0
	}
	return fits
}

// fitting is how many of so many bytes can be asked for, when the allocator rounds
// up.
func fitting(bytes int) int {
	for n := bytes; n > 0; n -= max(pointSize, n/32) {
		if cap(append([]byte(nil), make([]byte, n)...)) <= bytes {
			return n
		}
	}
	return 0
}

// roomFor is for how many series the layout is made when there are so many: a
// step of an eighth to a quarter, so that a few more or less change nothing.
func roomFor(series int) int {
	room := 64
	for room < series {
		step := room / 4
		for range 4 {
			if room += step; room >= series {
				return room
			}
		}
	}
	return room
}
