// SPDX-License-Identifier: Apache-2.0

package packet

const (
	tcpLen  = 20
	udpLen  = 8
	icmpLen = 8

	hopLimit = 64
	window   = 8192 // what netprobify's SYN announces

	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// FrameLen returns how many bytes Build writes for this flow and shape.
func FrameLen(f *Flow, sh *Shape) int {
	n := ethLen + ipv4Len + payloadLen(f, sh)
	if !f.Local.Is4() {
		n += ipv6Len - ipv4Len
	}
	if f.Proto == TCP {
		return n + tcpLen
	}
	return n + udpLen // as long as icmpLen
}

// payloadLen is the shape's payload, with room for the token.
func payloadLen(f *Flow, sh *Shape) int {
	if f.Proto == TCP {
		return int(sh.PayloadLen)
	}
	return max(int(sh.PayloadLen), TokenLen)
}

// Build writes the Ethernet frame of probe n of a flow and returns its length,
// FrameLen(f, sh), which b must have room for. h is Secret.Hash of f. n counts the
// flow's probes; for TCP it is the offset of the sequence number, below
// SeqWindow. UDP uses n modulo UDPNumbers, ICMP n modulo ICMPNumbers. src and
// dst are the MAC addresses. An ICMP or UDP payload shorter than TokenLen
// becomes TokenLen.
func Build(b []byte, f *Flow, sh *Shape, h uint64, n uint32, src, dst [6]byte) int {
	b = b[:FrameLen(f, sh)]
	switch f.Proto {
	case UDP:
		n %= UDPNumbers
	case ICMP:
		n %= ICMPNumbers
	}
	l4, acc := putIP(b, f, sh.DSCP, sh.DontFragment, h, ipv4ID(h, n), src, dst)
	switch f.Proto {
	case TCP:
		putTCP(l4, f, Base(h)+n, flagSYN, acc)
	case UDP:
		first := ports(f) | uint64(len(l4))<<16 | uint64(udpChecksum(h, n))
		force(l4, first, uint64(n)<<48|token(h, n)>>32<<16, acc)
	case ICMP:
		kind := uint64(8) // echo request
		if !f.Local.Is4() {
			kind = 128
		}
		first := kind<<56 | uint64(echoChecksum(h))<<32 | uint64(f.LocalPort)<<16 | uint64(n)
		force(l4, first, token(h, n)&^0xffff, acc)
	}
	return len(b)
}

// A header is put together in words of 64 bits, big-endian: so it is written, and
// summed up, in few steps.

// ports is the first half of a TCP or UDP header's first word.
func ports(f *Flow) uint64 { return uint64(f.LocalPort)<<48 | uint64(f.RemotePort)<<32 }

// force writes an ICMP or UDP packet: its header, the token, the pattern behind
// it, and the token's last two bytes so that the checksum that stands in the header
// already is the right one. acc is the sum of the pseudo header, 0 without one.
func force(l4 []byte, header, token, acc uint64) {
	const payload = udpLen // as long as icmpLen
	acc = add(add(header, token), acc)
	if len(l4) > payload+TokenLen {
		putPattern(l4[payload:], TokenLen)
		acc = add(acc, patternSum(TokenLen, len(l4)-payload))
	}
	be.PutUint64(l4[payload:], token|uint64(^fold(acc)))
	be.PutUint64(l4, header)
}

// BuildReset writes the Ethernet frame of a RST on a TCP flow and returns its
// length, at most FrameLen of an empty payload. seq is the acknowledgement number
// of the SYN+ACK it answers: a peer that follows RFC 5961 ignores any other.
// h gives it the flow label of the flow's probes, so that it takes their path.
func BuildReset(b []byte, f *Flow, dscp uint8, h uint64, seq uint32, src, dst [6]byte) int {
	b = b[:FrameLen(f, &Shape{})]
	l4, acc := putIP(b, f, dscp, true, h, 0, src, dst)
	putTCP(l4, f, seq, flagRST, acc)
	return len(b)
}

// putTCP writes a TCP packet without options, its payload the pattern. acc is the
// sum of the pseudo header.
func putTCP(l4 []byte, f *Flow, seq uint32, flags byte, acc uint64) {
	first := ports(f) | uint64(seq)
	second := uint64(tcpLen/4<<4)<<24 | uint64(flags)<<16 | window
	acc = add(add(first, second), acc)
	if len(l4) > tcpLen {
		putPattern(l4[tcpLen:], 0)
		acc = add(acc, patternSum(0, len(l4)-tcpLen))
	}
	be.PutUint32(l4[16:], uint32(^fold(acc))<<16)
	be.PutUint64(l4[8:], second)
	be.PutUint64(l4, first)
}

// putIP writes the Ethernet and IP headers of frame b. It returns the part
// behind them, and the sum of the pseudo header where the L4 checksum has one.
func putIP(b []byte, f *Flow, dscp uint8, df bool, h uint64, id uint16, src, dst [6]byte) (l4 []byte, acc uint64) {
	ip := b[ethLen:]
	if f.Local.Is4() {
		putEthernet(b, src, dst, etherIPv4)
		l4 = ip[ipv4Len:]
		first := uint64(0x45)<<56 | uint64(dscp)<<50 | uint64(len(ip))<<32 | uint64(id)<<16
		if df {
			first |= 0x4000
		}
		l, r := f.Local.As4(), f.Remote.As4()
		local, remote := uint64(be.Uint32(l[:])), uint64(be.Uint32(r[:]))
		second := uint64(hopLimit)<<56 | uint64(f.Proto)<<48 | local
		checksum := ^fold(add(add(first, second), remote))
		be.PutUint32(ip[16:], uint32(remote))
		be.PutUint64(ip[8:], second|uint64(checksum)<<32)
		be.PutUint64(ip, first)
		if f.Proto == ICMP { // RFC 792: no pseudo header
			return l4, 0
		}
		return l4, local + remote + uint64(f.Proto) + uint64(len(l4))
	}
	putEthernet(b, src, dst, etherIPv6)
	l4 = ip[ipv6Len:]
	local, remote := f.Local.As16(), f.Remote.As16()
	proto := byte(f.Proto)
	if f.Proto == ICMP {
		proto = protoICMPv6
	}
	be.PutUint64(ip, uint64(6<<28|uint32(dscp)<<22|flowLabel(h))<<32|uint64(len(l4))<<16|uint64(proto)<<8|hopLimit)
	copy(ip[8:24], local[:])
	copy(ip[24:40], remote[:])
	acc = add(add(be.Uint64(local[:]), be.Uint64(local[8:])), uint64(proto)+uint64(len(l4)))
	return l4, add(acc, add(be.Uint64(remote[:]), be.Uint64(remote[8:])))
}
