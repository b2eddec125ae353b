// SPDX-License-Identifier: Apache-2.0

// Package packettest plays the other end in tests: it makes the frames that a
// target, a router or a stranger would send on seeing our probe. It is written
// against the RFCs, not with package packet's own routines, so that a fault of
// theirs shows.
package packettest

import (
	"encoding/binary"
	"net/netip"
)

var be = binary.BigEndian

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Probe is the parts of a frame of ours, which has no VLAN tag, no options and no
// extension headers.
type Probe struct {
	Src, Dst netip.Addr
	IP       []byte // from the IP header on
	L4       []byte
	Proto    byte
}

// Dissect takes our frame apart.
func Dissect(frame []byte) Probe {
	ip := frame[14:]
	if ip[0]>>4 == 4 {
		return Probe{netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20])), ip, ip[20:], ip[9]}
	}
	return Probe{netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40])), ip, ip[40:], ip[6]}
}

// TCP returns the target's answer with these flags and acknowledgement number.
func (p Probe) TCP(flags byte, ack uint32) []byte {
	l4 := make([]byte, 20)
	copy(l4, p.L4[2:4])
	copy(l4[2:], p.L4[:2])
	be.PutUint32(l4[4:], 0x01020304)
	be.PutUint32(l4[8:], ack)
	l4[12], l4[13] = 5<<4, flags
	return Frame(p.Dst, p.Src, 6, l4)
}

// Seq is the probe's TCP sequence number.
func (p Probe) Seq() uint32 { return be.Uint32(p.L4[4:]) }

// Echo returns the echo reply from an address: the target's, or a stranger's.
func (p Probe) Echo(from netip.Addr) []byte {
	l4 := append([]byte(nil), p.L4...)
	l4[0] = 0
	if !from.Is4() {
		l4[0] = 129
	}
	return Frame(from, p.Src, ICMPProto(from), l4)
}

// Error returns an ICMP error from an address that quotes the first n bytes of
// the probe's packet, all of them where n is negative.
func (p Probe) Error(from netip.Addr, typ, code byte, n int) []byte {
	if n < 0 || n > len(p.IP) {
		n = len(p.IP)
	}
	l4 := append([]byte{typ, code, 0, 0, 0, 0, 0, 0}, p.IP[:n]...)
	return Frame(from, p.Src, ICMPProto(from), l4)
}

// ICMPProto is the number of the ICMP that belongs to an address.
func ICMPProto(a netip.Addr) byte {
	if a.Is4() {
		return 1
	}
	return 58
}

// Frame returns an Ethernet frame that carries l4, with all checksums but that
// of an ICMP message in l4 left at zero: what reaches XDP may be unfinished.
func Frame(src, dst netip.Addr, proto byte, l4 []byte) []byte {
	eth := []byte{2, 0, 0, 0, 0, 0x0a, 2, 0, 0, 0, 0, 0x0b, 0x08, 0x00}
	if src.Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 57, proto
		be.PutUint16(ip[2:], uint16(20+len(l4)))
		copy(ip[12:], src.AsSlice())
		copy(ip[16:], dst.AsSlice())
		return append(append(eth, ip...), l4...)
	}
	eth[12], eth[13] = 0x86, 0xdd
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, proto, 57
	be.PutUint16(ip[4:], uint16(len(l4)))
	copy(ip[8:], src.AsSlice())
	copy(ip[24:], dst.AsSlice())
	return append(append(eth, ip...), l4...)
}

// Tagged puts VLAN tags with these Ethernet types in front, outermost first.
func Tagged(frame []byte, types ...uint16) []byte {
	out := append([]byte(nil), frame[:12]...)
	for i, t := range types {
		out = be.AppendUint16(out, t)
		out = be.AppendUint16(out, uint16(100+i))
	}
	return append(out, frame[12:]...)
}

// Optioned adds IPv4 options, a multiple of four bytes.
func Optioned(frame []byte, options ...byte) []byte {
	out := append([]byte(nil), frame[:34]...)
	out = append(append(out, options...), frame[34:]...)
	out[14] += byte(len(options) / 4)
	be.PutUint16(out[16:], be.Uint16(out[16:])+uint16(len(options)))
	return out
}

// Extended adds an IPv6 extension header of the given type behind the IPv6
// header. body is what follows its first byte: 8n-1 bytes.
func Extended(frame []byte, typ byte, body ...byte) []byte {
	out := append([]byte(nil), frame[:54]...)
	out = append(append(append(out, frame[20]), body...), frame[54:]...)
	out[20] = typ
	be.PutUint16(out[18:], be.Uint16(out[18:])+uint16(1+len(body)))
	return out
}
