// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestQueues: replies are taken back on whichever queue they arrive.
func TestQueues(t *testing.T) {
	t.Parallel()
	for _, queues := range []int{2, 4} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			t.Parallel()
			l := lab.ForTest(t, "endtoend")
			a, b := l.Connect(l.Host("a"), l.Host("b"), lab.Link{
				Queues: queues,
				A:      []string{"192.0.2.1/24", "2001:db8::1/64"},
				B:      []string{"192.0.2.2/24", "2001:db8::2/64"},
			})
			b.Host.UnlimitedICMP()
			// Of 100 source ports, the kernel of the far host spreads its replies.
			config := global(usual) + "groups: {g: {src_port_a: 65000, src_port_z: 65099}}\n" + targets(
				`tcp4: {type: TCPsyn, destination: 192.0.2.2, dst_port: 81, nb_packets: 100}`,
				`tcp6: {type: TCPsyn, destination: "2001:db8::2", dst_port: 81, nb_packets: 100}`,
				`ping4: {type: ICMPping, destination: 192.0.2.2, nb_packets: 20}`,
				`ping6: {type: ICMPping, destination: "2001:db8::2", nb_packets: 20}`,
				`udp4: {type: UDPunreachable, destination: 192.0.2.2, dst_port: 33434, nb_packets: 100}`,
				`udp6: {type: UDPunreachable, destination: "2001:db8::2", dst_port: 33434, nb_packets: 100}`)
			p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
			p.waitFor(fmt.Sprintf("queues=%d", queues))
			measured(t, a.Host, usual, "tcpsyn", "tcp4", "tcp6")
			measured(t, a.Host, usual, "icmp", "ping4", "ping6")
			page := measured(t, a.Host, usual, "udp_unreachable", "udp4", "udp6")
			used := 0
			for _, s := range page.all("netprobe_steered_total", "interface="+a.Name) {
				if s.value > 0 {
					used++
				}
			}
			if n := len(page.all("netprobe_steered_total")); n != queues || used < 2 {
				t.Errorf("replies came in on %d of %d queues: %v", used, queues, page.all("netprobe_steered_total"))
			}
			for _, s := range page.all("netprobe_ring_dropped_total") {
				if s.value > 0 {
					t.Errorf("dropped: %v", s)
				}
			}
		})
	}
}
