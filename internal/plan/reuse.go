// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A four-tuple of a type with OneInFlight must not be needed again while a
// probe on it may still be unanswered. The plan fixes every probe's time, so
// that whether this happens is known before the first packet.

// settling is how long after its timeout a probe may still hold its four-tuple:
// the engine's grace for answers that are on their way to it (20 ms) and its
// longest tick (10 ms).
const settling = 30 * time.Millisecond

// stream is the packets of one target in one group to one address: packet n
// leaves at start + n*pace from source n mod k of the rotation, every interval.
type stream struct {
	target, group string
	r             rotation
	nb, k         int
	start, pace   time.Duration
	hold          time.Duration // how long an unanswered packet holds its source
}

// groupsOf returns the groups of the plan's target n, as indices into
// cfg.Groups.
func (b *builder) groupsOf(n int) []int { return b.cfg.Targets[b.planned[n]].Groups }

// stream describes group j of the plan's target n as it probes Addrs[a].
func (b *builder) stream(t *Target, n, j, a int) stream {
	r := rotationOf(&b.cfg.Groups[b.groupsOf(n)[j]], t.Family, t.Type)
	nb, addrs := t.Groups[j].NbPackets, max(1, len(t.Addrs))
	return stream{
		target: t.Name, group: t.Groups[j].Name,
		r: r, nb: nb, k: len(t.Groups[j].Sources),
		start: t.Phase + time.Duration(j*nb*addrs+a)*t.Gap,
		pace:  time.Duration(addrs) * t.Gap,
		hold:  t.Timeout + settling,
	}
}

// reuse returns the shortest time between two packets from one source.
func (s stream) reuse(interval time.Duration) time.Duration {
	if s.k >= s.nb {
		return interval
	}
	last := (s.nb - 1) / s.k * s.k // the last packet from the first source
	return min(time.Duration(s.k)*s.pace, interval-time.Duration(last)*s.pace)
}

// meets says whether s and o use one source with less time between than the
// earlier one's hold.
func (s stream) meets(o stream, interval time.Duration) bool {
	if s.r.apart(o.r) {
		return false
	}
	for j := range s.k {
		m, ok := o.r.index(s.r.at(uint64(j)))
		if !ok || m >= uint64(o.k) {
			continue
		}
		step := time.Duration(o.k) * o.pace
		last := time.Duration((o.nb-1-int(m))/o.k) * step
		for n := j; n < s.nb; n += s.k {
			// How long after o's first use of this source, of the same interval.
			x := (s.start + time.Duration(n)*s.pace - o.start - time.Duration(m)*o.pace) % interval
			if x < 0 {
				x += interval
			}
			before, after := x, interval-x // o's use before this one, and the next
			if x >= last {
				before = x - last
			} else { // step > 0, since last > 0
				before, after = x%step, step-x%step
			}
			if before < o.hold || after < s.hold {
				return true
			}
		}
	}
	return false
}

// end is one address and port that a target of a type with OneInFlight probes.
type end struct {
	addr   netip.Addr
	port   uint16
	target int
	a      int // Addrs[a] of the target
}

// warnShared names groups of one target, and targets, that get in each other's
// way because they use one four-tuple within its timeout. A source that the
// kernel chooses is compared with other such sources only.
func (b *builder) warnShared(targets []*Target) {
	b.warnSharedGroups(targets)
	var ends []end
	for i, t := range targets {
		if t.Type.OneInFlight {
			for a, addr := range t.Addrs {
				ends = append(ends, end{addr, t.DstPort, i, a})
			}
		}
	}
	slices.SortFunc(ends, func(x, y end) int {
		return cmp.Or(x.addr.Compare(y.addr), cmp.Compare(x.port, y.port), cmp.Compare(x.target, y.target))
	})
	warned := make(map[[2]int]bool)
	for len(ends) > 0 {
		n := 1
		for n < len(ends) && ends[n].addr == ends[0].addr && ends[n].port == ends[0].port {
			n++
		}
		x, y, ok := b.clash(targets, ends[:n])
		if pair := [2]int{x.target, y.target}; ok && !warned[pair] {
			warned[pair] = true
			b.warn(fmt.Sprintf("targets %s and %s use the same source ports to %s port %d within the timeout", targets[x.target].Name, targets[y.target].Name, x.addr, x.port),
				"make them one target, or give them groups with ports of their own; otherwise a probe of one is not sent while the other's is unanswered (tuple_busy)", "targets", targets[y.target].Name, "destination")
		}
		ends = ends[n:]
	}
}

// clash returns the first two targets of one end that meet. It is quadratic only
// as long as nothing meets, and that many sources in use cannot but meet.
func (b *builder) clash(targets []*Target, ends []end) (x, y end, ok bool) {
	for n, y := range ends {
		for _, x := range ends[:n] {
			if b.targetsMeet(targets, x, y) {
				return x, y, true
			}
		}
	}
	return end{}, end{}, false
}

func (b *builder) targetsMeet(targets []*Target, x, y end) bool {
	t, u := targets[x.target], targets[y.target]
	for j := range t.Groups {
		s := b.stream(t, x.target, j, x.a)
		for k := range u.Groups {
			if s.meets(b.stream(u, y.target, k, y.a), b.cfg.Global.Interval) {
				return true
			}
		}
	}
	return false
}

// warnSharedGroups warns once of each pair of groups that meet in some target.
func (b *builder) warnSharedGroups(targets []*Target) {
	type pair struct{ first, second int }
	type found struct {
		target string
		others int
	}
	met := make(map[pair]found)
	for i, t := range targets {
		groups := b.groupsOf(i)
		for k := 1; t.Type.OneInFlight && k < len(groups); k++ {
			for j := range k {
				if !b.stream(t, i, j, 0).meets(b.stream(t, i, k, 0), b.cfg.Global.Interval) {
					continue
				}
				p := pair{groups[j], groups[k]}
				f, again := met[p]
				if again {
					f.others++
				} else {
					f.target = t.Name
				}
				met[p] = f
			}
		}
	}
	pairs := make([]pair, 0, len(met))
	for p := range met {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(cmp.Compare(x.second, y.second), cmp.Compare(x.first, y.first))
	})
	for _, p := range pairs {
		b.warn(fmt.Sprintf("groups %s and %s use the same source ports within the timeout, to target %s and %d other(s)", b.cfg.Groups[p.first].Name, b.cfg.Groups[p.second].Name, met[p].target, met[p].others),
			"give each group ports of its own; otherwise a probe of one is not sent while the other's is unanswered (tuple_busy)", "groups", b.cfg.Groups[p.second].Name, "src_port_a")
	}
}
