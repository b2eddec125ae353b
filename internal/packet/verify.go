// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net/netip"
	"sync/atomic"
)

// Verifier recognises replies to our probes, by the rules of docs/design.md and
// exactly as bpf/steer.c does. Any number of goroutines may Parse while
// one calls SetFilter.
type Verifier struct {
	secret Secret
	filter atomic.Pointer[Filter]
}

// NewVerifier returns a Verifier that knows no address and no port yet.
func NewVerifier(s Secret) *Verifier {
	v := &Verifier{secret: s}
	v.filter.Store(new(Filter))
	return v
}

// SetFilter replaces the filter in one step.
func (v *Verifier) SetFilter(f *Filter) { v.filter.Store(f) }

// maxExtensions is how many IPv6 extension headers are looked through.
const maxExtensions = 6

// The extension headers that are (RFC 8200 section 4).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	destination = 60
)

// cursor walks through the headers of an IP packet.
type cursor struct {
	b    []byte // what is left of the frame
	left int    // what is left of the packet by its own length field
}

// pull returns the next n bytes and steps over them, or returns nil where the
// frame or the packet ends before.
func (c *cursor) pull(n int) []byte {
	if c.left < n || len(c.b) < n {
		return nil
	}
	p := c.b[:n:n]
	c.b, c.left = c.b[n:], c.left-n
	return p
}

// Parse judges a received Ethernet frame. When the verdict is a Kind, r is the reply;
// otherwise r holds nothing of use. It does not allocate.
func (v *Verifier) Parse(frame []byte, r *Reply) Verdict {
	if len(frame) < ethLen {
		return Malformed
	}
	etherType, ip := be.Uint16(frame[12:]), frame[ethLen:]
	for range 2 {
		if etherType != 0x8100 && etherType != 0x88a8 { // 802.1Q, 802.1ad
			break
		}
		if len(ip) < 4 {
			return Malformed
		}
		etherType, ip = be.Uint16(ip[2:]), ip[4:]
	}
	*r = Reply{}
	p := parser{f: v.filter.Load(), secret: v.secret, r: r}
	switch etherType {
	case etherIPv4:
		return p.ipv4(ip)
	case etherIPv6:
		return p.ipv6(ip)
	}
	return NotIP
}

// parser is the state of one Parse. from and to are the addresses of the
// received packet.
type parser struct {
	f        *Filter
	secret   Secret
	r        *Reply
	from, to netip.Addr
	v4       bool
	c        cursor
}

func (p *parser) ipv4(ip []byte) Verdict {
	if len(ip) < ipv4Len || ip[0]>>4 != 4 {
		return Malformed
	}
	header, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	if header < ipv4Len || total < header || len(ip) < header {
		return Malformed
	}
	if be.Uint16(ip[6:])&0x1fff != 0 {
		return Fragment
	}
	p.v4 = true
	p.r.TTL = ip[8]
	p.from = netip.AddrFrom4([4]byte(ip[12:16]))
	p.to = netip.AddrFrom4([4]byte(ip[16:20]))
	p.c = cursor{ip[header:], total - header}
	switch ip[9] {
	case byte(TCP):
		return p.tcp()
	case byte(ICMP):
		return p.icmp()
	}
	return NotReply
}

func (p *parser) ipv6(ip []byte) Verdict {
	if len(ip) < ipv6Len || ip[0]>>4 != 6 {
		return Malformed
	}
	p.r.TTL = ip[7]
	p.from = netip.AddrFrom16([16]byte(ip[8:24]))
	p.to = netip.AddrFrom16([16]byte(ip[24:40]))
	p.c = cursor{ip[ipv6Len:], int(be.Uint16(ip[4:]))}
	next := ip[6]
	for i := 0; ; i++ {
		switch next {
		case byte(TCP):
			return p.tcp()
		case protoICMPv6:
			return p.icmp()
		case hopByHop, routing, fragment, destination:
			if i == maxExtensions {
				return Extensions
			}
		default:
			return NotReply
		}
		h := p.c.pull(8)
		if h == nil {
			return Malformed
		}
		if next == fragment {
			if be.Uint16(h[2:])&0xfff8 != 0 {
				return Fragment
			}
		} else if p.c.pull(int(h[1])*8) == nil {
			return Malformed
		}
		next = h[0]
	}
}

func (p *parser) tcp() Verdict {
	h := p.c.pull(tcpLen)
	if h == nil {
		return Malformed
	}
	const urgent, push, fin = 0x20, 0x08, 0x01
	flags := h[13] & (urgent | flagACK | flagRST | flagSYN | fin) // not ECE, CWR, PSH
	switch flags {
	case flagSYN | flagACK, flagRST | flagACK, flagRST:
	default:
		return NotReply
	}
	if !p.f.HasLocal(p.to.As16()) {
		return NotLocal
	}
	remotePort, localPort := be.Uint16(h), be.Uint16(h[2:])
	if !p.f.LocalTCP.Has(localPort) || !p.f.RemoteTCP.Has(remotePort) {
		return NotPort
	}
	if flags == flagRST {
		return BareReset
	}
	r := p.r
	p.flow(TCP, p.from, localPort, remotePort)
	r.Ack = be.Uint32(h[8:])
	r.Number = r.Ack - 1 - Base(r.Hash)
	if r.Number >= SeqWindow+seqSlack {
		return BadToken
	}
	r.Kind = SynAck
	if flags == flagRST|flagACK {
		r.Kind = RstAck
	}
	return p.accept()
}

func (p *parser) icmp() Verdict {
	h := p.c.pull(icmpLen)
	if h == nil {
		return Malformed
	}
	switch t := h[0]; {
	case p.v4 && t == 0, !p.v4 && t == 129: // echo reply
		return p.echo(h)
	case p.v4 && t == 5, !p.v4 && t == 137: // redirect
		return Redirect
	// Destination unreachable, time exceeded, parameter problem; source quench
	// (type 4) is to be ignored (RFC 6633).
	case p.v4 && (t == 3 || t == 11 || t == 12):
	// Destination unreachable, packet too big, time exceeded, parameter problem.
	case !p.v4 && t >= 1 && t <= 4:
	default:
		return NotReply
	}
	if !p.f.HasLocal(p.to.As16()) {
		return NotLocal
	}
	p.r.Kind, p.r.Type, p.r.Code = Error, h[0], h[1]
	return p.quote()
}

func (p *parser) echo(h []byte) Verdict {
	if !p.f.HasLocal(p.to.As16()) {
		return NotLocal
	}
	if p.c.left < 6 {
		return BadToken // the host's own ping may carry less
	}
	t := p.c.pull(6)
	if t == nil {
		return Malformed
	}
	r := p.r
	p.flow(ICMP, p.from, be.Uint16(h[4:]), 0)
	r.Number = uint32(be.Uint16(h[6:]))
	if token48(t) != token(r.Hash, r.Number)>>16 {
		return BadToken
	}
	r.Kind = Echo
	return p.accept()
}

// flow sets the reply's flow and its hash.
func (p *parser) flow(proto Proto, remote netip.Addr, localPort, remotePort uint16) {
	p.r.Flow = Flow{Proto: proto, Local: p.to, Remote: remote, LocalPort: localPort, RemotePort: remotePort}
	p.r.Hash = p.secret.Hash(&p.r.Flow)
}

func (p *parser) accept() Verdict {
	p.r.From = p.from
	p.r.Alternate = p.r.Number
	return Verdict(p.r.Kind)
}

// token48 reads the first six bytes of a token.
func token48(b []byte) uint64 { return uint64(be.Uint32(b))<<16 | uint64(be.Uint16(b[4:])) }
