// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// configOf returns a configuration with the defaults of the program: group "g"
// and target "t" are there to be changed.
func configOf(change func(c *config.Config)) *config.Config {
	c := &config.Config{
		File:    "netprobe.yaml",
		Global:  config.Global{ProbeName: "probe", Interval: 10 * time.Second, Percentiles: []int{95, 50}},
		Groups:  []config.Group{{Name: "g", SrcPortA: 65000, SrcPortZ: 65001, PermitAutoRegister: true}},
		Engine:  config.Engine{Pacing: "spread"},
		Safety:  config.Safety{MaxPPS: 20000, MaxPrefixPPS: 2000},
		Targets: []config.Target{{Name: "t", Type: "TCPsyn", Destination: "192.0.2.1", Family: "ipv4", DstPort: 80, NbPackets: 1, State: "None", Timeout: time.Second, Groups: []int{0}}},
	}
	if change != nil {
		change(c)
	}
	return c
}

func mustBuild(t *testing.T, cfg *config.Config, in Inputs) *Plan {
	t.Helper()
	p, err := Build(cfg, in)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return p
}

// source is where packet n of a group leaves from.
func source(g *Group, n int) Source { return g.Sources[g.Order[n%len(g.Order)]] }

func TestRotation(t *testing.T) {
	a := netip.MustParseAddr
	tests := []struct {
		name, typ, family string
		subnet, single    string
		portA, portZ      uint16
		nb                int
		want              func(i int) Source
		distinct          int
	}{
		{"netprobify's vector", "TCPsyn", "ipv4", "10.0.0.0/29", "", 65000, 65001, 14,
			func(i int) Source { return Source{a(fmt.Sprintf("10.0.0.%d", i%7+1)), 65000 + uint16(i/7)} }, 14},
		{"netprobify's vector, v6", "UDPunreachable", "ipv6", "ff::/125", "", 65000, 65001, 9,
			func(i int) Source { return Source{a(fmt.Sprintf("ff::%d", i%7+1)), 65000 + uint16(i/7)} }, 9},
		{"ICMP has no ports", "ICMPping", "ipv4", "10.0.0.0/29", "", 65000, 65001, 10,
			func(i int) Source { return Source{Addr: a(fmt.Sprintf("10.0.0.%d", i%7+1))} }, 7},
		{"ICMP, kernel's choice", "ICMPping", "ipv4", "", "", 65000, 65099, 10, func(int) Source { return Source{} }, 1},
		{"ports alone", "TCPsyn", "ipv4", "", "", 65000, 65002, 7, func(i int) Source { return Source{Port: 65000 + uint16(i%3)} }, 3},
		{"all ports", "TCPsyn", "ipv4", "", "", 1, 65535, 5, func(i int) Source { return Source{Port: 1 + uint16(i)} }, 5},
		{"one port, the last", "TCPsyn", "ipv4", "", "", 65535, 65535, 3, func(int) Source { return Source{Port: 65535} }, 1},
		{"address given", "TCPsyn", "ipv4", "", "10.9.9.9", 65000, 65001, 4, func(i int) Source { return Source{a("10.9.9.9"), 65000 + uint16(i%2)} }, 2},
		{"subnet wins over address", "ICMPping", "ipv4", "10.0.0.4/30", "10.9.9.9", 1, 1, 4, func(i int) Source { return Source{Addr: a(fmt.Sprintf("10.0.0.%d", 5+i%3))} }, 3},
		{"/31: the second address", "TCPsyn", "ipv4", "10.0.0.2/31", "", 65000, 65001, 4, func(i int) Source { return Source{a("10.0.0.3"), 65000 + uint16(i%2)} }, 2},
		{"/32: the address", "TCPsyn", "ipv4", "10.0.0.2/32", "", 65000, 65001, 4, func(i int) Source { return Source{a("10.0.0.2"), 65000 + uint16(i%2)} }, 2},
		{"/127", "ICMPping", "ipv6", "2001:db8::2/127", "", 1, 1, 2, func(int) Source { return Source{Addr: a("2001:db8::3")} }, 1},
		{"/128", "ICMPping", "ipv6", "2001:db8::2/128", "", 1, 1, 2, func(int) Source { return Source{Addr: a("2001:db8::2")} }, 1},
		{"/64 does not count its addresses", "ICMPping", "ipv6", "2001:db8::/64", "", 1, 1, 3, func(i int) Source { return Source{Addr: a(fmt.Sprintf("2001:db8::%d", i+1))} }, 3},
		{"7 addresses and 7 ports: the port moves", "TCPsyn", "ipv4", "10.0.0.0/29", "", 65000, 65006, 60,
			func(i int) Source { return Source{a(fmt.Sprintf("10.0.0.%d", i%7+1)), 65000 + uint16(i/7%7)} }, 49},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configOf(func(c *config.Config) {
				g, tg := &c.Groups[0], &c.Targets[0]
				g.SrcPortA, g.SrcPortZ = tt.portA, tt.portZ
				tg.Type, tg.Family, tg.NbPackets = tt.typ, tt.family, tt.nb
				addr, prefix := &g.SrcIPv4, &g.SrcSubnetIPv4
				if tt.family == "ipv6" {
					tg.Destination = "2001:db8:f::1"
					addr, prefix = &g.SrcIPv6, &g.SrcSubnetIPv6
					// The other family's is never used.
					g.SrcIPv4, g.SrcSubnetIPv4 = a("198.51.100.1"), netip.MustParsePrefix("198.51.100.0/24")
				} else {
					g.SrcIPv6, g.SrcSubnetIPv6 = a("2001:db8:1::1"), netip.MustParsePrefix("2001:db8:1::/64")
				}
				if tt.single != "" {
					*addr = a(tt.single)
				}
				if tt.subnet != "" {
					*prefix = netip.MustParsePrefix(tt.subnet)
				}
			})
			g := &mustBuild(t, cfg, Inputs{}).Targets[0].Groups[0]
			for i := range tt.nb {
				if got, want := source(g, i), tt.want(i); got != want {
					t.Errorf("packet %d leaves from %v, want %v", i, got, want)
				}
			}
			if len(g.Sources) != tt.distinct {
				t.Errorf("%d sources, want %d: %v", len(g.Sources), tt.distinct, g.Sources)
			}
		})
	}
}

