// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// judged is what tshark is asked about each packet. A checksum status of 1 is
// "good".
var judged = []string{
	"eth.dst", "frame.len", "_ws.malformed",
	"ip.dst", "ip.checksum.status", "ip.ttl", "ip.dsfield.dscp", "ip.dsfield.ecn", "ip.flags.df", "ip.frag_offset", "ip.len", "ip.hdr_len", "ip.id",
	"ipv6.dst", "ipv6.hlim", "ipv6.tclass.dscp", "ipv6.tclass.ecn", "ipv6.plen", "ipv6.flow",
	"tcp.checksum.status", "tcp.flags", "tcp.window_size_value", "tcp.len", "tcp.srcport", "tcp.dstport", "tcp.options", "tcp.seq_raw", "tcp.ack_raw",
	"udp.checksum.status", "udp.length", "udp.srcport", "udp.dstport", "udp.checksum",
	"icmp.checksum.status", "icmp.type", "icmp.code", "icmp.ident", "icmp.seq", "icmp.checksum",
	"icmpv6.checksum.status", "icmpv6.type", "icmpv6.code", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number", "icmpv6.checksum",
	"data.len",
}

// tshark judges what arrives at the far end: checksums, lengths, flags, DF, DSCP
// and source ports, of every type and family, with and without payload; and that
// what makes a path stays the same for all packets of the path.
func TestPacketsOnTheWire(t *testing.T) {
	t.Parallel()
	const packets = 12
	p := newPair(t, 1)
	groups := []group{{name: "marked", a: 20000, z: 20003, dscp: 46}, {name: "plain", a: 21000, z: 21002}}
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 6 * time.Second, gap: 50 * time.Millisecond, groups: groups}
	byAddr := map[string]target{}
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, kind := range []string{"TCPsyn", "ICMPping", "UDPunreachable"} {
			for _, size := range []int{0, 21, 100, 1400} {
				for _, df := range []bool{true, false} {
					n := len(s.targets) + 10
					tg := target{name: fmt.Sprintf("t%d", n), kind: kind, packets: packets, size: size, port: 80, keys: map[string]any{"dont_fragment": df}}
					if family == "ipv4" {
						tg.addr = fmt.Sprintf("192.0.2.%d", n)
						p.farEnd.AddAddr(tg.addr + "/24")
					} else {
						tg.addr = fmt.Sprintf("2001:db8::%x", n)
						p.farEnd.AddAddr(tg.addr + "/64")
					}
					if kind == "ICMPping" {
						tg.port = 0
					}
					s.targets = append(s.targets, tg)
					byAddr[tg.addr] = tg
				}
			}
		}
	}
	for _, tg := range s.targets {
		if tg.kind == "TCPsyn" && tg.size != 100 { // those with 100 are closed
			listen(t, p.host, lab.Discard, 80, tg.addr)
		}
	}
	c := startCapture(t, p.farEnd, "ether src "+p.nearEnd.MAC.String())
	r := start(t, s)
	r.quiet(1, func() {
		c.stop()
		for _, tg := range s.targets {
			r.whole(tg.name, packets*uint64(len(groups)))
		}
	})

	same := map[string]string{} // what stays the same on a path, by path
	probes := map[string]int{}
	ports := map[string]int{}
	resets := 0
	// The prober's kernel speaks too: neighbour discovery, multicast reports.
	for _, pk := range c.packets("!arp && !(icmpv6.type > 129) && !igmp", judged...) {
		addr := pk["ip.dst"] + pk["ipv6.dst"]
		tg, ok := byAddr[addr]
		if !ok {
			t.Errorf("a packet to nobody who is probed: %v", short(pk))
			continue
		}
		want, isReset := expected(tg, pk)
		want["eth.dst"] = p.farEnd.MAC.String()
		for field, w := range want {
			if pk[field] != w {
				t.Errorf("%s of %d bytes to %s: %s is %q, want %q: %v", tg.kind, tg.size, addr, field, pk[field], w, short(pk))
			}
		}
		local := pk["tcp.srcport"] + pk["udp.srcport"] + pk["icmp.ident"] + pk["icmpv6.echo.identifier"]
		path := addr + " from " + local
		constant := pk["ip.dsfield.dscp"] + pk["ipv6.tclass.dscp"] + " label " + pk["ipv6.flow"] + " checksum " + pk["icmp.checksum"] + pk["icmpv6.checksum"]
		if was, ok := same[path]; ok && was != constant {
			t.Errorf("path %s changed from %s to %s", path, was, constant)
		}
		same[path] = constant
		if pk["ipv6.dst"] != "" && (pk["ipv6.flow"] == "" || number16(t, pk["ipv6.flow"]) == 0) {
			t.Errorf("path %s has no flow label: %v", path, short(pk))
		}
		if isReset {
			resets++
			continue
		}
		dscp := pk["ip.dsfield.dscp"] + pk["ipv6.tclass.dscp"]
		probes[tg.name+" dscp "+dscp]++
		if tg.port != 0 {
			ports[tg.name+" port "+local+" dscp "+dscp]++
		}
	}
	open := 0
	for _, tg := range s.targets {
		for _, g := range groups {
			dscp := fmt.Sprint(" dscp ", g.dscp)
			if probes[tg.name+dscp] != packets {
				t.Errorf("%s: %d probes with%s, want %d", tg.name, probes[tg.name+dscp], dscp, packets)
			}
			for port := g.a; port <= g.z && tg.port != 0; port++ {
				key := fmt.Sprint(tg.name, " port ", port, dscp)
				if want := packets / int(g.z-g.a+1); ports[key] != want {
					t.Errorf("%s: %d probes, want %d", key, ports[key], want)
				}
			}
		}
		if tg.kind == "TCPsyn" && tg.size != 100 {
			open++
		}
	}
	if want := open * packets * len(groups); resets != want {
		t.Errorf("%d resets, want %d: one for each SYN-ACK", resets, want)
	}
}

