// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"strings"
	"testing"
)

// TestLimitedTargetIsExplained: a Linux host with a limit of ICMP errors
// answers one probe in n. The log says so once, and what to do; of a host that
// does as it is told it says nothing.
func TestLimitedTargetIsExplained(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Host.Sysctl("net.ipv6.icmp.ratemask", "0-1,3-127") // the kernel's own, should the lab have changed it
	b.Host.Sysctl("net.ipv6.icmp.ratelimit", "250")      // what the usual 1000 is by a route of /64
	config := global(usual) + "groups: {g: {src_port_a: 65000, src_port_z: 65039}}\n" + targets(
		`limited: {type: UDPunreachable, destination: "2001:db8::2", dst_port: 33434, nb_packets: 20, timeout: 0.3}`,
		`ping: {type: ICMPping, destination: "2001:db8::2", nb_packets: 20, timeout: 0.3}`)
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("target answers steadily")
	page := scrape(t, a.Host, usual)
	if v, ok := page.value("udp_unreachable_loss_ratio", "destination=limited"); !ok || v < 0.5 {
		t.Errorf("the loss ratio is %v, though the host is limited", v)
	}
	page.want(t, 0, "icmp_loss_ratio", "destination=ping")
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Contains(line, "target answers steadily") {
			for _, want := range []string{"target=limited", "address=2001:db8::2", "answers_per_second=4", "net.ipv6.icmp.ratemask=0,3-127"} {
				if !strings.Contains(line, want) {
					t.Errorf("the line lacks %s: %s", want, line)
				}
			}
		}
	}

	// What it says helps.
	b.Host.Sysctl("net.ipv6.icmp.ratemask", "0,3-127")
	eventually(t, "a round without loss", func() bool {
		v, ok := scrape(t, a.Host, usual).value("udp_unreachable_loss_ratio", "destination=limited")
		return ok && v == 0
	})
	if n := strings.Count(p.stderr.String(), "target answers steadily"); n != 1 {
		t.Errorf("said %d times", n)
	}
}
