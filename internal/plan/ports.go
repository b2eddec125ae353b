// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// portNeed is what the targets of one group ask of its source ports.
type portNeed struct {
	shapes []stream // one of each kind
	seen   map[stream]bool
	worst  stream // the one that needs a port again soonest, too soon
	others int    // further targets that do
}

// warnReuse names the groups that have too few ports for their pace, and
// timeouts that are too long for the interval, for which no number of ports is
// enough: each interval uses the same ones.
func (b *builder) warnReuse(targets []*Target) {
	interval := b.cfg.Global.Interval
	needs := make([]portNeed, len(b.cfg.Groups))
	var slow *Target
	slower := 0
	for i, t := range targets {
		if !t.Type.OneInFlight {
			continue
		}
		if t.Timeout+settling > interval {
			if slow == nil {
				slow = t
			} else {
				slower++
			}
			continue
		}
		for j, gi := range b.groupsOf(i) {
			needs[gi].add(b.stream(t, i, j, 0), interval)
		}
	}
	if slow != nil {
		more := ""
		if slower > 0 {
			more = fmt.Sprintf(", as for %d more targets", slower)
		}
		b.warn(fmt.Sprintf("%s is too long for global.interval %s%s", slow.Timeout, interval, more),
			fmt.Sprintf("the next interval uses the same source ports, and a probe is not sent while one there is unanswered (tuple_busy); at most %s", interval-settling), "targets", slow.Name, "timeout")
	}
	for gi := range needs {
		if n := &needs[gi]; n.worst.nb > 0 {
			g := &b.cfg.Groups[gi]
			b.warn(fmt.Sprintf("%d (%d ports): %s a source port again after %s, with a timeout of %s", g.SrcPortZ, n.worst.r.ports, who(n.worst.target, n.others, "need"), n.worst.reuse(interval), n.worst.hold-settling),
				n.advice(g, interval)+"; otherwise a probe is not sent while the one before it is unanswered (tuple_busy)", "groups", g.Name, "src_port_z")
		}
	}
}

// add takes a target's packets into account.
func (n *portNeed) add(s stream, interval time.Duration) {
	kind := s
	kind.target, kind.group, kind.start = "", "", 0 // nothing to how often a source is used
	if !n.seen[kind] {
		if n.seen == nil {
			n.seen = make(map[stream]bool)
		}
		n.seen[kind] = true
		n.shapes = append(n.shapes, kind)
	}
	again := s.reuse(interval)
	if again >= s.hold {
		return
	}
	if n.worst.nb > 0 {
		n.others++
	}
	if n.worst.nb == 0 || again < n.worst.reuse(interval) {
		n.worst = s
	}
}

// advice says with how many ports no target of the group needs one too soon.
func (n *portNeed) advice(g *config.Group, interval time.Duration) string {
	const all = 1<<16 - 1
	for ports := int(n.worst.r.ports) + 1; ports <= all; ports++ {
		if !n.enough(ports, interval) {
			continue
		}
		if z := int(g.SrcPortA) + ports - 1; z <= all {
			return fmt.Sprintf("%d ports are needed: src_port_z %d", ports, z)
		}
		return fmt.Sprintf("%d ports are needed: lower src_port_a as well", ports)
	}
	return "more ports are needed than there are: lower nb_packets or raise global.interval"
}

// enough says whether so many ports are. More is not always better: with the
// wrong number the last packet of an interval meets the first of the next.
func (n *portNeed) enough(ports int, interval time.Duration) bool {
	for i, s := range n.shapes {
		s.r.ports = uint64(ports)
		s.k = s.r.size(s.nb)
		if s.reuse(interval) < s.hold {
			// What was too few for it last time probably is the next time.
			n.shapes[0], n.shapes[i] = n.shapes[i], n.shapes[0]
			return false
		}
	}
	return true
}

// who begins a sentence about a target and so many others.
func who(target string, others int, verb string) string {
	if others == 0 {
		return "target " + target + " " + verb + "s"
	}
	return fmt.Sprintf("target %s and %d more %s", target, others, verb)
}
