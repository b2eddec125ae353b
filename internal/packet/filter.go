// SPDX-License-Identifier: Apache-2.0

package packet

import "net/netip"

// Ports is a set of port numbers.
type Ports [1 << 16 / 64]uint64

// Add puts a port into the set.
func (p *Ports) Add(port uint16) { p[port/64] |= 1 << (port % 64) }

// Has says whether the port is in the set.
func (p *Ports) Has(port uint16) bool { return p[port/64]>>(port%64)&1 != 0 }

// Filter is what a plan's replies have in common: a packet outside it is not
// looked at further. Fill one in, then hand it on; it must not change
// afterwards. The XDP program and the Verifier use the same one.
type Filter struct {
	LocalTCP  Ports // source ports of TCP probes
	LocalUDP  Ports // source ports of UDP probes
	RemoteTCP Ports // destination ports of TCP probes

	locals map[[16]byte]struct{} // IPv4 as ::ffff:a.b.c.d
}

// AddLocal adds an address that probes are sent from.
func (f *Filter) AddLocal(a netip.Addr) {
	if f.locals == nil {
		f.locals = make(map[[16]byte]struct{})
	}
	f.locals[a.As16()] = struct{}{}
}

// Locals returns the added addresses, each as 16 bytes with IPv4 as
// ::ffff:a.b.c.d, in no order.
func (f *Filter) Locals() [][16]byte {
	l := make([][16]byte, 0, len(f.locals))
	for a := range f.locals {
		l = append(l, a)
	}
	return l
}

// HasLocal says whether probes are sent from this address, given as Locals gives it.
func (f *Filter) HasLocal(a [16]byte) bool {
	_, ok := f.locals[a]
	return ok
}
