// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

func TestBlocks(t *testing.T) {
	tests := []struct {
		prefix string
		blocks int
		each   float64
		last   string
	}{
		{"192.0.2.0/30", 1, 4, "192.0.2.0/24"},
		{"192.0.2.0/24", 1, 256, "192.0.2.0/24"},
		{"198.18.0.0/16", 256, 256, "198.18.255.0/24"},
		{"255.255.254.0/23", 2, 256, "255.255.255.0/24"},
		{"2001:db8::/112", 1, 65536, "2001:db8::/48"},
		{"2001:db8::/47", 2, 1 << 80, "2001:db8:1::/48"},
	}
	for _, tt := range tests {
		d := destination{prefix: netip.MustParsePrefix(tt.prefix)}
		n, last := 0, netip.Prefix{}
		d.blocks(func(block netip.Prefix, addrs float64) {
			n++
			last = block
			if addrs != tt.each {
				t.Errorf("%s: %g addresses in %s, want %g", tt.prefix, addrs, block, tt.each)
			}
		})
		if n != tt.blocks || last.String() != tt.last {
			t.Errorf("%s: %d blocks up to %s, want %d up to %s", tt.prefix, n, last, tt.blocks, tt.last)
		}
	}
}

// Targets add up in a block, a subnet counts in every block it reaches into,
// and IPv6 is judged per /48.
func TestPrefixCapAddsUp(t *testing.T) {
	cfg := configOf(func(c *config.Config) {
		one := c.Targets[0]
		one.Type = "ICMPping"
		target := func(name, dest string, nb int) {
			one.Name, one.Destination, one.NbPackets = name, dest, nb
			one.IsSubnet, one.Family = strings.Contains(dest, "/"), "ipv4"
			if strings.Contains(dest, ":") {
				one.Family = "ipv6"
			}
			c.Targets = append(c.Targets, one)
		}
		c.Targets = nil
		target("a", "192.0.2.1", 15000)
		target("b", "192.0.3.1", 15000)
		target("both", "192.0.2.0/23", 20) // 512 a second into each half
		target("c", "2001:db8:0:1::1", 10000)
		target("d", "2001:db8:0:ffff::1", 10010)
		target("e", "2001:db8:1::1", 20000)
	})
	got := strings.Join(buildFaults(t, cfg, Inputs{}), "\n")
	want := `netprobe.yaml: safety.max_prefix_pps: the plan asks for 2012 probes/s into 192.0.2.0/24 from 2 target(s) (most from a: 1500); allowed: at most 2000 into one /24; raise global.interval, lower nb_packets of its targets, or raise safety.max_prefix_pps if 192.0.2.0/24 is yours to load
netprobe.yaml: safety.max_prefix_pps: the plan asks for 2012 probes/s into 192.0.3.0/24 from 2 target(s) (most from b: 1500); allowed: at most 2000 into one /24; raise global.interval, lower nb_packets of its targets, or raise safety.max_prefix_pps if 192.0.3.0/24 is yours to load
netprobe.yaml: safety.max_prefix_pps: the plan asks for 2001 probes/s into 2001:db8::/48 from 2 target(s) (most from d: 1001); allowed: at most 2000 into one /48; raise global.interval, lower nb_packets of its targets, or raise safety.max_prefix_pps if 2001:db8::/48 is yours to load`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWarnBursts(t *testing.T) {
	tests := []struct {
		name    string
		pacing  string
		packets time.Duration
		dest    string
		nb      int
		want    []string
	}{
		{"spread never bursts", "spread", 0, "192.0.2.1", 20000, nil},
		{"small burst", "burst", 0, "192.0.2.1", 200, nil},
		{"burst into a prefix", "burst", 0, "192.0.2.1", 201,
			[]string{"netprobe.yaml: engine.pacing: target t sends up to 201 probes within 100ms; safety.max_prefix_pps 2000 lets 200 through"}},
		{"burst over all", "burst", 0, "198.18.0.0/20", 1,
			[]string{"netprobe.yaml: engine.pacing: target t sends up to 4096 probes within 100ms; safety.max_pps 20000 lets 2000 through", "netprobe.yaml: engine.pacing: target t sends up to 256 probes within 100ms; safety.max_prefix_pps"}},
		{"interval_packets at the cap", "spread", 500 * time.Microsecond, "192.0.2.1", 5000, nil},
		{"interval_packets above the cap", "spread", 499 * time.Microsecond, "192.0.2.1", 5000,
			[]string{"netprobe.yaml: global.interval_packets: target t sends up to 201 probes within 100ms; safety.max_prefix_pps"}},
	}
	for _, tt := range tests {
		p := mustBuild(t, configOf(func(c *config.Config) {
			c.Engine.Pacing, c.Global.IntervalPackets = tt.pacing, tt.packets
			tg := &c.Targets[0]
			tg.Type, tg.NbPackets, tg.Destination, tg.IsSubnet = "ICMPping", tt.nb, tt.dest, strings.Contains(tt.dest, "/")
		}), Inputs{})
		if len(p.Warnings) != len(tt.want) {
			t.Errorf("%s: warnings %q, want %q", tt.name, p.Warnings, tt.want)
			continue
		}
		for i, w := range p.Warnings {
			if !strings.HasPrefix(w.String(), tt.want[i]) {
				t.Errorf("%s: warning %q, want %q", tt.name, w, tt.want[i])
			}
		}
	}
}