func TestPayload(t *testing.T) {
	tests := []struct {
		typ           string
		target, group int
		want          int
	}{
		{"TCPsyn", 1000, 0, 980},
		{"ICMPping", 1000, 0, 992},
		{"UDPunreachable", 1000, 0, 992},
		{"ICMPping", 1000, 1024, 992},
		{"ICMPping", 0, 1024, 1016},
		{"TCPsyn", 0, 1024, 0},
		{"UDPunreachable", 0, 1024, 8},
		{"TCPsyn", 0, 0, 0},
		{"ICMPping", 0, 0, 8},
		{"UDPunreachable", 0, 0, 8},
		{"TCPsyn", 1, 0, 0},
		{"TCPsyn", 20, 0, 0},
		{"TCPsyn", 21, 0, 1},
		{"ICMPping", 1, 1024, 8},
		{"ICMPping", 8, 0, 8},
		{"ICMPping", 16, 0, 8},
		{"ICMPping", 17, 0, 9},
	}
	for _, tt := range tests {
		cfg := configOf(func(c *config.Config) {
			c.Targets[0].Type, c.Targets[0].IPPayloadSize, c.Groups[0].IPPayloadSize = tt.typ, tt.target, tt.group
		})
		if got := mustBuild(t, cfg, Inputs{}).Targets[0].Groups[0].PayloadLen; got != tt.want {
			t.Errorf("%s, target %d, group %d: %d bytes, want %d", tt.typ, tt.target, tt.group, got, tt.want)
		}
	}
}

