// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// TestWarnUnreserved: the warning names what is missing alone, and a line that
// keeps what was reserved before.
func TestWarnUnreserved(t *testing.T) {
	cfg := configOf(func(c *config.Config) {
		c.Groups = append(c.Groups,
			config.Group{Name: "h", SrcPortA: 65001, SrcPortZ: 65003},
			config.Group{Name: "pings", SrcPortA: 1000, SrcPortZ: 1001},
			config.Group{Name: "idle", SrcPortA: 2000, SrcPortZ: 2001},
			config.Group{Name: "last", SrcPortA: 65535, SrcPortZ: 65535})
		t := c.Targets[0]
		t.Name, t.Type, t.DstPort, t.Groups = "u", "UDPunreachable", 33434, []int{1, 4}
		c.Targets = append(c.Targets, t)
		t.Name, t.Type, t.DstPort, t.Groups = "i", "ICMPping", 0, []int{2}
		c.Targets = append(c.Targets, t)
	})
	for _, tt := range []struct {
		reserved       []uint16
		missing, wants string
	}{
		{nil, "65000-65003,65535", "65000-65003,65535"},
		{[]uint16{1, 22, 23, 65001}, "65000,65002-65003,65535", "1,22-23,65000-65003,65535"},
		{[]uint16{65000, 65001, 65002, 65003}, "65535", "65000-65003,65535"},
		{[]uint16{64999, 65000, 65001, 65002, 65003, 65535}, "", ""},
	} {
		p := mustBuild(t, cfg, Inputs{Reserved: func(port uint16) bool { return slices.Contains(tt.reserved, port) }})
		want := []string{}
		if tt.missing != "" {
			want = append(want, "netprobe.yaml: groups: net.ipv4.ip_local_reserved_ports does not hold the source ports "+tt.missing+
				": the kernel may take one of them for a connection of its own, as far as net.ipv4.ip_local_port_range holds it, and probes are lost then; "+
				"in the network namespace that is probed from: sysctl -w net.ipv4.ip_local_reserved_ports="+tt.wants)
		}
		if fmt.Sprint(p.Warnings) != fmt.Sprint(want) {
			t.Errorf("reserved %d: warnings\n%s\nwant\n%s", tt.reserved, p.Warnings, want)
		}
	}
	if p := mustBuild(t, cfg, Inputs{}); len(p.Warnings) > 0 {
		t.Errorf("nothing is known of the host: %s", p.Warnings)
	}
}
