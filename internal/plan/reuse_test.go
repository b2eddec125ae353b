// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

func TestWarnReuse(t *testing.T) {
	tests := []struct {
		name   string
		change func(c *config.Config)
		want   []string
	}{
		{"one packet", nil, nil},
		{"each port in time", func(c *config.Config) { c.Targets[0].NbPackets = 18 }, nil},
		{"at the timeout is too soon", func(c *config.Config) { c.Targets[0].NbPackets = 20 },
			[]string{"netprobe.yaml: groups.g.src_port_z: 65001 (2 ports): target t needs a source port again after 1s, with a timeout of 1s; 4 ports are needed: src_port_z 65003; otherwise"}},
		{"too few ports", func(c *config.Config) { c.Targets[0].NbPackets = 40 },
			[]string{"netprobe.yaml: groups.g.src_port_z: 65001 (2 ports): target t needs a source port again after 500ms, with a timeout of 1s; 5 ports are needed: src_port_z 65004; otherwise"}},
		{"the target that needs most is named", func(c *config.Config) {
			more := c.Targets[0]
			more.Name, more.Destination, more.NbPackets = "more", "192.0.2.2", 60
			c.Targets[0].NbPackets = 40
			c.Targets = append(c.Targets, more)
		}, []string{"netprobe.yaml: groups.g.src_port_z: 65001 (2 ports): target more and 1 more need a source port again after 333.333332ms, with a timeout of 1s; 10 ports are needed: src_port_z 65009"}},
		{"more ports than there are above", func(c *config.Config) {
			c.Targets[0].NbPackets, c.Groups[0].SrcPortA, c.Groups[0].SrcPortZ = 20, 65535, 65535
		}, []string{"netprobe.yaml: groups.g.src_port_z: 65535 (1 ports): target t needs a source port again after 500ms, with a timeout of 1s; 4 ports are needed: lower src_port_a as well"}},
		{"a burst needs a port per packet", func(c *config.Config) { c.Engine.Pacing, c.Targets[0].NbPackets = "burst", 5 },
			[]string{"netprobe.yaml: groups.g.src_port_z: 65001 (2 ports): target t needs a source port again after 0s, with a timeout of 1s; 5 ports are needed: src_port_z 65004"}},
		{"source addresses count", func(c *config.Config) {
			c.Engine.Pacing, c.Targets[0].NbPackets = "burst", 15
			c.Groups[0].SrcSubnetIPv4 = netip.MustParsePrefix("10.0.0.0/29")
		}, []string{"netprobe.yaml: groups.g.src_port_z: 65001 (2 ports): target t needs a source port again after 0s, with a timeout of 1s; 3 ports are needed: src_port_z 65002"}},
		{"timeout as long as the interval", func(c *config.Config) { c.Targets[0].Timeout = 10 * time.Second },
			[]string{"netprobe.yaml: targets.t.timeout: 10s is too long for global.interval 10s; the"}},
		{"UDP keeps several in flight", func(c *config.Config) { c.Targets[0].Type, c.Targets[0].NbPackets = "UDPunreachable", 1000 }, nil},
		{"a name is judged before it resolves", func(c *config.Config) { c.Targets[0].Destination, c.Targets[0].NbPackets = "www.example.com", 18 }, nil},
		{"groups far apart", func(c *config.Config) {
			c.Groups = append(c.Groups, config.Group{Name: "h", SrcPortA: 65001, SrcPortZ: 65002})
			c.Targets[0].Groups = []int{0, 1}
		}, nil},
		{"groups in a burst", func(c *config.Config) {
			c.Groups = append(c.Groups, config.Group{Name: "h", SrcPortA: 65001, SrcPortZ: 65002})
			c.Targets[0].Groups, c.Targets[0].NbPackets, c.Engine.Pacing = []int{0, 1}, 2, "burst"
		}, []string{"netprobe.yaml: groups.h.src_port_a: groups g and h use the same source ports within the timeout, to target t and 0 other(s); give"}},
		{"groups with addresses of their own", func(c *config.Config) {
			c.Groups[0].SrcIPv4 = netip.MustParseAddr("10.0.0.1")
			c.Groups = append(c.Groups, config.Group{Name: "h", SrcIPv4: netip.MustParseAddr("10.0.0.2"), SrcPortA: 65000, SrcPortZ: 65001})
			c.Targets[0].Groups, c.Engine.Pacing = []int{0, 1}, "burst"
		}, nil},
		{"two targets, one four-tuple", func(c *config.Config) {
			twin := c.Targets[0]
			twin.Name, twin.Destination, twin.IsSubnet = "twin", "192.0.2.0/30", true
			c.Targets = append(c.Targets, twin)
			// More than half the interval: they meet whatever their phases are.
			c.Targets[0].Timeout, c.Targets[1].Timeout = 6*time.Second, 6*time.Second
			c.Targets[0].NbPackets, c.Targets[1].NbPackets = 20, 20
			c.Groups[0].SrcPortZ = 65039
		}, []string{"netprobe.yaml: targets.twin.destination: targets t and twin use the same source ports to 192.0.2.1 port 80 within the timeout; make"}},
		{"two targets, two ports", func(c *config.Config) {
			twin := c.Targets[0]
			twin.Name, twin.DstPort = "twin", 81
			c.Targets = append(c.Targets, twin)
			c.Targets[0].Timeout, c.Targets[1].Timeout = 6*time.Second, 6*time.Second
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustBuild(t, configOf(tt.change), Inputs{})
			if len(p.Warnings) != len(tt.want) {
				t.Fatalf("warnings %q, want %q", p.Warnings, tt.want)
			}
			for i, w := range p.Warnings {
				if !strings.HasPrefix(w.String(), tt.want[i]) {
					t.Errorf("warning\n  %s\nwant\n  %s", w, tt.want[i])
				}
			}
		})
	}
}