func TestCarriesOver(t *testing.T) {
	cfg := configOf(func(c *config.Config) {
		c.Groups = append(c.Groups, config.Group{Name: "gold", SrcPortA: 100, SrcPortZ: 200, DSCP: 46})
		tg := &c.Targets[0]
		tg.Groups, tg.NbPackets, tg.DontFragment, tg.State = []int{1, 0}, 3, true, "in production"
	})
	p := mustBuild(t, cfg, Inputs{})
	got := p.Targets[0]
	if p.ProbeName != "probe" || p.Interval != 10*time.Second || !slices.Equal(p.Percentiles, []int{95, 50}) || p.PPS != 0.6 {
		t.Errorf("plan %+v", p)
	}
	if got.Name != "t" || got.Type.Name != "TCPsyn" || got.Family != "ipv4" || got.State != "in production" || got.DstPort != 80 || got.Timeout != time.Second || !got.DontFragment {
		t.Errorf("target %+v", got)
	}
	if len(got.Groups) != 2 || got.Groups[0].Name != "gold" || got.Groups[0].DSCP != 46 || got.Groups[1].Name != "g" || got.Groups[1].DSCP != 0 || got.Probes() != 6 {
		t.Errorf("groups %+v", got.Groups)
	}
}

func TestAddresses(t *testing.T) {
	a := netip.MustParseAddr
	own := func(addr netip.Addr) bool { return addr == a("192.0.2.1") }
	tests := []struct {
		name, dest, family string
		subnet             bool
		in                 Inputs
		want               []netip.Addr
		warning            string
	}{
		{name: "literal", dest: "192.0.2.1", family: "ipv4", want: []netip.Addr{a("192.0.2.1")}},
		{name: "subnet, network and broadcast address too", dest: "192.0.2.0/30", family: "ipv4", subnet: true,
			want: []netip.Addr{a("192.0.2.0"), a("192.0.2.1"), a("192.0.2.2"), a("192.0.2.3")}},
		{name: "host bits masked", dest: "192.0.2.3/31", family: "ipv4", subnet: true, want: []netip.Addr{a("192.0.2.2"), a("192.0.2.3")}},
		{name: "/32", dest: "192.0.2.3/32", family: "ipv4", subnet: true, want: []netip.Addr{a("192.0.2.3")}},
		{name: "subnet of one, no length", dest: "192.0.2.3", family: "ipv4", subnet: true, want: []netip.Addr{a("192.0.2.3")}},
		{name: "v6 subnet over a carry", dest: "2001:db8::fffe/126", family: "ipv6", subnet: true,
			want: []netip.Addr{a("2001:db8::fffc"), a("2001:db8::fffd"), a("2001:db8::fffe"), a("2001:db8::ffff")}},
		{name: "range", dest: "192.0.2-3.254-255", family: "ipv4", subnet: true,
			want: []netip.Addr{a("192.0.2.254"), a("192.0.2.255"), a("192.0.3.254"), a("192.0.3.255")}},
		{name: "own address in a range", dest: "192.0.2.1-2", family: "ipv4", subnet: true, in: Inputs{Self: own}, want: []netip.Addr{a("192.0.2.2")},
			warning: "netprobe.yaml: targets.t.destination: 192.0.2.1 belongs to this host and is not probed; the other 1 addresses are probed"},
		{name: "name", dest: "www.example.com", family: "ipv6", in: Inputs{Addrs: map[string][]netip.Addr{"t": {a("2001:db8::1")}}}, want: []netip.Addr{a("2001:db8::1")}},
		{name: "name without address", dest: "www.example.com", family: "ipv4"},
		{name: "name of somewhere refused", dest: "www.example.com", family: "ipv4", in: Inputs{Addrs: map[string][]netip.Addr{"t": {a("127.0.0.1")}}},
			warning: "netprobe.yaml: targets.t.destination: www.example.com is not probed: its address 127.0.0.1 is in 127.0.0.0/8 (loopback, RFC 1122), which is refused unless safety.allow_ranges covers it; the target is inactive until the name has another address"},
		{name: "own address", dest: "192.0.2.1", family: "ipv4", in: Inputs{Self: own},
			warning: "netprobe.yaml: targets.t.destination: 192.0.2.1 belongs to this host and is not probed; the target is inactive while this host has the address"},
		{name: "own address in a subnet", dest: "192.0.2.0/31", family: "ipv4", subnet: true, in: Inputs{Self: own}, want: []netip.Addr{a("192.0.2.0")},
			warning: "netprobe.yaml: targets.t.destination: 192.0.2.1 belongs to this host and is not probed; the other 1 addresses are probed"},
		{name: "own subnet", dest: "192.0.2.0/29", family: "ipv4", subnet: true, in: Inputs{Self: func(netip.Addr) bool { return true }},
			warning: "netprobe.yaml: targets.t.destination: 192.0.2.0, 192.0.2.1, 192.0.2.2 and 5 more belongs to this host and is not probed; the target is inactive while this host has the address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configOf(func(c *config.Config) {
				c.Targets[0].Destination, c.Targets[0].Family, c.Targets[0].IsSubnet = tt.dest, tt.family, tt.subnet
			})
			p := mustBuild(t, cfg, tt.in)
			if !slices.Equal(p.Targets[0].Addrs, tt.want) {
				t.Errorf("addresses %v, want %v", p.Targets[0].Addrs, tt.want)
			}
			var got string
			if len(p.Warnings) > 0 {
				got = p.Warnings[0].String()
			}
			if got != tt.warning || len(p.Warnings) > 1 {
				t.Errorf("warnings %q, want %q", p.Warnings, tt.warning)
			}
		})
	}
}

