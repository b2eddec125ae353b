// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net/netip"
	"slices"
)

// partition cuts the addresses of one family into cells: ranges that no prefix
// separates. Immutable once made; any goroutine may use it.
type partition struct {
	starts []netip.Addr // the first address of each cell, ascending
	single []bool       // of each cell: its addresses may differ all the same
}

// cuts gathers the prefixes that make a partition.
type cuts struct {
	first   netip.Addr     // of the family
	starts  []netip.Addr   // where a prefix begins, or the address after its end
	singles []netip.Prefix // where every address stands for itself
}

// add has p separate addresses. A prefix of the other family separates none.
func (c *cuts) add(p netip.Prefix) {
	if !p.IsValid() || p.Addr().Is4() != c.first.Is4() {
		return
	}
	p = p.Masked()
	c.starts = append(c.starts, p.Addr())
	if after := lastOf(p).Next(); after.IsValid() {
		c.starts = append(c.starts, after)
	}
}

// addSingle has every address in p stand for itself.
func (c *cuts) addSingle(p netip.Prefix) {
	c.add(p)
	c.singles = append(c.singles, p.Masked())
}

// addMatches separates addresses by how many of their leading bits are those of
// p, up to p's length.
func (c *cuts) addMatches(p netip.Prefix) {
	for bits := 1; bits <= p.Bits(); bits++ {
		c.add(netip.PrefixFrom(p.Addr(), bits))
	}
}

// partition makes the partition; c is of no use afterwards.
func (c *cuts) partition() partition {
	starts := append(c.starts, c.first)
	slices.SortFunc(starts, netip.Addr.Compare)
	p := partition{starts: slices.Clip(slices.Compact(starts))}
	p.single = make([]bool, len(p.starts))
	// Prefixes are nested or apart: behind an outer one its inner ones follow.
	slices.SortFunc(c.singles, netip.Prefix.Compare)
	var outer netip.Prefix
	for _, s := range c.singles {
		if outer.IsValid() && outer.Contains(s.Addr()) {
			continue
		}
		outer = s
		for i := p.cell(s.Addr()); i < len(p.starts) && s.Contains(p.starts[i]); i++ {
			p.single[i] = true
		}
	}
	return p
}

// cell returns the number of the cell that holds a, an address of the family.
func (p *partition) cell(a netip.Addr) int {
	i, found := slices.BinarySearchFunc(p.starts, a, netip.Addr.Compare)
	if found {
		return i
	}
	return i - 1
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
