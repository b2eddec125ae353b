// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/bits"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// A sample's bracket is how long its kick took: its moment of sending is uncertain by no
// more than that. Most of it is the same every time, since the kernel's work for the packet is
// in it, and on veth the far end's too. So it is judged by what is usual for its series, and
// at first by what is usual for its kind of probe.

// uncertainty is how much longer than the running median a kick may take
// before the sample is marked, ns.
const uncertainty = uint32(20 * time.Microsecond)

// shared is the bit of a flight's bracket that says that several probes had one kick: then
// it is that of all of them, and says nothing of what is usual for one.
const shared = 1 << 31

// bracketOf is the bracket of this many probes whose kick took so long, ns.
func bracketOf(took int64, probes int) uint32 {
	bracket := uint32(min(took, shared-1))
	if probes > 1 {
		bracket |= shared
	}
	return bracket
}

// mark says whether the kick of a sample of s took unusually long, and lets the running
// medians follow. Only the owner of the series calls it.
func (w *worker) mark(s *series, bracket uint32) bool {
	own, kind := &w.engine.legs.at(s.legs).median, &w.medians[s.class.kick]
	usual, isNew := own.read(), *own == 0
	if isNew {
		usual = kind.read()
	}
	if bracket&shared != 0 {
		return bracket&^shared > usual+uncertainty
	}
	if usual == 0 { // the first of its kind is all that is known
		usual = bracket
	}
	marked := bracket > usual+uncertainty
	kind.follow(bracket)
	if isNew {
		bracket = min(bracket, usual+uncertainty) // with a kick that was interrupted no series should begin
	}
	own.follow(bracket)
	return marked
}

// kickKinds is how many kinds of probes kickOf tells apart.
const kickKinds = 6

// kickOf is the number of a kind of probe among a worker's medians.
func kickOf(proto packet.Proto, family string) (n uint8) {
	switch proto {
	case packet.TCP:
		n = 1
	case packet.UDP:
		n = 2
	}
	if family == "ipv6" {
		n += kickKinds / 2
	}
	return n
}

// median is a running median of brackets, as small as what it is kept in has room for:
// 10 bits for its level, then a bit for the side of it that the newest was on, and 5 for how many in
// a row were on that. 0: there is none.
type median uint16

const (
	levelMask = 1<<10 - 1
	aboveBit  = 1 << 10
	rowShift  = 11

	// A median takes a step of one level for each bracket, so that half lie on either side.
	// When so many in a row lay on one side it is far off, and takes larger ones.
	farOff  = 8
	farStep = 4
)

// read returns the median, ns: the most that its level stands for, up to 3 % more than it
// was, so that what always takes the same is never more.
func (m median) read() uint32 {
	level := uint32(m & levelMask)
	if level < 32 {
		return level
	}
	return (33+level&31)<<(level>>5-1) - 1
}

// levelOf is how a median holds ns: 32 levels for each power of two.
func levelOf(ns uint32) int {
	if ns < 32 {
		return int(max(ns, 1))
	}
	shift := bits.Len32(ns) - 6
	return (shift+1)<<5 | int(ns>>shift&31)
}

// follow moves the median towards a bracket, and not past it.
func (m *median) follow(bracket uint32) {
	is, to := int(*m&levelMask), levelOf(bracket)
	if is == 0 || is == to {
		*m = median(to)
		return
	}
	var side median
	if to > is {
		side = aboveBit
	}
	row := median(1)
	if *m&aboveBit == side {
		row = min(*m>>rowShift+1, farOff)
	}
	step := 1
	if row == farOff {
		step = farStep
	}
	if to > is {
		is = min(is+step, to)
	} else {
		is = max(is-step, to)
	}
	*m = row<<rowShift | side | median(is)
}