// tuple is what one TCP probe at a time may use.
type tuple struct {
	src  Source
	dst  netip.Addr
	port uint16
}

// use is when a tuple is used, and by whom.
type use struct {
	at, hold      time.Duration
	target, group int
}

// clashes finds by listing every probe of an interval what warnReuse and
// warnShared find by reckoning: who needs a tuple while it may be taken.
func clashes(p *Plan) (within map[string]bool, groups, targets bool) {
	uses := make(map[tuple][]use)
	for i, t := range p.Targets {
		for j := range t.Probes() {
			g, n, a := t.Probe(j)
			k := tuple{source(&t.Groups[g], n), t.Addrs[a], t.DstPort}
			uses[k] = append(uses[k], use{(t.Phase + time.Duration(j)*t.Gap) % p.Interval, t.Timeout + settling, i, g})
		}
	}
	within = make(map[string]bool)
	for _, us := range uses {
		for i, u := range us {
			for j, v := range us {
				d := v.at - u.at
				if d < 0 || d == 0 && i >= j {
					d += p.Interval
				}
				switch {
				case d >= u.hold:
				case u.target != v.target:
					targets = true
				case u.group != v.group:
					groups = true
				default:
					within[p.Targets[u.target].Groups[u.group].Name] = true
				}
			}
		}
	}
	return within, groups, targets
}

