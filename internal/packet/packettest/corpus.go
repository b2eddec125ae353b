// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"fmt"
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// Case is a frame that comes in, and what is to be made of it.
type Case struct {
	Name  string
	Frame []byte
	Want  packet.Verdict

	// Of a reply: which probe it answers, and who sent it.
	Flow   packet.Flow
	Number uint32
	From   netip.Addr
}

// Secret and the addresses and ports of the corpus.
var (
	Secret = packet.Secret{0x0706050403020100, 0x0f0e0d0c0b0a0908}

	local4, remote4, router4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("203.0.113.1")
	local6, remote6, router6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::7"), netip.MustParseAddr("2001:db8:2::1")

	macA, macB = [6]byte{2, 0, 0, 0, 0, 0x0a}, [6]byte{2, 0, 0, 0, 0, 0x0b}
)

const (
	localPort, remotePort = 65000, 443
	echoID                = 0x4e50
)

// Filter is the filter under which the corpus has its verdicts.
func Filter() *packet.Filter {
	f := new(packet.Filter)
	f.AddLocal(local4)
	f.AddLocal(local6)
	f.LocalTCP.Add(localPort)
	f.LocalUDP.Add(localPort)
	f.RemoteTCP.Add(remotePort)
	return f
}

// Flows returns the flows of the corpus: every protocol over each family.
func Flows() []packet.Flow {
	return []packet.Flow{
		{Proto: packet.TCP, Local: local4, Remote: remote4, LocalPort: localPort, RemotePort: remotePort},
		{Proto: packet.UDP, Local: local4, Remote: remote4, LocalPort: localPort, RemotePort: 33434},
		{Proto: packet.ICMP, Local: local4, Remote: remote4, LocalPort: echoID},
		{Proto: packet.TCP, Local: local6, Remote: remote6, LocalPort: localPort, RemotePort: remotePort},
		{Proto: packet.UDP, Local: local6, Remote: remote6, LocalPort: localPort, RemotePort: 33434},
		{Proto: packet.ICMP, Local: local6, Remote: remote6, LocalPort: echoID},
	}
}

// Build returns the frame of probe n of a flow.
func Build(f packet.Flow, payload uint16, n uint32) []byte {
	sh := &packet.Shape{PayloadLen: payload, DontFragment: true}
	b := make([]byte, packet.FrameLen(&f, sh))
	packet.Build(b, &f, sh, Secret.Hash(&f), n, macA, macB)
	return b
}

type corpus struct{ cases []Case }

func (c *corpus) pass(name string, want packet.Verdict, frame []byte) {
	c.cases = append(c.cases, Case{Name: name, Frame: frame, Want: want})
}

func (c *corpus) reply(name string, kind packet.Kind, f packet.Flow, n uint32, from netip.Addr, frame []byte) {
	c.cases = append(c.cases, Case{name, frame, packet.Verdict(kind), f, n, from})
}

// Corpus returns frames of every kind with their verdicts: replies of ours in
// every dress (dress.go), and for each rule a frame that breaks it alone.
func Corpus() []Case {
	c := new(corpus)
	for _, f := range Flows() {
		family, router := "v4", router4
		if !f.Local.Is4() {
			family, router = "v6", router6
		}
		switch f.Proto {
		case packet.TCP:
			c.tcp(family+" tcp ", f)
			c.dresses(family+" tcp ", f)
		case packet.ICMP:
			c.echo(family+" echo ", f, router)
		}
		c.errors(fmt.Sprintf("%s error on %d ", family, f.Proto), f, router)
	}
	c.wardrobe()
	c.pass("empty", packet.Malformed, []byte{})
	c.pass("arp", packet.NotIP, append([]byte{11: 1, 12: 8, 13: 6}, make([]byte, 46)...))
	c.pass("length field, not a type", packet.NotIP, append([]byte{11: 1, 12: 0, 13: 46}, make([]byte, 46)...))
	return c.cases
}

