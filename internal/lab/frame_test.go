// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

// The frames below are built and judged here, by the RFCs and not by the code
// under test.

const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

var (
	macA = []byte{2, 0, 0, 0, 0, 1}
	macB = []byte{2, 0, 0, 0, 0, 2}
)

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + 1)
	}
	return p
}

// onesSum is the Internet checksum's sum (RFC 1071), folded, not inverted.
func onesSum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
		if len(b)%2 == 1 {
			sum += uint32(b[len(b)-1]) << 8
		}
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum&0xffff + sum>>16)
}

// pseudo is the pseudo-header of TCP, UDP and ICMPv6.
func pseudo(src, dst []byte, proto byte, n int) []byte {
	b := append(append([]byte{}, src...), dst...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, 0, 0, 0, proto)
}

// buildFrame puts Ethernet and IP headers in front of an L4 packet and writes
// its checksum at offset at.
func buildFrame(src, dst string, proto byte, l4 []byte, at int) []byte {
	s, d := netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice()
	frame := append(append([]byte{}, macB...), macA...)
	sum := onesSum(pseudo(s, d, proto, len(l4)), l4)
	if len(s) == 4 {
		frame = append(frame, 8, 0)
		if proto == 1 {
			sum = onesSum(l4)
		}
		ip := make([]byte, 20)
		ip[0], ip[1], ip[8], ip[9] = 0x45, 0x20, 61, proto
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
		binary.BigEndian.PutUint16(ip[4:], 0xbeef)
		copy(ip[12:], s)
		copy(ip[16:], d)
		binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
		frame = append(frame, ip...)
	} else {
		frame = append(frame, 0x86, 0xdd)
		ip := make([]byte, 40)
		ip[0], ip[3], ip[6], ip[7] = 0x60, 5, proto, 61
		binary.BigEndian.PutUint16(ip[4:], uint16(len(l4)))
		copy(ip[8:], s)
		copy(ip[24:], d)
		frame = append(frame, ip...)
	}
	binary.BigEndian.PutUint16(l4[at:], ^sum)
	return append(frame, l4...)
}

func buildEcho(src, dst string, id, seq uint16, payload []byte) []byte {
	l4 := make([]byte, 8, 8+len(payload))
	proto := byte(1)
	l4[0] = 8
	if netip.MustParseAddr(src).Is6() {
		proto, l4[0] = 58, 128
	}
	binary.BigEndian.PutUint16(l4[4:], id)
	binary.BigEndian.PutUint16(l4[6:], seq)
	return buildFrame(src, dst, proto, append(l4, payload...), 2)
}

func buildUDP(src, dst string, sport, dport uint16, payload []byte) []byte {
	l4 := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(l4, sport)
	binary.BigEndian.PutUint16(l4[2:], dport)
	binary.BigEndian.PutUint16(l4[4:], uint16(8+len(payload)))
	return buildFrame(src, dst, 17, append(l4, payload...), 6)
}

func buildTCP(src, dst string, sport, dport uint16, seq uint32, flags byte, options, payload []byte) []byte {
	l4 := make([]byte, 20)
	binary.BigEndian.PutUint16(l4, sport)
	binary.BigEndian.PutUint16(l4[2:], dport)
	binary.BigEndian.PutUint32(l4[4:], seq)
	l4[12], l4[13] = byte(20+len(options))/4<<4, flags
	binary.BigEndian.PutUint16(l4[14:], 1024)
	l4 = append(append(l4, options...), payload...)
	return buildFrame(src, dst, 6, l4, 16)
}

// parsed is a frame whose lengths and checksums are right.
type parsed struct {
	v6             bool
	dmac, smac     []byte
	src, dst       string
	proto, ttl     byte
	l4             []byte
	srcRaw, dstRaw []byte
}

// parseFrame takes a frame apart and fails unless its lengths and checksums
// are right.
func parseFrame(t *testing.T, frame []byte) *parsed {
	t.Helper()
	if len(frame) < 34 {
		t.Fatalf("frame of %d bytes: % x", len(frame), frame)
	}
	p := &parsed{dmac: frame[:6], smac: frame[6:12]}
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		if ip[0] != 0x45 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || onesSum(ip[:20]) != 0xffff {
			t.Fatalf("bad IPv4 header % x in a packet of %d bytes", ip[:20], len(ip))
		}
		p.ttl, p.proto, p.srcRaw, p.dstRaw, p.l4 = ip[8], ip[9], ip[12:16], ip[16:20], bytes.Clone(ip[20:])
	case 0x86dd:
		if ip[0]>>4 != 6 || int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-40 {
			t.Fatalf("bad IPv6 header % x in a packet of %d bytes", ip[:40], len(ip))
		}
		p.v6, p.proto, p.ttl, p.srcRaw, p.dstRaw, p.l4 = true, ip[6], ip[7], ip[8:24], ip[24:40], bytes.Clone(ip[40:])
	default:
		t.Fatalf("bad Ethernet header % x", frame[:14])
	}
	src, _ := netip.AddrFromSlice(p.srcRaw)
	dst, _ := netip.AddrFromSlice(p.dstRaw)
	p.src, p.dst = src.String(), dst.String()
	sum := onesSum(pseudo(p.srcRaw, p.dstRaw, p.proto, len(p.l4)), p.l4)
	if p.proto == 1 {
		sum = onesSum(p.l4)
	}
	if sum != 0xffff {
		t.Fatalf("bad L4 checksum: sum %#x of protocol %d, % x", sum, p.proto, p.l4)
	}
	return p
}

func (p *parsed) swap() {
	p.dmac, p.smac = p.smac, p.dmac
	p.src, p.dst = p.dst, p.src
}

func (p *parsed) sameAs(q *parsed) bool {
	return p.v6 == q.v6 && bytes.Equal(p.dmac, q.dmac) && bytes.Equal(p.smac, q.smac) &&
		p.src == q.src && p.dst == q.dst && p.proto == q.proto && bytes.Equal(p.l4, q.l4)
}

type tcpFields struct {
	sport, dport uint16
	seq, ack     uint32
	flags        byte
	payload      int
}

func (p *parsed) tcp(t *testing.T) tcpFields {
	t.Helper()
	if p.proto != 6 || len(p.l4) < 20 || p.l4[12] != 5<<4 {
		t.Fatalf("not a TCP segment without options: protocol %d, % x", p.proto, p.l4)
	}
	return tcpFields{
		binary.BigEndian.Uint16(p.l4), binary.BigEndian.Uint16(p.l4[2:]),
		binary.BigEndian.Uint32(p.l4[4:]), binary.BigEndian.Uint32(p.l4[8:]),
		p.l4[13], len(p.l4) - 20,
	}
}
