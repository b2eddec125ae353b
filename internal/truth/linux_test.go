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

	// The timeout is longer than a busy machine keeps softirqs waiting, and there are
	// as many ports as probes in a second or two: a path carries one at a time.
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 12 * time.Second, gap: 500 * time.Microsecond,
		groups: []group{{name: "g", a: 20000, z: 24095}}, lead: 4 * time.Second}
	s.targets = everyPort(probes, 4*time.Second)
	r := start(t, s)
	r.quiet(1, func() {
		// A host repeats its SYN-ACK when our RST takes a second to get to it.
		repeated := kernelCounter(t, p.host, "TcpExt:TCPSynRetrans")
		if got := r.of("open-ipv4", "open-ipv6").Duplicates; got != repeated {
			t.Errorf("%d duplicates, but the host repeated %d SYN-ACKs", got, repeated)
		}
		for _, tg := range s.targets {
			if repeated > 0 && tg.port == 80 {
				got := r.of(tg.name)
				t.Logf("%s: %s", tg.name, show(got))
				if got.Sent != probes || got.Lost != 0 || notSent(got)+unknown(got)+got.Late != 0 {
					t.Errorf("%s: %s; want %d sent and answered", tg.name, show(got), probes)
				}
				continue
			}
			r.whole(tg.name, probes)
		}
		r.accounted()
		// The open port gets a SYN and, for its SYN-ACK, a RST.
		for _, c := range []struct {
			what string
			seen uint64
			want uint64
		}{
			{"segments to the open port", counts(t, open).Seen, 2*2*probes + repeated},
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
