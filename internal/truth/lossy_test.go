// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// A host drops one in ten of all that we send, resets included. What is
// reported as lost is exactly what its packet filter dropped of our probes, not
// one more: a peer that our lost reset left half-open answers the next probe
// of the same path too. Few ports meet such peers again and again, many ports never do.
func TestLossIsWhatTheHostDropped(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1)
	// Replies must not wait for neighbour discovery that the filter drops.
	p.farEnd.SetNeighbour(near4, p.nearEnd.MAC)
	p.farEnd.SetNeighbour(near6, p.nearEnd.MAC)

	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 8 * time.Second, gap: 5 * time.Millisecond,
		groups: []group{{name: "few", a: 20000, z: 20007}, {name: "many", a: 21000, z: 21499}}}
	type kind struct {
		family  string
		proto   lab.Proto
		targets []string
		filter  *lab.Filter
	}
	var kinds []*kind
	for family, addr := range far {
		listen(t, p.host, lab.Discard, 80, addr)
		prefix := near4
		if family == "ipv6" {
			prefix = near6
		}
		for _, k := range []struct {
			proto lab.Proto
			kind  string
			ports []uint16
		}{
			{lab.TCP, "TCPsyn", []uint16{80, 81, 82, 83, 84, 85, 86, 87, 88, 89}},
			{lab.ICMP, "ICMPping", []uint16{0}},
			{lab.UDP, "UDPunreachable", []uint16{33434, 33435}},
		} {
			kd := &kind{family: family, proto: k.proto, filter: p.host.DropShare(lab.Input, lab.Match{Proto: k.proto, From: prefix}, 1, 10)}
			kinds = append(kinds, kd)
			for _, port := range k.ports {
				if k.proto == lab.TCP && port > 80 && port < 88 { // 88 and 89 are closed
					listen(t, p.host, lab.Discard, int(port), addr)
				}
				name := fmt.Sprintf("%s-%d-%s", k.proto, port, family)
				kd.targets = append(kd.targets, name)
				s.targets = append(s.targets, target{name: name, kind: k.kind, addr: addr, port: port, packets: 500, timeout: 250 * time.Millisecond})
			}
		}
	}
	r := start(t, s)
	r.quiet(1, func() {
		silent := r.unable()
		for _, k := range kinds {
			got, did := r.of(k.targets...), counts(t, k.filter)
			dropped := did.SYN + did.UDP + did.EchoRequest
			t.Logf("%s over %s: %s; the host dropped %d probes and %d resets", k.proto, k.family, show(got), dropped, did.RST)
			if got.Lost < dropped || got.Lost > dropped+silent || dropped == 0 || unknown(got) != 0 {
				t.Errorf("%s over %s: %d lost, but the host dropped %d probes", k.proto, k.family, got.Lost, dropped)
			}
			if k.proto == lab.TCP && (got.Sent < 5000 || did.RST == 0) {
				t.Errorf("%s over %s: %d probes and %d dropped resets are too few to show anything", k.proto, k.family, got.Sent, did.RST)
			}
		}
		r.accounted()
		// Half-open peers were met: the kernel answered them by a RST+ACK, beside
		// those of the closed ports, which are a fifth of the targets.
		t.Logf("the host sent %d resets, of %d segments", kernelCounter(t, p.host, "Tcp:OutRsts"), kernelCounter(t, p.host, "Tcp:OutSegs"))
	})
}

// At the end of the window of sequence numbers a path begins anew below them.
// A peer that is half-open then, because all our resets are dropped, must not
// read as loss. A large payload brings the end about within 717 probes.
func TestWindowEndIsNoLoss(t *testing.T) {
	t.Parallel()
	const probes = 4000
	p := newPair(t, 1)
	must(t, p.host, "nft", "add table inet resets; add chain inet resets in { type filter hook input priority 0; }; add rule inet resets in tcp flags & (rst|ack) == rst counter drop")
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 7 * time.Second, gap: time.Millisecond,
		groups: []group{{name: "one", a: 20000, z: 20000}}}
	for family, addr := range far {
		size := 1480
		if family == "ipv6" {
			size = 1460
		}
		s.targets = append(s.targets, target{name: "open-" + family, kind: "TCPsyn", addr: addr, port: 80, size: size, packets: probes, timeout: 300 * time.Millisecond})
	}
	r := start(t, s)
	r.quiet(1, func() {
		for _, tg := range s.targets {
			got := r.of(tg.name)
			t.Logf("%s: %s", tg.name, show(got))
			if got.Lost != 0 {
				t.Errorf("%s: %s; nothing was dropped of its probes", tg.name, show(got))
			}
		}
	})
}
