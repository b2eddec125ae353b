// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// A Linux host answers every probe, so nothing is lost: 10,000 probes of each
// type and family, and the host's own counters agree with what was sent.
func TestLinuxHostLosesNothing(t *testing.T) {
	const probes = 10_000
	p := newPair(t, 2)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	open := count(p.host, lab.Input, lab.Match{Proto: lab.TCP, Port: 80})
	closed := count(p.host, lab.Input, lab.Match{Proto: lab.TCP, Port: 81})
	udp := count(p.host, lab.Input, lab.Match{Proto: lab.UDP, Port: 33434})

	// With two queues an answer may be read by another worker than sent the
	// probe, and the tuple rests for its timeout: as many ports as fit in it.
	s := setup{on: p.prober, ifaces: []string{p.nearEnd.Name}, interval: 9 * time.Second, gap: 500 * time.Microsecond,
		groups: []group{{name: "g", a: 20000, z: 24095}}, lead: 4 * time.Second}
	for family, addr := range far {
		for _, tg := range []target{
			{name: "open", kind: "TCPsyn", port: 80},
			{name: "closed", kind: "TCPsyn", port: 81},
			{name: "echo", kind: "ICMPping"},
			{name: "udp", kind: "UDPunreachable", port: 33434},
		} {
			tg.name, tg.addr, tg.packets = tg.name+"-"+family, addr, probes
			s.targets = append(s.targets, tg)
		}
	}
	r := start(t, s)
	r.quiet(1, func() {
		for _, tg := range s.targets {
			r.whole(tg.name, probes)
		}
		r.accounted()
		// The open port gets a SYN and, for its SYN-ACK, a RST.
		for _, c := range []struct {
			what string
			seen uint64
			want uint64
		}{
			{"segments to the open port", counts(t, open).Seen, 2 * 2 * probes},
			{"segments to the closed port", counts(t, closed).Seen, 2 * probes},
			{"datagrams to the closed UDP port", counts(t, udp).Seen, 2 * probes},
			{"echo requests over IPv4", kernelCounter(t, p.host, "Icmp:InEchos"), probes},
			{"echo requests over IPv6", kernelCounter(t, p.host, "Icmp6InEchos"), probes},
		} {
			if c.seen != c.want {
				t.Errorf("the host saw %d %s, want %d", c.seen, c.what, c.want)
			}
		}
	})
}
