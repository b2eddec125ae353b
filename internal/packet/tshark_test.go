// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// pcap returns a capture file of Ethernet frames.
func pcap(frames [][]byte) []byte {
	le := binary.LittleEndian
	var b []byte
	for _, w := range []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 65535, 1} {
		b = le.AppendUint32(b, w)
	}
	for i, f := range frames {
		for _, w := range []uint32{uint32(i), 0, uint32(len(f)), uint32(len(f))} {
			b = le.AppendUint32(b, w)
		}
		b = append(b, f...)
	}
	return b
}

// tsharkFields is what tshark is asked about each frame. A checksum status of 1
// is "good"; an expert group of 0x02000000 is a remark on the sequence of frames,
// and any other a complaint.
var tsharkFields = []string{
	"ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status",
	"ip.ttl", "ip.dsfield.dscp", "ip.flags.df", "ip.len",
	"ipv6.hlim", "ipv6.tclass.dscp", "ipv6.plen",
	"tcp.flags", "tcp.window_size_value", "tcp.len", "tcp.seq_raw", "tcp.options",
	"udp.length", "udp.srcport", "data.len",
	"icmp.type", "icmpv6.type", "icmp.ident", "icmp.seq", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number",
	"_ws.malformed", "_ws.expert.group",
}

// expect returns what tshark has to say of a sample.
func (s *sample) expect() map[string]string {
	e := map[string]string{}
	set := func(key string, value any) { e[key] = fmt.Sprint(value) }
	v4 := s.flow.Local.Is4()
	payload := int(s.shape.PayloadLen)
	if s.flow.Proto != packet.TCP {
		payload = max(payload, packet.TokenLen)
	}
	l4 := payload + 8
	if s.flow.Proto == packet.TCP {
		l4 = payload + 20
	}
	if v4 {
		set("ip.checksum.status", 1)
		set("ip.ttl", 64)
		set("ip.dsfield.dscp", s.shape.DSCP)
		set("ip.len", 20+l4)
		set("ip.flags.df", 0)
		if s.shape.DontFragment {
			set("ip.flags.df", 1)
		}
	} else {
		set("ipv6.hlim", 64)
		set("ipv6.tclass.dscp", s.shape.DSCP)
		set("ipv6.plen", l4)
	}
	switch s.flow.Proto {
	case packet.TCP:
		set("tcp.checksum.status", 1)
		set("tcp.flags", "0x0002")
		set("tcp.window_size_value", 8192)
		set("tcp.len", payload)
		h := packet.Base(hashOf(s))
		set("tcp.seq_raw", h+s.n)
		if s.reset {
			set("tcp.flags", "0x0004")
			set("tcp.seq_raw", uint32(0xfedcba98))
		}
	case packet.UDP:
		set("udp.checksum.status", 1)
		set("udp.length", l4)
		set("udp.srcport", s.flow.LocalPort)
		set("data.len", payload)
	case packet.ICMP:
		set("data.len", payload)
		if v4 {
			set("icmp.checksum.status", 1)
			set("icmp.type", 8)
			set("icmp.ident", s.flow.LocalPort)
			set("icmp.seq", uint16(s.n))
		} else {
			set("icmpv6.checksum.status", 1)
			set("icmpv6.type", 128)
			set("icmpv6.echo.identifier", fmt.Sprintf("0x%04x", s.flow.LocalPort))
			set("icmpv6.echo.sequence_number", uint16(s.n))
		}
	}
	return e
}

// tshark reads frames with every checksum checked, and returns its lines.
func tshark(t *testing.T, frames [][]byte, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs tshark")
		}
		t.Skip("needs tshark")
	}
	file := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(file, pcap(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-n", "-r", file,
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}, args...)
	var stderr bytes.Buffer
	cmd := exec.Command("tshark", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}

// TestTshark has Wireshark's dissectors judge every frame that we send.
func TestTshark(t *testing.T) {
	var frames [][]byte
	var want []map[string]string
	var names []string
	for _, s := range samples() {
		frames, want, names = append(frames, s.frame), append(want, s.expect()), append(names, s.name)
	}
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, mac := range [][6]byte{{}, macHop} {
		b := make([]byte, packet.NeighbourLen)
		frames = append(frames, b[:packet.BuildARPRequest(b, macUs, v4, mac, v4.Next())])
		want, names = append(want, map[string]string{}), append(names, "arp")
		b = make([]byte, packet.NeighbourLen)
		frames = append(frames, b[:packet.BuildNeighbourSolicit(b, macUs, v6, mac, v6.Next())])
		want, names = append(want, map[string]string{
			"icmpv6.checksum.status": "1", "icmpv6.type": "135", "ipv6.hlim": "255", "ipv6.plen": "32", "ipv6.tclass.dscp": "0",
		}), append(names, "neighbour solicitation")
	}
	args := []string{"-T", "fields"}
	for _, f := range tsharkFields {
		args = append(args, "-e", f)
	}
	lines := tshark(t, frames, args...)
	if len(lines) != len(frames) {
		t.Fatalf("tshark read %d frames of %d", len(lines), len(frames))
	}
	for i, line := range lines {
		for j, got := range strings.Split(line, "\t") {
			field := tsharkFields[j]
			if field == "_ws.expert.group" {
				got = strings.Trim(strings.ReplaceAll(got, "33554432", ""), ",")
			}
			if w := want[i][field]; got != w {
				t.Errorf("%s: tshark says %s is %q, want %q\n%x", names[i], field, got, w, frames[i])
			}
		}
	}
}

// TestTsharkWouldComplain keeps TestTshark honest: one wrong bit is seen.
func TestTsharkWouldComplain(t *testing.T) {
	var frames [][]byte
	for _, s := range samples() {
		b := bytes.Clone(s.frame)
		b[len(b)-1] ^= 1
		frames = append(frames, b)
	}
	lines := tshark(t, frames, "-Y",
		"tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0")
	if len(lines) != len(frames) {
		t.Errorf("tshark complains of %d frames of %d", len(lines), len(frames))
	}
}
