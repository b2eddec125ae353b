// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

var (
	update = flag.Bool("update", false, "rewrite testdata/frames.txt from what Build makes now")

	macUs, macHop = [6]byte{2, 0, 0, 0, 0, 0x0a}, [6]byte{2, 0, 0, 0, 0, 0x0b}
)

// sample is a frame of ours, and what it was made from.
type sample struct {
	name  string
	flow  packet.Flow
	shape packet.Shape
	n     uint32
	reset bool
	frame []byte
}

// samples returns frames of every type and family, without payload, with an odd
// one and with one that fills an Ethernet frame; and resets.
func samples() []sample {
	var all []sample
	for _, f := range packettest.Flows() {
		h := packettest.Secret.Hash(&f)
		name := map[packet.Proto]string{packet.TCP: "tcp", packet.UDP: "udp", packet.ICMP: "icmp"}[f.Proto]
		big := uint16(1480)
		if f.Local.Is4() {
			name += "4"
		} else {
			name, big = name+"6", 1460
		}
		big -= 8
		if f.Proto == packet.TCP {
			big -= 12
		}
		for i, sh := range []packet.Shape{
			{},
			{DSCP: 11, DontFragment: true, PayloadLen: 33},
			{DSCP: 63, DontFragment: true, PayloadLen: big},
		} {
			n := []uint32{0, 1234, 1<<20 - 1}[i]
			b := bytes.Repeat([]byte{0xee}, 2048) // as in a frame that was used before
			b = b[:packet.Build(b, &f, &sh, h, n, macUs, macHop)]
			all = append(all, sample{fmt.Sprintf("%s-%d", name, sh.PayloadLen), f, sh, n, false, b})
		}
		if f.Proto == packet.TCP {
			b := bytes.Repeat([]byte{0xee}, 2048)
			b = b[:packet.BuildReset(b, &f, 11, h, 0xfedcba98, macUs, macHop)]
			all = append(all, sample{name + "-rst", f, packet.Shape{DSCP: 11, DontFragment: true}, 0, true, b})
		}
	}
	return all
}

