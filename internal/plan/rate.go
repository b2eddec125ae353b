// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// capWindow is the time over which the engine holds the plan to safety.max_pps
// and safety.max_prefix_pps.
const capWindow = 100 * time.Millisecond

// blockBits is the length of the prefixes that safety.max_prefix_pps speaks of.
func blockBits(addr netip.Addr) int {
	if addr.Is4() {
		return 24
	}
	return 48
}

// blocks calls yield with each /24 or /48 that d reaches into and the number of
// its addresses there.
func (d *destination) blocks(yield func(block netip.Prefix, addrs float64)) {
	if d.spanned {
		for n := 0; n < d.span.Size(); n += d.span.Block() {
			block, _ := d.span.At(n).Prefix(blockBits(d.span.At(n)))
			yield(block, float64(d.span.Block()))
		}
		return
	}
	if !d.prefix.IsValid() {
		for _, addr := range d.addrs {
			block, _ := addr.Prefix(blockBits(addr))
			yield(block, 1)
		}
		return
	}
	first := d.prefix.Addr()
	bits := blockBits(first)
	if d.prefix.Bits() >= bits {
		block, _ := first.Prefix(bits)
		yield(block, d.size())
		return
	}
	each := math.Ldexp(1, first.BitLen()-bits)
	for addr := first; d.prefix.Contains(addr); {
		block := netip.PrefixFrom(addr, bits)
		yield(block, each)
		addr = lastAddr(block).Next() // past the last address there is: the zero Addr
	}
}

// lastAddr returns the highest address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// load is what a plan asks of one block.
type load struct {
	probes  float64 // per interval
	targets int
	top     string // the target that asks most
	most    float64
}

// with adds the probes of one target.
func (l load) with(name string, probes float64) load {
	l.probes += probes
	l.targets++
	if probes > l.most {
		l.top, l.most = name, probes
	}
	return l
}

// judgeRates compares the plan's mean rates with the caps and returns the total.
// Caps are judged with addresses of this host included, so that `check`
// elsewhere and `run` here refuse the same plan.
func (b *builder) judgeRates() (pps float64) {
	seconds := b.cfg.Global.Interval.Seconds()
	total, top, most := 0.0, "", 0.0
	loads := make(map[netip.Prefix]load)
	for _, i := range b.planned {
		if b.types[i] == nil {
			continue
		}
		name, probes := b.cfg.Targets[i].Name, b.probes(i)
		total += probes
		if probes > most {
			top, most = name, probes
		}
		d := &b.dests[i]
		each := probes / d.size()
		d.blocks(func(block netip.Prefix, addrs float64) {
			loads[block] = loads[block].with(name, each*addrs)
		})
	}
	// A product, not a quotient: a plan that is exactly at its cap is within it.
	if total > float64(b.cfg.Safety.MaxPPS)*seconds {
		b.fault(fmt.Sprintf("the plan asks for %s probes/s (most from target %s: %s)", rate(total/seconds), top, rate(most/seconds)),
			fmt.Sprintf("allowed: at most %d; raise global.interval, lower nb_packets, probe fewer targets, or raise safety.max_pps", b.cfg.Safety.MaxPPS),
			"safety", "max_pps")
	}
	b.judgeBlocks(loads, seconds)
	return total / seconds
}

func (b *builder) judgeBlocks(loads map[netip.Prefix]load, seconds float64) {
	var over []netip.Prefix
	for block, l := range loads {
		if l.probes > float64(b.cfg.Safety.MaxPrefixPPS)*seconds {
			over = append(over, block)
		}
	}
	slices.SortFunc(over, netip.Prefix.Compare)
	for _, block := range over {
		l := loads[block]
		b.fault(fmt.Sprintf("the plan asks for %s probes/s into %s from %d target(s) (most from %s: %s)", rate(l.probes/seconds), block, l.targets, l.top, rate(l.most/seconds)),
			fmt.Sprintf("allowed: at most %d into one /%d; raise global.interval, lower nb_packets of its targets, or raise safety.max_prefix_pps if %s is yours to load", b.cfg.Safety.MaxPrefixPPS, block.Bits(), block),
			"safety", "max_prefix_pps")
	}
}

// rate formats probes per second, rounded up to a tenth: what is above a cap
// must not read as if it were at it.
func rate(pps float64) string {
	return strconv.FormatFloat(math.Ceil(pps*10)/10, 'f', -1, 64)
}

// warnBursts names the worst target whose own packets, all at once or
// interval_packets apart, ask for more within capWindow than a cap lets
// through. The mean is within the caps when this is asked, so no burst takes
// longer than the interval; but its tail leaves late, or not at all.
func (b *builder) warnBursts() {
	gap, window := b.cfg.Global.IntervalPackets, capWindow.Seconds()
	if gap == 0 && b.cfg.Engine.Pacing != "burst" {
		return
	}
	type worst struct {
		target string
		probes float64
		others int
	}
	var all, block worst
	note := func(w *worst, t *config.Target, probes float64, capPPS int) {
		if probes <= float64(capPPS)*window {
			return
		}
		if w.target != "" {
			w.others++
		}
		if probes > w.probes {
			w.target, w.probes = t.Name, probes
		}
	}
	for _, i := range b.planned {
		d, most := &b.dests[i], 0.0
		if d.addrs == nil && !d.prefix.IsValid() && !d.spanned {
			continue
		}
		// Consecutive probes go through the addresses in order, and so through
		// one block after another.
		peak := b.probes(i)
		if gap > 0 {
			peak = min(peak, math.Ceil(float64(capWindow)/float64(gap)))
		}
		d.blocks(func(_ netip.Prefix, addrs float64) { most = max(most, addrs) })
		into := min(peak, math.Ceil(peak/d.size())*most)
		note(&all, &b.cfg.Targets[i], peak, b.cfg.Safety.MaxPPS)
		note(&block, &b.cfg.Targets[i], into, b.cfg.Safety.MaxPrefixPPS)
	}
	path := []string{"engine", "pacing"}
	if gap > 0 {
		path = []string{"global", "interval_packets"}
	}
	say := func(w worst, key string, capPPS int) {
		if w.target == "" {
			return
		}
		b.warn(fmt.Sprintf("%s up to %.0f probes within %s", who(w.target, w.others, "send"), w.probes, capWindow),
			fmt.Sprintf("safety.%s %d lets %.0f through in that time, the rest leaves late or not at all; spread them (no interval_packets, engine.pacing: spread)", key, capPPS, float64(capPPS)*window), path...)
	}
	say(all, "max_pps", b.cfg.Safety.MaxPPS)
	say(block, "max_prefix_pps", b.cfg.Safety.MaxPrefixPPS)
}
