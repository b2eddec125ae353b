// SPDX-License-Identifier: Apache-2.0

package plan

import "net/netip"

// Block is the prefix of an address that safety.max_prefix_pps speaks of: its /24, or
// its /48.
func Block(a netip.Addr) netip.Prefix {
	block, _ := a.Prefix(blockBits(a))
	return block
}

// PPSInto is how many probes per second the plan sends into each of these blocks.
func PPSInto[V any](p *Plan, blocks map[netip.Prefix]V) map[netip.Prefix]float64 {
	into := map[netip.Prefix]float64{}
	for _, t := range p.Targets {
		if len(t.Addrs) == 0 {
			continue
		}
		each := float64(t.Probes()) / float64(len(t.Addrs)) / p.Interval.Seconds()
		for _, a := range t.Addrs {
			if block := Block(a); len(blocks) > 0 {
				if _, asked := blocks[block]; asked {
					into[block] += each
				}
			}
		}
	}
	return into
}