func (c *corpus) tcp(name string, f packet.Flow) {
	const n, payload = 4242, 101
	p := Dissect(Build(f, payload, n))
	ack := p.Seq() + 1
	first := Dissect(Build(f, 0, 0)).Seq()
	c.reply(name+"syn-ack", packet.SynAck, f, n, f.Remote, p.TCP(SYN|ACK, ack))
	c.reply(name+"syn-ack with ece", packet.SynAck, f, n, f.Remote, p.TCP(SYN|ACK|ECE, ack))
	c.reply(name+"rst-ack", packet.RstAck, f, n, f.Remote, p.TCP(RST|ACK, ack))
	c.reply(name+"rst-ack of the payload too", packet.RstAck, f, n+payload, f.Remote, p.TCP(RST|ACK|PSH|CWR, ack+payload))
	c.reply(name+"first of the window", packet.SynAck, f, 0, f.Remote, p.TCP(SYN|ACK, first+1))
	c.reply(name+"last of the window", packet.RstAck, f, packet.SeqWindow+65535, f.Remote, p.TCP(RST|ACK, first+packet.SeqWindow+65536))
	c.pass(name+"before the window", packet.BadToken, p.TCP(SYN|ACK, first))
	c.pass(name+"behind the window", packet.BadToken, p.TCP(RST|ACK, first+packet.SeqWindow+65537))
	c.pass(name+"bare rst", packet.BareReset, p.TCP(RST, ack))
	c.pass(name+"segment", packet.NotReply, p.TCP(ACK|PSH, ack))
	c.pass(name+"fin-ack", packet.NotReply, p.TCP(FIN|ACK, ack))
	c.pass(name+"syn", packet.NotReply, p.TCP(SYN, ack))
	c.pass(name+"syn-ack with fin", packet.NotReply, p.TCP(SYN|ACK|FIN, ack))
	c.pass(name+"syn-ack with urg", packet.NotReply, p.TCP(SYN|ACK|URG, ack))
	c.pass(name+"syn-ack of a stranger", packet.BadToken, Probe{Src: p.Src, Dst: p.Dst.Next(), L4: p.L4}.TCP(SYN|ACK, ack))
	c.pass(name+"syn-ack to another address", packet.NotLocal, Probe{Src: p.Src.Next(), Dst: p.Dst, L4: p.L4}.TCP(SYN|ACK, ack))
	c.pass(name+"rst to another address", packet.NotLocal, Probe{Src: p.Src.Next(), Dst: p.Dst, L4: p.L4}.TCP(RST, ack))
	for i, port := range []string{"source", "destination"} {
		frame := p.TCP(SYN|ACK, ack)
		frame[len(frame)-20+2*i+1]++
		c.pass(name+"syn-ack with another "+port+" port", packet.NotPort, frame)
	}
	frame := p.TCP(SYN|ACK, ack)
	for _, n := range []int{1, 7, 19, 20, 21, len(frame) - 14, len(frame) - 1} {
		c.pass(fmt.Sprintf("%ssyn-ack without its last %d bytes", name, n), packet.Malformed, frame[:len(frame)-n])
	}
}

