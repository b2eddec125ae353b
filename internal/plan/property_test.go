// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// dice draws a configuration from bytes, so that the fuzzer steers it.
type dice struct{ data []byte }

func (d *dice) n(limit int) int {
	if len(d.data) < 2 {
		return 0
	}
	v := int(d.data[0])<<8 | int(d.data[1])
	d.data = d.data[2:]
	return v % limit
}

func (d *dice) config() *config.Config {
	c := configOf(nil)
	c.Groups, c.Targets = nil, nil
	c.Global.Interval = time.Duration(1+d.n(60)) * time.Second
	c.Global.IntervalPackets = time.Duration(d.n(3)*d.n(2000)) * time.Microsecond
	c.Engine.Pacing = []string{"spread", "burst"}[d.n(2)]
	for i := range 1 + d.n(4) {
		g := config.Group{Name: fmt.Sprint("g", i), SrcPortA: uint16(1 + d.n(65535)), IPPayloadSize: d.n(1500), DSCP: uint8(d.n(64))}
		g.SrcPortZ = g.SrcPortA + uint16(d.n(65536-int(g.SrcPortA)))
		if d.n(3) == 0 {
			g.SrcSubnetIPv4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(d.n(256)), byte(d.n(256))}), 8+d.n(25)).Masked()
			g.SrcSubnetIPv6 = netip.PrefixFrom(netip.MustParseAddr("fd00::ffff:ffff:ffff:ffff"), 1+d.n(128)).Masked()
		}
		c.Groups = append(c.Groups, g)
	}
	for i := range d.n(6) {
		v6 := d.n(2) == 1
		t := config.Target{
			Name: fmt.Sprint("t", i), Type: probe.Types()[d.n(len(probe.Types()))].Name, Family: "ipv4", DstPort: uint16(1 + d.n(3)),
			NbPackets: 1 + d.n(50), IPPayloadSize: d.n(1500), State: "None", Timeout: time.Duration(1+d.n(5000)) * time.Millisecond,
		}
		first := netip.AddrFrom4([4]byte{byte(d.n(256)), 0, byte(d.n(256)), byte(d.n(256))})
		if v6 {
			t.Family = "ipv6"
			first = netip.AddrFrom16([16]byte{0: byte(d.n(256)), 1: 0x80, 14: byte(d.n(256)), 15: byte(d.n(256))})
		}
		t.Destination = first.String()
		if d.n(2) == 0 {
			t.IsSubnet = true
			t.Destination += fmt.Sprint("/", first.BitLen()-d.n(17))
		}
		t.Groups = []int{d.n(len(c.Groups))}
		if other := d.n(len(c.Groups)); other != t.Groups[0] {
			t.Groups = append(t.Groups, other)
		}
		if d.n(8) == 1 {
			t.Groups = nil
		}
		c.Targets = append(c.Targets, t)
	}
	return c
}

// checkPlan holds a plan against what it promises.
func checkPlan(t *testing.T, cfg *config.Config, p *Plan) {
	t.Helper()
	probes := 0
	var want []*config.Target
	for i := range cfg.Targets {
		if len(cfg.Targets[i].Groups) > 0 {
			want = append(want, &cfg.Targets[i])
		}
	}
	if len(want) != len(p.Targets) {
		t.Fatalf("%d targets are planned, %d are in a group", len(p.Targets), len(want))
	}
	for i, tg := range p.Targets {
		want := want[i]
		probes += tg.Probes()
		if tg.Name != want.Name || tg.Phase < 0 || tg.Phase >= p.Interval || tg.Gap < 0 || tg.Gap*time.Duration(tg.Probes()) > p.Interval {
			t.Fatalf("target %s: phase %s, %d probes %s apart in %s", tg.Name, tg.Phase, tg.Probes(), tg.Gap, p.Interval)
		}
		for _, addr := range tg.Addrs {
			if addr.Is4() != (want.Family == "ipv4") || CheckAddr(cfg.Safety, addr) != nil {
				t.Fatalf("target %s is probed at %s", tg.Name, addr)
			}
		}
		if !slices.IsSortedFunc(tg.Addrs, netip.Addr.Compare) || len(slices.Compact(slices.Clone(tg.Addrs))) != len(tg.Addrs) {
			t.Fatalf("target %s: addresses are not in order, once each", tg.Name)
		}
		for j := range tg.Groups {
			checkGroup(t, want, &cfg.Groups[want.Groups[j]], tg, &tg.Groups[j])
		}
		checkPackets(t, want, tg)
	}
	if pps := float64(probes) / p.Interval.Seconds(); pps != p.PPS || pps > float64(cfg.Safety.MaxPPS) {
		t.Fatalf("plan says %g probes/s, has %g", p.PPS, pps)
	}
}

