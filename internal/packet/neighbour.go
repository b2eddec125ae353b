// SPDX-License-Identifier: Apache-2.0

package packet

import "net/netip"

// Ethernet types and the protocol numbers that are not a Proto.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protoICMPv6 = 58
)

const (
	ethLen  = 14
	ipv4Len = 20
	ipv6Len = 40

	arpLen = 28
	nsLen  = 24 + 8 // neighbour solicitation with one link-layer address option

	// NeighbourLen is how many bytes the longest frame of BuildARPRequest and
	// BuildNeighbourSolicit takes.
	NeighbourLen = ethLen + ipv6Len + nsLen
)

// Neighbour is what an ARP packet or a neighbour advertisement claims.
type Neighbour struct {
	Addr netip.Addr // whose MAC it is

	// MAC is all zero when an advertisement names none (Linux leaves it out
	// when it was asked by unicast): it then confirms the MAC that was asked,
	// and says nothing to somebody who knew none.
	MAC [6]byte

	// Solicited: an ARP reply, or an advertisement with the S flag: somebody
	// answered, so the path to it works. Otherwise it was announced unasked.
	Solicited bool

	// Override: the claim replaces another known MAC. Always true for ARP;
	// the O flag of an advertisement (RFC 4861 section 7.2.5: without it, an
	// advertisement fills in an unknown MAC but does not replace a known one).
	Override bool
}

// BuildARPRequest writes an Ethernet frame that asks who has target, from src,
// and returns its length. dstMAC all zero means broadcast; otherwise the
// request goes to that MAC alone. src may be 0.0.0.0 (an ARP probe, RFC 5227). b
// holds at least NeighbourLen bytes.
func BuildARPRequest(b []byte, srcMAC [6]byte, src netip.Addr, dstMAC [6]byte, target netip.Addr) int {
	if dstMAC == ([6]byte{}) {
		dstMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	b = b[:ethLen+arpLen]
	putEthernet(b, srcMAC, dstMAC, etherARP)
	a := b[ethLen:]
	be.PutUint16(a, 1) // Ethernet
	be.PutUint16(a[2:], etherIPv4)
	a[4], a[5] = 6, 4
	be.PutUint16(a[6:], 1) // request
	copy(a[8:14], srcMAC[:])
	s, t := src.As4(), target.As4()
	copy(a[14:18], s[:])
	clear(a[18:24])
	copy(a[24:28], t[:])
	return len(b)
}

// BuildNeighbourSolicit writes an Ethernet frame that asks for the MAC of
// target by IPv6 neighbour discovery (RFC 4861 section 4.3), and returns its
// length. dstMAC all zero means the solicited-node multicast group; otherwise the
// question goes to target at that MAC alone. src must be an address of ours, not
// unspecified: that would mean duplicate address detection. b holds at least
// NeighbourLen bytes.
func BuildNeighbourSolicit(b []byte, srcMAC [6]byte, src netip.Addr, dstMAC [6]byte, target netip.Addr) int {
	b = b[:NeighbourLen]
	s, t := src.As16(), target.As16()
	dst := t
	if dstMAC == ([6]byte{}) {
		// RFC 4291 section 2.7.1 and RFC 2464 section 7.
		dst = [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]}
		dstMAC = [6]byte{0x33, 0x33, 0xff, t[13], t[14], t[15]}
	}
	putEthernet(b, srcMAC, dstMAC, etherIPv6)
	ip := b[ethLen:]
	be.PutUint32(ip, 6<<28)
	be.PutUint16(ip[4:], nsLen)
	ip[6], ip[7] = protoICMPv6, 255
	copy(ip[8:24], s[:])
	copy(ip[24:40], dst[:])
	m := ip[ipv6Len:]
	m[0], m[1] = 135, 0
	clear(m[2:8])
	copy(m[8:24], t[:])
	m[24], m[25] = 1, 1 // source link-layer address, 8 bytes
	copy(m[26:32], srcMAC[:])
	acc := sum(ip[8:40], uint64(protoICMPv6+nsLen))
	be.PutUint16(m[2:], ^fold(sum(m, acc)))
	return len(b)
}

// ParseNeighbour reads an ARP reply, a gratuitous ARP (request or reply whose
// sender and target address are the same) or an IPv6 neighbour advertisement.
// ok is false for every other frame and for one that RFC 826 or RFC 4861
// section 7.1.2 says to discard. A frame with a VLAN tag or with IPv6 extension
// headers is not read.
func ParseNeighbour(frame []byte) (n Neighbour, ok bool) {
	if len(frame) < ethLen {
		return n, false
	}
	switch be.Uint16(frame[12:]) {
	case etherARP:
		return parseARP(frame[ethLen:])
	case etherIPv6:
		return parseAdvertisement(frame[ethLen:])
	}
	return n, false
}

func parseARP(a []byte) (n Neighbour, ok bool) {
	if len(a) < arpLen || be.Uint16(a) != 1 || be.Uint16(a[2:]) != etherIPv4 || a[4] != 6 || a[5] != 4 {
		return n, false
	}
	sender, target := [4]byte(a[14:18]), [4]byte(a[24:28])
	gratuitous := sender == target
	switch be.Uint16(a[6:]) {
	case 1:
		if !gratuitous {
			return n, false
		}
	case 2:
	default:
		return n, false
	}
	n = Neighbour{
		Addr:      netip.AddrFrom4(sender),
		MAC:       [6]byte(a[8:14]),
		Solicited: !gratuitous,
		Override:  true,
	}
	ok = !n.Addr.IsUnspecified() && !n.Addr.IsMulticast() && unicastMAC(n.MAC)
	return n, ok
}

func parseAdvertisement(ip []byte) (n Neighbour, ok bool) {
	const fixed = 24
	if len(ip) < ipv6Len+fixed || ip[0]>>4 != 6 || ip[6] != protoICMPv6 || ip[7] != 255 {
		return n, false
	}
	plen := int(be.Uint16(ip[4:]))
	if plen < fixed || ipv6Len+plen > len(ip) {
		return n, false
	}
	m := ip[ipv6Len : ipv6Len+plen]
	if m[0] != 136 || m[1] != 0 {
		return n, false
	}
	if fold(sum(m, sum(ip[8:40], uint64(protoICMPv6+plen)))) != 0xffff {
		return n, false
	}
	n.Addr = netip.AddrFrom16([16]byte(m[8:24]))
	n.Solicited = m[4]&0x40 != 0
	n.Override = m[4]&0x20 != 0
	if n.Addr.IsMulticast() || n.Addr.IsUnspecified() || n.Addr.Is4In6() {
		return Neighbour{}, false
	}
	if n.Solicited && ip[24] == 0xff { // a solicited one to a multicast group
		return Neighbour{}, false
	}
	for opt := m[fixed:]; len(opt) > 0; {
		if len(opt) < 2 || opt[1] == 0 || int(opt[1])*8 > len(opt) {
			return Neighbour{}, false
		}
		if opt[0] == 2 && opt[1] == 1 { // target link-layer address
			n.MAC = [6]byte(opt[2:8])
			if !unicastMAC(n.MAC) {
				return Neighbour{}, false
			}
		}
		opt = opt[int(opt[1])*8:]
	}
	return n, true
}

// unicastMAC says whether m can be the address of one station.
func unicastMAC(m [6]byte) bool { return m[0]&1 == 0 && m != ([6]byte{}) }

func putEthernet(b []byte, src, dst [6]byte, ethertype uint16) {
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	be.PutUint16(b[12:], ethertype)
}