// expected returns what tshark has to say of a probe to tg, or of a reset.
func expected(tg target, pk map[string]string) (want map[string]string, reset bool) {
	want = map[string]string{"_ws.malformed": ""}
	set := func(key string, value any) { want[key] = fmt.Sprint(value) }
	header, payload := 8, max(tg.size-8, 8) // room for the token
	if tg.kind == "TCPsyn" {
		header, payload = 20, max(tg.size-20, 0)
		reset = pk["tcp.flags"] == "0x0004"
		if reset {
			payload = 0
		}
	}
	if pk["ip.dst"] != "" {
		set("ip.checksum.status", 1)
		set("ip.ttl", 64)
		set("ip.hdr_len", 20)
		set("ip.len", 20+header+payload)
		set("ip.frag_offset", 0)
		set("ip.dsfield.ecn", 0)
		set("frame.len", 14+20+header+payload)
		set("ip.flags.df", 0)
		if tg.keys["dont_fragment"] == true || reset {
			set("ip.flags.df", 1)
		}
	} else {
		set("ipv6.hlim", 64)
		set("ipv6.plen", header+payload)
		set("ipv6.tclass.ecn", 0)
		set("frame.len", 14+40+header+payload)
	}
	switch tg.kind {
	case "TCPsyn":
		set("tcp.checksum.status", 1)
		set("tcp.window_size_value", 8192)
		set("tcp.options", "")
		set("tcp.dstport", tg.port)
		set("tcp.len", payload)
		set("tcp.ack_raw", 0)
		set("tcp.flags", "0x0002")
		if reset {
			set("tcp.flags", "0x0004")
		}
	case "UDPunreachable":
		set("udp.checksum.status", 1)
		set("udp.length", header+payload)
		set("udp.dstport", tg.port)
	case "ICMPping":
		if pk["ip.dst"] != "" {
			set("icmp.checksum.status", 1)
			set("icmp.type", 8)
			set("icmp.code", 0)
		} else {
			set("icmpv6.checksum.status", 1)
			set("icmpv6.type", 128)
			set("icmpv6.code", 0)
		}
		set("data.len", payload)
	}
	return want, reset
}

// short leaves out what a packet does not have.
func short(pk map[string]string) map[string]string {
	for k, v := range pk {
		if v == "" {
			delete(pk, k)
		}
	}
	return pk
}

func number16(t *testing.T, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every SYN-ACK is answered by one RST whose sequence number is what it
// acknowledges, so that the listener of a real host keeps nothing: at 1,000
// probes a second no half-open connection outlives a tick.
func TestEverySynAckIsReset(t *testing.T) {
	t.Parallel()
	const probes = 2000
	p := newPair(t, 2)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 8 * time.Second, gap: 2 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20511}}}
	for family, addr := range far {
		s.targets = append(s.targets, target{name: "open-" + family, kind: "TCPsyn", addr: addr, port: 80, packets: probes})
	}
	c := startCapture(t, p.farEnd, "tcp port 80")
	r := start(t, s)
	// One that is there twice in a row, a while apart, has outlived its tick.
	samples, old := 0, 0
	var last map[string]bool
	for r.all().Rounds == 0 {
		now := halfOpen(t, p.host)
		for conn := range now {
			if last[conn] {
				old++
			}
		}
		last = now
		samples++
		time.Sleep(50 * time.Millisecond)
	}
	r.quiet(1, func() {
		c.stop()
		for _, tg := range s.targets {
			r.whole(tg.name, probes)
		}
		r.accounted()
		left := len(halfOpen(t, p.host))
		repeated := kernelCounter(t, p.host, "TcpExt:TCPSynRetrans")
		overflows := kernelCounter(t, p.host, "TcpExt:ListenOverflows") + kernelCounter(t, p.host, "TcpExt:ListenDrops")
		cookies := kernelCounter(t, p.host, "TcpExt:SyncookiesSent")
		if old+left != 0 || repeated+overflows+cookies != 0 || samples < 20 {
			t.Errorf("half-open connections: %d lasted (in %d samples), %d are left; %d SYN-ACKs were repeated, the listener overflowed %d times, %d cookies",
				old, samples, left, repeated, overflows, cookies)
		}
	})
	fields := []string{"tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "ip.dst", "ipv6.dst"}
	owed := map[string]int{}
	synAcks := c.packets("tcp.flags == 0x0012", fields...)
	for _, pk := range synAcks {
		owed[pk["tcp.dstport"]+" seq "+pk["tcp.ack_raw"]]++
	}
	resets := c.packets("tcp.flags.reset == 1", fields...)
	for _, pk := range resets {
		owed[pk["tcp.srcport"]+" seq "+pk["tcp.seq_raw"]]--
	}
	for what, n := range owed {
		if n != 0 {
			t.Errorf("port %s: %d SYN-ACKs more than resets", what, n)
		}
	}
	if len(synAcks) != 2*probes || len(resets) != len(synAcks) {
		t.Errorf("%d SYN-ACKs, %d resets; want %d of both", len(synAcks), len(resets), 2*probes)
	}
}