func checkGroup(t *testing.T, ct *config.Target, cg *config.Group, tg *Target, g *Group) {
	t.Helper()
	subnet := cg.SrcSubnetIPv4
	if ct.Family == "ipv6" {
		subnet = cg.SrcSubnetIPv6
	}
	seen := make(map[Source]bool)
	for _, s := range g.Sources {
		ports := s.Port >= cg.SrcPortA && s.Port <= cg.SrcPortZ
		if !tg.Type.SourcePorts {
			ports = s.Port == 0
		}
		if seen[s] || !ports || s.Addr.IsValid() != subnet.IsValid() || s.Addr.IsValid() && !subnet.Contains(s.Addr) {
			t.Fatalf("target %s, group %s: source %v of %+v", tg.Name, g.Name, s, cg)
		}
		seen[s] = true
	}
	used := make(map[uint32]bool)
	for _, o := range g.Order {
		used[o] = true
	}
	if len(used) != len(g.Sources) || g.NbPackets != ct.NbPackets || g.PayloadLen < tg.Type.MinPayload {
		t.Fatalf("target %s, group %+v: %d sources used", tg.Name, g, len(used))
	}
}

// checkPackets counts every packet of every group: exactly once to each address.
func checkPackets(t *testing.T, ct *config.Target, tg *Target) {
	t.Helper()
	type packet struct{ g, n, a int }
	count := make(map[packet]int)
	last := packet{g: -1}
	for i := range tg.Probes() {
		g, n, a := tg.Probe(i)
		k := packet{g, n, a}
		if k.g < last.g || k.g == last.g && (k.n < last.n || k.n == last.n && k.a != last.a+1) {
			t.Fatalf("target %s: probe %d is %+v, after %+v", tg.Name, i, k, last)
		}
		source(&tg.Groups[g], n)
		count[k]++
		last = k
	}
	if len(count) != ct.NbPackets*len(ct.Groups)*len(tg.Addrs) {
		t.Fatalf("target %s: %d distinct packets of %d × %d × %d", tg.Name, len(count), ct.NbPackets, len(ct.Groups), len(tg.Addrs))
	}
}

func TestPlansKeepTheirPromises(t *testing.T) {
	plans := 0
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		d := dice{data}
		cfg := d.config()
		if p, err := Build(cfg, Inputs{}); err == nil {
			plans++
			checkPlan(t, cfg, p)
		}
	}
	if plans < 100 {
		t.Errorf("only %d of 1000 configurations gave a plan", plans)
	}
}

func FuzzBuild(f *testing.F) {
	for seed := range byte(20) {
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(i*i)*seed + byte(i)*7
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := dice{data}
		cfg := d.config()
		p, err := Build(cfg, Inputs{})
		if err != nil {
			var fs config.Faults
			if p != nil || !errors.As(err, &fs) || len(fs) == 0 {
				t.Fatalf("plan %v with error %v", p, err)
			}
			return
		}
		if p.PPS*p.Interval.Seconds() > 50_000 {
			return // looking at each probe takes longer than the fuzzer waits
		}
		checkPlan(t, cfg, p)
	})
}

// BenchmarkBuild says what a target costs to plan and what it goes on holding,
// beside its configuration.
func BenchmarkBuild(b *testing.B) {
	for _, bench := range []struct {
		name, typ  string
		n, packets int
		groups     []int
	}{
		{"100000 in two groups", "TCPsyn", 100_000, 5, []int{0, 1}},
		{"1000000 pings", "ICMPping", 1_000_000, 1, []int{0}},
		{"1000000 SYNs", "TCPsyn", 1_000_000, 1, []int{0}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			cfg := configOf(func(c *config.Config) {
				c.Global.Interval = time.Minute
				c.Groups[0].SrcPortZ = 65009
				c.Groups = append(c.Groups, config.Group{Name: "h", SrcPortA: 65000, SrcPortZ: 65019})
				tg := c.Targets[0]
				tg.Type, tg.Groups, tg.NbPackets = bench.typ, bench.groups, bench.packets
				c.Targets = nil
				for i := range bench.n {
					tg.Name = fmt.Sprint("target-", i)
					tg.Destination = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
					c.Targets = append(c.Targets, tg)
				}
			})
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ReportAllocs()
			var p *Plan
			for b.Loop() {
				var err error
				if p, err = Build(cfg, Inputs{}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(bench.n), "heap-B/target")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bench.n), "ns/target")
			runtime.KeepAlive(cfg)
			runtime.KeepAlive(p)
		})
	}
}
