// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// rotation is the cycle of sources a group's packets go through: addresses
// first, and one port further each time all addresses had their turn. It starts
// again with every interval, and so each packet of an interval keeps its path.
//
// netprobify takes the port of packet n from n itself, so that with 7 addresses
// and 7 ports the port never moves; its own test asks for what is done here.
type rotation struct {
	first netip.Addr // zero: the kernel's choice
	addrs uint64     // at most maxAddrs
	portA uint16
	ports uint64 // 1 for types without source ports, with portA 0
}

// maxAddrs bounds the addresses of a source subnet that are taken in turn; no
// group gets as far, since maxSources is less.
const maxAddrs = 1 << 32

// rotationOf returns the sources of a group for targets of a family and type.
//
// Of a source subnet the first address is left out and the last is used, as in
// netprobify: 10.0.0.0/29 gives .1 to .7. A /31 or /127 so gives its second
// address, a /32 or /128 its only one.
func rotationOf(g *config.Group, family string, typ *probe.Type) rotation {
	r := rotation{addrs: 1, ports: 1}
	single, subnet := g.SrcIPv4, g.SrcSubnetIPv4
	if family == "ipv6" {
		single, subnet = g.SrcIPv6, g.SrcSubnetIPv6
	}
	switch {
	case !subnet.IsValid():
		r.first = single
	case subnet.IsSingleIP():
		r.first = subnet.Addr()
	default:
		r.first = subnet.Masked().Addr().Next()
		r.addrs = maxAddrs
		if host := subnet.Addr().BitLen() - subnet.Bits(); host <= 32 {
			r.addrs = 1<<host - 1
		}
	}
	if typ.SourcePorts {
		r.portA = g.SrcPortA
		r.ports = uint64(g.SrcPortZ) - uint64(g.SrcPortA) + 1
	}
	return r
}

// size returns how many distinct sources nb packets use.
func (r rotation) size(nb int) int { return int(min(uint64(nb), r.addrs*r.ports)) }

// used returns how many distinct addresses nb packets use.
func (r rotation) used(nb int) uint64 { return min(uint64(nb), r.addrs) }

// at returns source n, 0 <= n < addrs*ports.
func (r rotation) at(n uint64) Source {
	return Source{Addr: addrAdd(r.first, n%r.addrs), Port: r.portA + uint16(n/r.addrs)}
}

// index is the inverse of at; ok is false for a source of somebody else.
func (r rotation) index(s Source) (n uint64, ok bool) {
	port := uint64(s.Port) - uint64(r.portA)
	addr, ok := addrSub(s.Addr, r.first)
	if !ok || addr >= r.addrs || port >= r.ports {
		return 0, false
	}
	return port*r.addrs + addr, true
}

// apart says, without looking at each source, that two rotations share none.
func (r rotation) apart(o rotation) bool {
	if uint64(r.portA)+r.ports <= uint64(o.portA) || uint64(o.portA)+o.ports <= uint64(r.portA) {
		return true
	}
	ahead, ok := addrSub(o.first, r.first)
	if ok {
		return ahead >= r.addrs
	}
	behind, ok := addrSub(r.first, o.first)
	return !ok || behind >= o.addrs
}

// addrAdd returns the address n after a; the zero Addr stays what it is.
func addrAdd(a netip.Addr, n uint64) netip.Addr {
	switch {
	case a.Is4():
		b := a.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
		return netip.AddrFrom4(b)
	case a.Is6():
		b := a.As16()
		lo, carry := bits.Add64(binary.BigEndian.Uint64(b[8:]), n, 0)
		binary.BigEndian.PutUint64(b[8:], lo)
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])+carry)
		return netip.AddrFrom16(b)
	}
	return a
}

// addrSub returns how far a lies after b; ok is false when it does not, or when
// they are of different families. Two zero Addrs are 0 apart.
func addrSub(a, b netip.Addr) (n uint64, ok bool) {
	if a.BitLen() != b.BitLen() || a.Less(b) {
		return 0, false
	}
	if !a.IsValid() {
		return 0, true
	}
	x, y := a.As16(), b.As16()
	lo, borrow := bits.Sub64(binary.BigEndian.Uint64(x[8:]), binary.BigEndian.Uint64(y[8:]), 0)
	hi, _ := bits.Sub64(binary.BigEndian.Uint64(x[:]), binary.BigEndian.Uint64(y[:]), borrow)
	return lo, hi == 0
}
