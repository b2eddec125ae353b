// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// layout is where things lie in an error and in the IP header it quotes.
type layout struct {
	quote           int // the quoted IP header, in the frame
	header          int // its length
	ttl, srcEnd     int // hop limit and the source's last byte, in it
	toEnd           int // the last byte of the address the error goes to, in the frame
	unreachable     byte
	exceeded        byte
	redirect        byte
	reply           byte // the type of an echo reply
	errors, ignored []byte
}

var (
	layout4 = layout{42, 20, 8, 15, 33, 3, 11, 5, 0, []byte{3, 11, 12}, []byte{4, 8, 13}}
	layout6 = layout{62, 40, 7, 23, 53, 1, 3, 137, 129, []byte{1, 2, 3, 4}, []byte{0, 5, 100, 127, 128, 135, 255}}
)

// plus returns a copy of frame with its byte at i one higher.
func plus(frame []byte, i int) []byte {
	b := slices.Clone(frame)
	b[i]++
	return b
}

// errors is the ICMP errors that quote a probe of f.
func (c *corpus) errors(name string, f packet.Flow, router netip.Addr) {
	const n = 1234
	l := layout4
	if !f.Local.Is4() {
		l = layout6
	}
	p := Dissect(Build(f, 33, n))
	good := func(what string, from netip.Addr, frame []byte) {
		c.reply(name+what, packet.Error, f, n, from, frame)
	}
	bad := func(what string, want packet.Verdict, frame []byte) { c.pass(name+what, want, frame) }

	for _, t := range l.errors {
		good(fmt.Sprintf("type %d", t), router, p.Error(router, t, 1, -1))
	}
	for _, t := range l.ignored {
		bad(fmt.Sprintf("type %d", t), packet.NotReply, p.Error(router, t, 0, -1))
	}
	whole := p.Error(f.Remote, l.unreachable, 3, -1)
	good("from the target", f.Remote, whole)
	good("tagged", f.Remote, Tagged(whole, 0x8100))
	good("quoting the token and no more", router, p.Error(router, l.exceeded, 0, l.header+14))
	good("quoted hop limit and class changed", f.Remote, plus(plus(whole, l.quote+1), l.quote+l.ttl))
	bad("redirect", packet.Redirect, p.Error(router, l.redirect, 1, -1))
	bad("to another address", packet.NotLocal, plus(whole, l.toEnd))
	bad("quoting somebody else's packet", packet.BadQuote, plus(whole, l.quote+l.srcEnd))
	bad("quoting another target", packet.BadToken, plus(whole, l.quote+l.header-1))
	bad("quoting seven bytes", packet.BadQuote, p.Error(router, l.unreachable, 0, l.header+7))
	bad("quoting half a header", packet.BadQuote, p.Error(router, l.unreachable, 0, l.header-1))
	bad("quoting nothing", packet.BadQuote, p.Error(router, l.unreachable, 0, 0))
	bad("cut off in the quoted header", packet.BadQuote, whole[:l.quote+l.header+5])
	bad("cut off in its own header", packet.Malformed, whole[:l.quote-1])
	otherVersion := slices.Clone(whole)
	otherVersion[l.quote] ^= 0x10
	bad("quoting another version", packet.BadQuote, otherVersion)
	for _, t := range l.errors { // RFC 1122 3.2.2 and RFC 4443 2.4(e) forbid them; some send them
		for _, u := range l.errors {
			in := slices.Clone(whole)
			in[l.quote-8] = u
			nested := Dissect(in)
			nested.Src, nested.Dst = f.Local, f.Remote
			bad(fmt.Sprintf("type %d quoting an error of type %d", t, u), packet.BadQuote, nested.Error(router, t, 0, -1))
			// As if we had sent it: the quoted source is right, what it is is not.
			copy(nested.IP[l.srcEnd-len(f.Local.AsSlice())+1:], f.Local.AsSlice())
			bad(fmt.Sprintf("type %d quoting an error of type %d from our address", t, u), packet.BadQuote, nested.Error(router, t, 0, -1))
		}
	}
	if f.Local.Is4() {
		optioned := Dissect(Optioned(Build(f, 33, n), 7, 7, 4, 0, 0, 0, 0, 0))
		optioned.Src, optioned.Dst = f.Local, f.Remote
		good("quoting options", router, optioned.Error(router, l.exceeded, 0, -1))
		bad("quoting a later fragment", packet.BadQuote, plus(whole, l.quote+7))
	} else {
		good("behind an extension header", f.Remote, Extended(whole, 0, 0, 1, 4, 0, 0, 0, 0))
	}
	l4 := l.quote + l.header
	switch f.Proto {
	case packet.TCP:
		good("quoting eight bytes", router, p.Error(router, l.unreachable, 1, l.header+8))
		bad("quoting another local port", packet.NotPort, plus(whole, l4+1))
		bad("quoting another remote port", packet.NotPort, plus(whole, l4+3))
		bad("quoting another sequence number", packet.BadToken, plus(whole, l4+4))
	case packet.UDP:
		bad("quoting another local port", packet.NotPort, plus(whole, l4+1))
		bad("quoting another remote port", packet.BadToken, plus(whole, l4+3))
		good("quoting another checksum and the token", f.Remote, plus(whole, l4+6))
		for i := range 6 {
			bad(fmt.Sprintf("quoting another token byte %d", i), packet.BadToken, plus(whole, l4+8+i))
		}
		bad("cut off in the token", packet.BadQuote, whole[:l4+12])
		c.shortUDP(name, f, n, p.Error(router, l.unreachable, 3, l.header+8), router)
	case packet.ICMP:
		good("quoting another checksum and the token", f.Remote, plus(whole, l4+2))
		good("quoting eight bytes", router, p.Error(router, l.exceeded, 0, l.header+8))
		good("quoting half a token", router, p.Error(router, l.exceeded, 0, l.header+13))
		bad("quoting eight bytes and another checksum", packet.BadToken, plus(p.Error(router, l.exceeded, 0, l.header+8), l4+2))
		for i := range 6 {
			bad(fmt.Sprintf("quoting another token byte %d", i), packet.BadToken, plus(whole, l4+8+i))
		}
		bad("cut off in the token", packet.BadQuote, whole[:l4+12])
		reply := slices.Clone(whole)
		reply[l4] = l.reply
		bad("quoting an echo reply", packet.BadQuote, reply)
	}
}

// shortUDP is errors that quote only the header of a UDP probe.
func (c *corpus) shortUDP(name string, f packet.Flow, n uint32, short []byte, router netip.Addr) {
	if !f.Local.Is4() {
		c.pass(name+"quoting eight bytes", packet.BadToken, short)
		return
	}
	const id, checksum = 42 + 4, 62 + 6
	good := func(what string, n uint32, frame []byte) { c.reply(name+what, packet.Error, f, n, router, frame) }
	otherID, noChecksum := slices.Clone(short), slices.Clone(short)
	be.PutUint16(otherID[id:], be.Uint16(short[id:])+0x8000)
	be.PutUint16(noChecksum[checksum:], 0)
	both := slices.Clone(otherID)
	be.PutUint16(both[checksum:], 0xffff)
	good("quoting eight bytes", n, short)
	good("quoting eight bytes and another id", n, otherID)
	good("quoting eight bytes and no checksum", n, noChecksum)
	good("quoting eight bytes, id of the next probe", n+1, plus(short, id+1))
	c.pass(name+"quoting eight bytes, neither id nor checksum", packet.BadToken, both)
}