// buildFaults builds what must not build.
func buildFaults(t *testing.T, cfg *config.Config, in Inputs) []string {
	t.Helper()
	p, err := Build(cfg, in)
	if err == nil {
		t.Fatalf("Build made a plan: %+v", p)
	}
	if p != nil || exitcode.Of(err) != exitcode.Config {
		t.Errorf("plan %v, exit code %d", p, exitcode.Of(err))
	}
	var fs config.Faults
	if !errors.As(err, &fs) {
		t.Fatalf("error is a %T", err)
	}
	var lines []string
	for _, f := range fs {
		lines = append(lines, f.String())
	}
	return lines
}

func TestFaults(t *testing.T) {
	a, pfx := netip.MustParseAddr, netip.MustParsePrefix
	notOwn := Inputs{Local: func(addr netip.Addr) bool { return addr == a("10.0.0.1") }}
	tests := []struct {
		name   string
		change func(c *config.Config)
		in     Inputs
		want   []string // one text that each fault must begin with
	}{
		{"refused address", func(c *config.Config) { c.Targets[0].Destination = "127.0.0.1" }, Inputs{},
			[]string{"netprobe.yaml: targets.t.destination: 127.0.0.1 is in 127.0.0.0/8 (loopback, RFC 1122), which is refused unless safety.allow_ranges covers it; allowed: another address"}},
		{"range with a refused address", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].IsSubnet = "126-127.0.0.1", true }, Inputs{},
			[]string{"netprobe.yaml: targets.t.destination: 127.0.0.1 is in 127.0.0.0/8 (loopback, RFC 1122), which is refused unless safety.allow_ranges covers it; allowed: another range"}},
		{"range with allowed addresses", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].IsSubnet = "127.0.0.1-2", true
			c.Safety.AllowRanges = []netip.Prefix{pfx("127.0.0.1/32"), pfx("127.0.0.2/32")}
		}, Inputs{}, nil},
		{"range with an address beside them", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].IsSubnet = "127.0.0.1-3", true
			c.Safety.AllowRanges = []netip.Prefix{pfx("127.0.0.1/32"), pfx("127.0.0.2/32")}
		}, Inputs{}, []string{"netprobe.yaml: targets.t.destination: 127.0.0.3 is in 127.0.0.0/8"}},
		{"range of the other family", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].IsSubnet, c.Targets[0].Family = "192.0.2.1-2", true, "ipv6"
		}, Inputs{},
			[]string{"netprobe.yaml: targets.t.address_family: destination is 192.0.2.1-2; allowed: an ipv6 subnet"}},
		{"range with too many probes into a /24", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].IsSubnet, c.Targets[0].NbPackets, c.Global.Interval = "198.18.0-1.*", true, 8, time.Second
			c.Safety.MaxPPS = 1 << 20
		}, Inputs{}, []string{
			"netprobe.yaml: safety.max_prefix_pps: the plan asks for 2048 probes/s into 198.18.0.0/24 from 1 target(s) (most from t: 2048); allowed: at most 2000",
			"netprobe.yaml: safety.max_prefix_pps: the plan asks for 2048 probes/s into 198.18.1.0/24 from 1 target(s) (most from t: 2048); allowed: at most 2000"}},
		{"beside a refused range", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].IsSubnet = "223.255.254.0/23", true }, Inputs{}, nil},
		{"zone", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].Family = "2001:db8::1%eth0", "ipv6" }, Inputs{},
			[]string{"netprobe.yaml: targets.t.destination: 2001:db8::1%eth0 has a zone; write the address without it"}},
		{"literal of the other family", func(c *config.Config) { c.Targets[0].Family = "ipv6" }, Inputs{},
			[]string{"netprobe.yaml: targets.t.address_family: destination is 192.0.2.1; allowed: an ipv6 address; change destination or address_family"}},
		{"subnet of the other family", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].IsSubnet = "2001:db8::/120", true }, Inputs{},
			[]string{"netprobe.yaml: targets.t.address_family: destination is 2001:db8::/120; allowed: an ipv4 subnet"}},
		{"name of the other family", func(c *config.Config) { c.Targets[0].Destination = "www.example.com" },
			Inputs{Addrs: map[string][]netip.Addr{"t": {a("2001:db8::1")}}},
			[]string{"netprobe.yaml: targets.t.address_family: www.example.com is 2001:db8::1; allowed: an ipv4 address"}},
		{"not a subnet", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].IsSubnet = "www.example.com", true }, Inputs{},
			[]string{`netprobe.yaml: targets.t.destination: read "www.example.com"; allowed: a subnet such as 192.0.2.0/29, or is_subnet: false`}},
		{"unknown type", func(c *config.Config) { c.Targets[0].Type = "iperf" }, Inputs{},
			[]string{`netprobe.yaml: targets.t.type: read "iperf"`}},
		{"interval too short", func(c *config.Config) { c.Targets[0].NbPackets, c.Global.IntervalPackets = 11, time.Second }, Inputs{},
			[]string{"netprobe.yaml: targets.t.nb_packets: 11 probes per interval (nb_packets 11 × 1 groups × 1 addresses), 1s apart; allowed: at most 10 in global.interval 10s; lower"}},
		{"interval just long enough", func(c *config.Config) { c.Targets[0].NbPackets, c.Global.IntervalPackets = 10, time.Second }, Inputs{}, nil},
		{"above the prefix cap", func(c *config.Config) { c.Targets[0].NbPackets = 20001 }, Inputs{},
			[]string{"netprobe.yaml: safety.max_prefix_pps: the plan asks for 2000.1 probes/s into 192.0.2.0/24 from 1 target(s) (most from t: 2000.1); allowed: at most 2000 into one /24; raise"}},
		{"at the prefix cap", func(c *config.Config) { c.Targets[0].NbPackets = 20000 }, Inputs{}, nil},
		{"above the total cap", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].IsSubnet, c.Targets[0].NbPackets, c.Global.Interval = "198.18.0.0/16", true, 1, 3*time.Second
		}, Inputs{}, []string{"netprobe.yaml: safety.max_pps: the plan asks for 21845.4 probes/s (most from target t: 21845.4); allowed: at most 20000; raise global.interval"}},
		{"a name counts before it resolves", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].NbPackets = "www.example.com", 200001 }, Inputs{},
			[]string{"netprobe.yaml: safety.max_pps: the plan asks for 20000.1 probes/s"}},
		{"an enormous plan is not laid out", func(c *config.Config) {
			c.Targets[0].Destination, c.Targets[0].Family, c.Targets[0].IsSubnet, c.Targets[0].NbPackets = "2001:db8::/48", "ipv6", true, 1<<62
			c.Groups[0].SrcSubnetIPv6 = pfx("2001:db8:1::/64")
		}, Inputs{}, []string{"netprobe.yaml: targets.t.nb_packets: 4611686018427387904 packets go through more than 1048576 source addresses and ports of group g; allowed: at most 1048576", "netprobe.yaml: safety.max_pps: ", "netprobe.yaml: safety.max_prefix_pps: "}},
		{"foreign source", func(c *config.Config) { c.Groups[0].SrcIPv4 = a("10.0.0.9") }, notOwn,
			[]string{"netprobe.yaml: groups.g.src_ipv4: source address 10.0.0.9 is not local to this host (1 of 1 addresses are not); allowed: addresses the kernel calls local"}},
		{"foreign source allowed", func(c *config.Config) { c.Groups[0].SrcIPv4, c.Safety.ForeignSource = a("10.0.0.9"), true }, notOwn, nil},
		{"foreign source in a subnet", func(c *config.Config) { c.Groups[0].SrcSubnetIPv4, c.Targets[0].NbPackets = pfx("10.0.0.0/29"), 3 }, notOwn,
			[]string{"netprobe.yaml: groups.g.src_subnet_ipv4: source address 10.0.0.2 is not local to this host (2 of 3 addresses are not)"}},
		{"only what is used is asked for", func(c *config.Config) { c.Groups[0].SrcSubnetIPv4 = pfx("10.0.0.0/29") }, notOwn, nil},
		{"a group nobody uses", func(c *config.Config) {
			c.Groups = append(c.Groups, config.Group{Name: "idle", SrcIPv4: a("10.0.0.9"), SrcPortA: 1, SrcPortZ: 1})
		}, notOwn, nil},
		{"the other family's source", func(c *config.Config) { c.Groups[0].SrcIPv6 = a("2001:db8::9") }, notOwn, nil},
		{"loopback as source", func(c *config.Config) { c.Groups[0].SrcIPv4, c.Safety.ForeignSource = a("127.0.0.1"), true }, Inputs{},
			[]string{"netprobe.yaml: groups.g.src_ipv4: source address 127.0.0.1 is in 127.0.0.0/8"}},
		{"every fault at once", func(c *config.Config) {
			second := c.Targets[0]
			second.Name, second.Destination = "u", "::ffff:192.0.2.1"
			second.Family = "ipv6"
			c.Targets[0].Destination = "255.255.255.255"
			c.Targets = append(c.Targets, second)
			c.Groups[0].SrcIPv4 = a("0.0.0.0")
		}, Inputs{}, []string{"netprobe.yaml: targets.t.destination: 255.255.255.255 is in 224.0.0.0/3", "netprobe.yaml: targets.u.destination: ::ffff:192.0.2.1 is in ::ffff:0.0.0.0/96", "netprobe.yaml: groups.g.src_ipv4: source address 0.0.0.0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configOf(tt.change)
			if tt.want == nil {
				mustBuild(t, cfg, tt.in)
				return
			}
			got := buildFaults(t, cfg, tt.in)
			if len(got) != len(tt.want) {
				t.Fatalf("%d faults, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("fault\n  %s\nwant\n  %s", got[i], tt.want[i])
				}
			}
		})
	}
}

