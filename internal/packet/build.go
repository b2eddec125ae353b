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
		putTCP(l4, f, Base(h)+n, flagSYN)
		p := l4[tcpLen:]
		putPattern(p, 0)
		acc = add(sum(l4[:tcpLen], acc), patternSum(0, len(p)))
		be.PutUint16(l4[16:], ^fold(acc))
	case UDP:
		be.PutUint16(l4, f.LocalPort)
		be.PutUint16(l4[2:], f.RemotePort)
		be.PutUint16(l4[4:], uint16(len(l4)))
		be.PutUint16(l4[6:], udpChecksum(h, n))
		be.PutUint16(l4[8:], uint16(n))
		be.PutUint32(l4[10:], uint32(token(h, n)>>32))
		force(l4, acc)
	case ICMP:
		l4[0], l4[1] = 8, 0
		if !f.Local.Is4() {
			l4[0] = 128
		}
		be.PutUint16(l4[2:], echoChecksum(h))
		be.PutUint16(l4[4:], f.LocalPort)
		be.PutUint16(l4[6:], uint16(n))
		t := token(h, n)
		be.PutUint32(l4[8:], uint32(t>>32))
		be.PutUint16(l4[12:], uint16(t>>16))
		force(l4, acc)
	}
	return len(b)
}

// force fills in the pattern behind the token of an ICMP or UDP packet, and the
// token's last two bytes so that the checksum that stands in its place already
// is the right one. acc is the sum of the pseudo header, 0 without one.
func force(l4 []byte, acc uint64) {
	const token, adjust, pattern = udpLen, udpLen + 6, udpLen + TokenLen
	putPattern(l4[token:], TokenLen)
	be.PutUint16(l4[adjust:], 0)
	acc = add(sum(l4[:pattern], acc), patternSum(TokenLen, len(l4)-token))
	be.PutUint16(l4[adjust:], ^fold(acc))
}

// BuildReset writes the Ethernet frame of a RST on a TCP flow and returns its
// length, at most FrameLen of an empty payload. seq is the acknowledgement number
// of the SYN+ACK it answers: a peer that follows RFC 5961 ignores any other.
// h gives it the flow label of the flow's probes, so that it takes their path.
func BuildReset(b []byte, f *Flow, dscp uint8, h uint64, seq uint32, src, dst [6]byte) int {
	b = b[:FrameLen(f, &Shape{})]
	l4, acc := putIP(b, f, dscp, true, h, 0, src, dst)
	putTCP(l4, f, seq, flagRST)
	be.PutUint16(l4[16:], ^fold(sum(l4, acc)))
	return len(b)
}

// putTCP writes a TCP header without options, its checksum 0.
func putTCP(l4 []byte, f *Flow, seq uint32, flags byte) {
	be.PutUint16(l4, f.LocalPort)
	be.PutUint16(l4[2:], f.RemotePort)
	be.PutUint32(l4[4:], seq)
	be.PutUint32(l4[8:], 0)
	l4[12], l4[13] = tcpLen/4<<4, flags
	be.PutUint16(l4[14:], window)
	be.PutUint32(l4[16:], 0)
}

// putIP writes the Ethernet and IP headers of frame b. It returns the part
// behind them, and the sum of the pseudo header where the L4 checksum has one.
func putIP(b []byte, f *Flow, dscp uint8, df bool, h uint64, id uint16, src, dst [6]byte) (l4 []byte, acc uint64) {
	ip := b[ethLen:]
	if f.Local.Is4() {
		putEthernet(b, src, dst, etherIPv4)
		l4 = ip[ipv4Len:]
		local, remote := f.Local.As4(), f.Remote.As4()
		ip[0], ip[1] = 0x45, dscp<<2
		be.PutUint16(ip[2:], uint16(len(ip)))
		be.PutUint16(ip[4:], id)
		be.PutUint16(ip[6:], 0)
		if df {
			ip[6] = 0x40
		}
		ip[8], ip[9] = hopLimit, byte(f.Proto)
		be.PutUint16(ip[10:], 0)
		copy(ip[12:16], local[:])
		copy(ip[16:20], remote[:])
		be.PutUint16(ip[10:], ^fold(sum(ip[:ipv4Len], 0)))
		if f.Proto == ICMP { // RFC 792: no pseudo header
			return l4, 0
		}
		return l4, sum(ip[12:20], uint64(f.Proto)+uint64(len(l4)))
	}
	putEthernet(b, src, dst, etherIPv6)
	l4 = ip[ipv6Len:]
	local, remote := f.Local.As16(), f.Remote.As16()
	proto := byte(f.Proto)
	if f.Proto == ICMP {
		proto = protoICMPv6
	}
	be.PutUint32(ip, 6<<28|uint32(dscp)<<22|flowLabel(h))
	be.PutUint16(ip[4:], uint16(len(l4)))
	ip[6], ip[7] = proto, hopLimit
	copy(ip[8:24], local[:])
	copy(ip[24:40], remote[:])
	return l4, sum(ip[8:40], uint64(proto)+uint64(len(l4)))
}