// dresses is a SYN-ACK behind tags, options and extension headers.
func (c *corpus) dresses(name string, f packet.Flow) {
	const n = 77
	p := Dissect(Build(f, 0, n))
	bare := p.TCP(SYN|ACK, p.Seq()+1)
	edit := func(f func(b []byte)) []byte {
		b := append([]byte(nil), bare...)
		f(b)
		return b
	}
	good := func(what string, frame []byte) { c.reply(name+what, packet.SynAck, f, n, f.Remote, frame) }
	good("padded to 60", append(append([]byte(nil), bare...), make([]byte, 6)...))
	good("one tag", Tagged(bare, 0x8100))
	good("two tags", Tagged(bare, 0x88a8, 0x8100))
	c.pass(name+"three tags", packet.NotIP, Tagged(bare, 0x88a8, 0x8100, 0x8100))
	c.pass(name+"tag cut off", packet.Malformed, Tagged(bare, 0x8100)[:17])
	c.pass(name+"another version", packet.Malformed, edit(func(b []byte) { b[14] = 0x55 }))
	if f.Local.Is4() {
		good("options", Optioned(bare, 7, 7, 4, 0, 0, 0, 0, 0))
		good("forty bytes of options", Optioned(bare, make([]byte, 40)...))
		good("options and tag", Tagged(Optioned(bare, 1, 1, 1, 1), 0x8100))
		good("first fragment", edit(func(b []byte) { b[20] = 0x20 }))
		c.pass(name+"later fragment", packet.Fragment, edit(func(b []byte) { b[21] = 1 }))
		c.pass(name+"header of 16 bytes", packet.Malformed, edit(func(b []byte) { b[14] = 0x44 }))
		c.pass(name+"total length within the header", packet.Malformed, edit(func(b []byte) { b[17] = 19 }))
		c.pass(name+"total length within tcp", packet.Malformed, edit(func(b []byte) { b[17] = 39 }))
		c.pass(name+"another protocol", packet.NotReply, edit(func(b []byte) { b[23] = 47 }))
		c.pass(name+"icmpv6 over ipv4", packet.NotReply, edit(func(b []byte) { b[23] = 58 }))
		return
	}
	padN := []byte{0, 1, 4, 0, 0, 0, 0}
	long := append([]byte{2}, make([]byte, 22)...)
	good("hop-by-hop", Extended(bare, 0, padN...))
	good("routing", Extended(bare, 43, padN...))
	good("destination options of 24 bytes", Extended(bare, 60, long...))
	good("first fragment", Extended(bare, 44, 0, 0, 1, 0, 0, 0, 9))
	good("all four, tagged", Tagged(Extended(Extended(Extended(Extended(bare, 60, padN...), 44, 0, 0, 0, 0, 0, 0, 9), 43, padN...), 0, padN...), 0x8100))
	c.pass(name+"later fragment", packet.Fragment, Extended(bare, 44, 0, 0, 9, 0, 0, 0, 9))
	c.pass(name+"authentication header", packet.NotReply, Extended(bare, 51, padN...))
	c.pass(name+"no next header", packet.NotReply, edit(func(b []byte) { b[20] = 59 }))
	c.pass(name+"icmp over ipv6", packet.NotReply, edit(func(b []byte) { b[20] = 1 }))
	c.pass(name+"payload length within tcp", packet.Malformed, edit(func(b []byte) { b[19] = 19 }))
	c.pass(name+"extension header beyond the packet", packet.Malformed, Extended(bare, 0, 200, 0, 0, 0, 0, 0, 0))
	frame := bare
	for i := range 6 {
		frame = Extended(frame, 60, padN...)
		good(fmt.Sprintf("%d extension headers", i+1), frame)
	}
	c.pass(name+"7 extension headers", packet.Extensions, Extended(frame, 0, padN...))
}

func (c *corpus) echo(name string, f packet.Flow, stranger netip.Addr) {
	const n = 65535
	p := Dissect(Build(f, 9, n))
	good := p.Echo(f.Remote)
	at := len(good) - len(p.L4)
	edit := func(i int) []byte {
		b := append([]byte(nil), good...)
		b[at+i]++
		return b
	}
	c.reply(name+"reply", packet.Echo, f, n, f.Remote, good)
	c.reply(name+"reply, checksum unfinished", packet.Echo, f, n, f.Remote, edit(2))
	c.reply(name+"reply, rest of the payload differs", packet.Echo, f, n, f.Remote, edit(14))
	c.reply(name+"reply, tagged", packet.Echo, f, n, f.Remote, Tagged(good, 0x8100))
	c.pass(name+"reply of a stranger", packet.BadToken, p.Echo(stranger))
	c.pass(name+"reply, another id", packet.BadToken, edit(5))
	c.pass(name+"reply, another sequence number", packet.BadToken, edit(7))
	for i := range 6 {
		c.pass(fmt.Sprintf("%sreply, token byte %d", name, i), packet.BadToken, edit(8+i))
	}
	c.pass(name+"request", packet.NotReply, Frame(f.Remote, f.Local, p.Proto, p.L4))
	c.pass(name+"reply to another address", packet.NotLocal, Frame(f.Remote, f.Local.Next(), p.Proto, good[at:]))
	c.pass(name+"reply without payload", packet.BadToken, Frame(f.Remote, f.Local, p.Proto, good[at:at+8]))
	c.pass(name+"reply without payload, padded", packet.BadToken, append(Frame(f.Remote, f.Local, p.Proto, good[at:at+8]), make([]byte, 18)...))
	c.pass(name+"reply with five bytes", packet.BadToken, Frame(f.Remote, f.Local, p.Proto, good[at:at+13]))
	c.pass(name+"reply cut off in the token", packet.Malformed, good[:at+13])
	c.pass(name+"reply cut off in the header", packet.Malformed, good[:at+7])
}