// A target in no group is switched off: nothing about it is judged, and others
// keep their places.
func TestNoGroup(t *testing.T) {
	cfg := configOf(func(c *config.Config) {
		c.Groups = append(c.Groups, config.Group{Name: "h", SrcPortA: 65000, SrcPortZ: 65000})
		on := c.Targets[0]
		off := on
		off.Groups = nil
		c.Targets = nil
		for i, tg := range []config.Target{off, on, off, on, off} {
			tg.Name = fmt.Sprint("t", i)
			tg.NbPackets = 15
			if len(tg.Groups) == 0 {
				tg.Destination, tg.NbPackets = "127.0.0.1", 1<<40
			}
			c.Targets = append(c.Targets, tg)
		}
		c.Targets[3].Groups = []int{0, 1}
		c.Targets[3].Destination = "192.0.2.3"
	})
	p := mustBuild(t, cfg, Inputs{})
	if len(p.Targets) != 2 || p.Targets[0].Name != "t1" || p.Targets[1].Name != "t3" || len(p.Targets[1].Groups) != 2 || p.PPS != 4.5 {
		t.Errorf("planned %d targets at %g probes/s", len(p.Targets), p.PPS)
	}
	// Both have few ports for 15 packets, and share one.
	var got []string
	for _, w := range p.Warnings {
		got = append(got, w.Key)
	}
	if want := []string{"groups.g.src_port_z", "groups.h.src_port_z", "groups.h.src_port_a"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q", p.Warnings)
	}

	cfg.Targets = cfg.Targets[:1]
	if p = mustBuild(t, cfg, Inputs{}); len(p.Targets) != 0 || p.PPS != 0 || len(p.Warnings) != 0 {
		t.Errorf("got %+v", p)
	}
}