// What is warned of is what happens, no less and no more, and with as many
// ports as the warning says it no longer does.
func TestReuseAgainstEveryProbe(t *testing.T) {
	enough := regexp.MustCompile(`; (\d+) ports are needed: `)
	kinds := make(map[string]int)
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := configOf(func(c *config.Config) {
			c.Safety = config.Safety{MaxPPS: 1e9, MaxPrefixPPS: 1e9}
			c.Engine.Pacing = []string{"spread", "burst"}[rng.IntN(2)]
			c.Groups, c.Targets = nil, nil
			for i := range 1 + rng.IntN(3) {
				g := config.Group{Name: fmt.Sprint("g", i), SrcPortA: 100 + uint16(rng.IntN(40))}
				g.SrcPortZ = g.SrcPortA + uint16(rng.IntN(20))
				switch rng.IntN(4) {
				case 0:
					g.SrcSubnetIPv4 = netip.PrefixFrom(netip.MustParseAddr("10.0.0.8"), 29+rng.IntN(4))
				case 1:
					g.SrcIPv4 = netip.MustParseAddr("10.0.0.9")
				}
				c.Groups = append(c.Groups, g)
			}
			most := 0
			for i := range 1 + rng.IntN(3) {
				tg := config.Target{Name: fmt.Sprint("t", i), Type: "TCPsyn", Family: "ipv4", DstPort: 80, NbPackets: 1 + rng.IntN(30), Destination: "192.0.2.1"}
				tg.Timeout = time.Duration(1+rng.IntN(2000)) * time.Millisecond
				if rng.IntN(3) == 0 {
					tg.Destination, tg.IsSubnet = "192.0.2.0/30", true
				}
				for g := range c.Groups {
					if rng.IntN(3) > 0 || g == 0 {
						tg.Groups = append(tg.Groups, g)
					}
				}
				most = max(most, tg.NbPackets*len(tg.Groups)*4)
				c.Targets = append(c.Targets, tg)
			}
			if rng.IntN(3) == 0 {
				c.Global.IntervalPackets = c.Global.Interval / time.Duration(most+rng.IntN(50))
			}
		})
		p := mustBuild(t, cfg, Inputs{})
		within, groups, targets := clashes(p)
		var warned []string
		warnedGroups, warnedTargets := false, false
		for _, w := range p.Warnings {
			switch {
			case strings.HasSuffix(w.Key, ".src_port_z"):
				name := strings.Split(w.Key, ".")[1]
				warned = append(warned, name)
				m := enough.FindStringSubmatch(w.String())
				ports, _ := strconv.Atoi(m[1])
				if left := reuseWith(t, cfg, name, ports); left {
					t.Fatalf("seed %d: %s, and still it happens with %d", seed, w, ports)
				}
				if left := reuseWith(t, cfg, name, ports-1); !left {
					t.Fatalf("seed %d: %s, but %d are enough", seed, w, ports-1)
				}
			case strings.HasSuffix(w.Key, ".src_port_a"):
				warnedGroups = true
			case strings.HasSuffix(w.Key, ".destination"):
				warnedTargets = true
			default:
				t.Fatalf("seed %d: warning %s", seed, w)
			}
		}
		for _, name := range warned {
			if !within[name] {
				t.Fatalf("seed %d: warned of group %s, and nothing happens: %q", seed, name, p.Warnings)
			}
			kinds["ports"]++
		}
		if len(within) != len(warned) || groups != warnedGroups || targets != warnedTargets {
			t.Fatalf("seed %d: groups short of ports %v, groups meet %t, targets meet %t; warnings %q", seed, within, groups, targets, p.Warnings)
		}
		kinds[fmt.Sprint("groups ", groups)]++
		kinds[fmt.Sprint("targets ", targets)]++
		kinds[fmt.Sprint("within ", len(within) > 0)]++
	}
	for _, k := range []string{"groups true", "groups false", "targets true", "targets false", "within true", "within false"} {
		if kinds[k] < 100 {
			t.Errorf("only %d of the plans have %s: %v", kinds[k], k, kinds)
		}
	}
}

// reuseWith says whether a group still needs a tuple too early with this many
// ports.
func reuseWith(t *testing.T, cfg *config.Config, group string, ports int) bool {
	t.Helper()
	changed := *cfg
	changed.Groups = slices.Clone(cfg.Groups)
	for i := range changed.Groups {
		if g := &changed.Groups[i]; g.Name == group {
			g.SrcPortZ = g.SrcPortA + uint16(ports) - 1
		}
	}
	within, _, _ := clashes(mustBuild(t, &changed, Inputs{}))
	return within[group]
}