// TestBuildGolden compares with frames that tshark and a reader have judged.
func TestBuildGolden(t *testing.T) {
	const path = "testdata/frames.txt"
	if *update {
		var b strings.Builder
		for _, s := range samples() {
			fmt.Fprintf(&b, "%s %x\n", s.name, s.frame)
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, frame, _ := strings.Cut(strings.TrimSpace(line), " ")
		golden[name] = frame
	}
	for _, s := range samples() {
		if got := hex.EncodeToString(s.frame); got != golden[s.name] {
			t.Errorf("%s:\n got %s\nwant %s", s.name, got, golden[s.name])
		}
		delete(golden, s.name)
	}
	for name := range golden {
		t.Errorf("%s: in %s, but not built", name, path)
	}
}

// onesSum is RFC 1071, two bytes at a time.
func onesSum(b []byte, sum uint32) uint16 {
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// checksumsRight says what is wrong with the checksums of a frame.
func checksumsRight(frame []byte) error {
	p := packettest.Dissect(frame)
	if p.Src.Is4() {
		if s := onesSum(p.IP[:20], 0); s != 0xffff {
			return fmt.Errorf("IPv4 header sums to %#x", s)
		}
	}
	var pseudo uint16
	if p.Proto != 1 {
		pseudo = onesSum(append(p.Src.AsSlice(), p.Dst.AsSlice()...), uint32(p.Proto)+uint32(len(p.L4)))
	}
	if s := onesSum(p.L4, uint32(pseudo)); s != 0xffff {
		return fmt.Errorf("protocol %d sums to %#x", p.Proto, s)
	}
	return nil
}

// TestBuildLengths builds every length of every type and family.
func TestBuildLengths(t *testing.T) {
	b := make([]byte, 9200)
	for _, f := range packettest.Flows() {
		h := packettest.Secret.Hash(&f)
		var constant uint16
		for payload := 0; payload < 9000; payload += 1 + payload/300 {
			sh := &packet.Shape{PayloadLen: uint16(payload), DontFragment: true}
			n := uint32(payload * 7)
			frame := b[:packet.Build(b, &f, sh, h, n, macUs, macHop)]
			if len(frame) != packet.FrameLen(&f, sh) {
				t.Fatalf("%+v, payload %d: %d bytes, FrameLen says %d", f, payload, len(frame), packet.FrameLen(&f, sh))
			}
			if err := checksumsRight(frame); err != nil {
				t.Fatalf("%+v, payload %d: %v", f, payload, err)
			}
			l4 := packettest.Dissect(frame).L4
			switch f.Proto {
			case packet.UDP:
				if c := binary.BigEndian.Uint16(l4[6:]); c == 0 {
					t.Fatalf("%+v, payload %d: UDP checksum 0", f, payload)
				}
			case packet.ICMP:
				c := binary.BigEndian.Uint16(l4[2:])
				if payload == 0 {
					constant = c
				}
				if c != constant || c == 0 || c == 0xffff {
					t.Fatalf("%+v, payload %d: ICMP checksum %#x, before %#x", f, payload, c, constant)
				}
			}
		}
	}
}

// TestBuildVaries shows what stays and what changes from probe to probe.
func TestBuildVaries(t *testing.T) {
	for _, f := range packettest.Flows() {
		a, b := packettest.Dissect(packettest.Build(f, 20, 5)), packettest.Dissect(packettest.Build(f, 20, 6))
		if f.Local.Is4() {
			if ida, idb := binary.BigEndian.Uint16(a.IP[4:]), binary.BigEndian.Uint16(b.IP[4:]); idb-ida != 1 {
				t.Errorf("%+v: IPv4 ids %#x and %#x", f, ida, idb)
			}
		} else if la, lb := binary.BigEndian.Uint32(a.IP), binary.BigEndian.Uint32(b.IP); la != lb || la&0xfffff == 0 {
			t.Errorf("%+v: class and label %#x and %#x", f, la, lb)
		}
		switch f.Proto {
		case packet.TCP:
			if b.Seq()-a.Seq() != 1 {
				t.Errorf("%+v: sequence numbers %#x and %#x", f, a.Seq(), b.Seq())
			}
		case packet.UDP, packet.ICMP:
			if bytes.Equal(a.L4[10:14], b.L4[10:14]) {
				t.Errorf("%+v: tokens %x and %x", f, a.L4[8:16], b.L4[8:16])
			}
		}
	}
}

// TestResetPath: a reset that took another path might not reach the peer that
// answered.
func TestResetPath(t *testing.T) {
	f := packettest.Flows()[3]
	probe := packettest.Dissect(packettest.Build(f, 0, 1))
	b := make([]byte, 128)
	b = b[:packet.BuildReset(b, &f, 0, packettest.Secret.Hash(&f), 7, macUs, macHop)]
	reset := packettest.Dissect(b)
	if !bytes.Equal(reset.IP[:4], probe.IP[:4]) {
		t.Errorf("flow label: reset %x, probe %x", reset.IP[:4], probe.IP[:4])
	}
	if reset.Seq() != 7 || reset.L4[13] != packettest.RST {
		t.Errorf("reset %x", reset.L4)
	}
}

// TestBuildParse sends probes and takes their answers, all through a flow's
// numbers and beyond.
func TestBuildParse(t *testing.T) {
	v := verifier()
	for _, f := range packettest.Flows() {
		for _, n := range []uint32{0, 1, 4095, 4096, 65535, 65536, 1<<20 - 1} {
			p := packettest.Dissect(packettest.Build(f, 8, n))
			answer, want := p.Error(f.Remote, map[bool]byte{true: 3, false: 1}[f.Local.Is4()], 3, -1), n
			switch f.Proto {
			case packet.TCP:
				answer = p.TCP(packettest.SYN|packettest.ACK, p.Seq()+1)
			case packet.ICMP:
				answer, want = p.Echo(f.Remote), n%packet.ICMPNumbers
			case packet.UDP:
				want = n % packet.UDPNumbers
			}
			var r packet.Reply
			if got := v.Parse(answer, &r); !got.Steered() || r.Flow != f || r.Number != want || r.Alternate != want {
				t.Errorf("%+v, probe %d: %v, %+v", f, n, got, r)
			}
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	frame := make([]byte, 2048)
	for _, f := range packettest.Flows() {
		h := packettest.Secret.Hash(&f)
		for _, payload := range []uint16{8, 1400} {
			b.Run(fmt.Sprintf("proto%d/v6=%v/%d", f.Proto, f.Local.Is6(), payload), func(b *testing.B) {
				sh := &packet.Shape{PayloadLen: payload, DontFragment: true}
				b.ReportAllocs()
				var n uint32
				for b.Loop() {
					packet.Build(frame, &f, sh, h, n&0xfffff, macUs, macHop)
					n++
				}
			})
		}
	}
}

func BenchmarkHash(b *testing.B) {
	f := packet.Flow{Proto: packet.TCP, Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2"), LocalPort: 1, RemotePort: 2}
	b.ReportAllocs()
	for b.Loop() {
		packettest.Secret.Hash(&f)
	}
}

// TestNoAllocation holds for both directions of the packet path.
func TestNoAllocation(t *testing.T) {
	v, frame := verifier(), make([]byte, 2048)
	for _, f := range packettest.Flows() {
		h, sh := packettest.Secret.Hash(&f), &packet.Shape{PayloadLen: 100}
		if n := testing.AllocsPerRun(100, func() { packet.Build(frame, &f, sh, h, 1, macUs, macHop) }); n != 0 {
			t.Errorf("Build of %+v: %v allocations", f, n)
		}
	}
	for _, c := range packettest.Corpus() {
		var r packet.Reply
		if n := testing.AllocsPerRun(10, func() { v.Parse(c.Frame, &r) }); n != 0 {
			t.Errorf("Parse of %s: %v allocations", c.Name, n)
		}
	}
}

func hashOf(s *sample) uint64 { return packettest.Secret.Hash(&s.flow) }
