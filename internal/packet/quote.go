// SPDX-License-Identifier: Apache-2.0

package packet

import "net/netip"

// quote judges the packet that an ICMP error quotes: it must be a probe that
// left from the address the error came to. Its extension headers are not looked
// through, since our probes have none; IPv4 options are, in case a router added some.
func (p *parser) quote() Verdict {
	var proto byte
	var id uint16
	var remote netip.Addr
	if p.v4 {
		ip := p.c.pull(ipv4Len)
		if ip == nil || ip[0]>>4 != 4 || ip[0]&15 < 5 || be.Uint16(ip[6:])&0x1fff != 0 {
			return BadQuote
		}
		if p.c.pull(int(ip[0]&15)*4-ipv4Len) == nil {
			return BadQuote
		}
		if netip.AddrFrom4([4]byte(ip[12:16])) != p.to {
			return BadQuote
		}
		remote = netip.AddrFrom4([4]byte(ip[16:20]))
		proto, id = ip[9], be.Uint16(ip[4:])
	} else {
		ip := p.c.pull(ipv6Len)
		if ip == nil || ip[0]>>4 != 6 || netip.AddrFrom16([16]byte(ip[8:24])) != p.to {
			return BadQuote
		}
		remote = netip.AddrFrom16([16]byte(ip[24:40]))
		proto = ip[6]
	}
	h := p.c.pull(8)
	if h == nil {
		return BadQuote
	}
	switch {
	case proto == byte(TCP):
		return p.quotedTCP(h, remote)
	case proto == byte(UDP):
		return p.quotedUDP(h, remote, id)
	case p.v4 && proto == byte(ICMP) && h[0] == 8, !p.v4 && proto == protoICMPv6 && h[0] == 128:
		return p.quotedEcho(h, remote)
	}
	return BadQuote
}

func (p *parser) quotedTCP(h []byte, remote netip.Addr) Verdict {
	localPort, remotePort := be.Uint16(h), be.Uint16(h[2:])
	if !p.f.LocalTCP.Has(localPort) || !p.f.RemoteTCP.Has(remotePort) {
		return NotPort
	}
	p.flow(TCP, remote, localPort, remotePort)
	p.r.Number = be.Uint32(h[4:]) - Base(p.r.Hash)
	if p.r.Number >= SeqWindow {
		return BadToken
	}
	return p.accept()
}

func (p *parser) quotedEcho(h []byte, remote netip.Addr) Verdict {
	r := p.r
	p.flow(ICMP, remote, be.Uint16(h[4:]), 0)
	r.Number = uint32(be.Uint16(h[6:]))
	if p.c.left < 6 {
		if be.Uint16(h[2:]) != echoChecksum(r.Hash) {
			return BadToken
		}
		return p.accept()
	}
	t := p.c.pull(6)
	if t == nil {
		return BadQuote
	}
	if token48(t) != token(r.Hash, r.Number)>>16 {
		return BadToken
	}
	return p.accept()
}

func (p *parser) quotedUDP(h []byte, remote netip.Addr, id uint16) Verdict {
	localPort := be.Uint16(h)
	if !p.f.LocalUDP.Has(localPort) {
		return NotPort
	}
	r := p.r
	p.flow(UDP, remote, localPort, be.Uint16(h[2:]))
	if p.c.left < 6 {
		return p.shortUDP(h, id)
	}
	t := p.c.pull(6)
	if t == nil {
		return BadQuote
	}
	r.Number = uint32(be.Uint16(t))
	if r.Number >= UDPNumbers || be.Uint32(t[2:]) != uint32(token(r.Hash, r.Number)>>32) {
		return BadToken
	}
	return p.accept()
}

// shortUDP verifies a UDP probe of which only the header is quoted, which RFC
// 792 allows for IPv4, by the IPv4 id and the UDP checksum: a device on the way
// may have rewritten either.
func (p *parser) shortUDP(h []byte, id uint16) Verdict {
	if !p.v4 {
		return BadToken
	}
	r := p.r
	r.Weak = true
	byID, byChecksum := numberOfID(r.Hash, id), numberOfChecksum(r.Hash, be.Uint16(h[6:]))
	switch {
	case byID < UDPNumbers && byChecksum < UDPNumbers:
		r.Number = byID
		v := p.accept()
		r.Alternate, r.Weak = byChecksum, byID != byChecksum
		return v
	case byID < UDPNumbers:
		r.Number = byID
	case byChecksum < UDPNumbers:
		r.Number = byChecksum
	default:
		return BadToken
	}
	return p.accept()
}
