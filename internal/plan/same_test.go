// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// Every setting that changes a probe changes the target; what is only said of a
// target does not.
func TestSameProbes(t *testing.T) {
	make2 := func(change func(*config.Config)) *Target {
		t.Helper()
		loss := 5.0
		cfg := &config.Config{
			Global: config.Global{ProbeName: "p", Interval: time.Minute},
			Engine: config.Engine{Pacing: "spread"},
			Groups: []config.Group{{Name: "a", SrcPortA: 65000, SrcPortZ: 65001}, {Name: "b", SrcPortA: 65100, SrcPortZ: 65101}},
			Safety: config.Safety{MaxPPS: 20_000, MaxPrefixPPS: 20_000},
			Targets: []config.Target{{Name: "t", Type: "TCPsyn", Destination: "192.0.2.1", Family: "ipv4", DstPort: 80, NbPackets: 4,
				DontFragment: true, Timeout: time.Second, State: "None", AlertLevel: "no_alert", ThresholdLoss: &loss, Groups: []int{0}}},
		}
		change(cfg)
		p, err := Build(cfg, Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Targets[0]
	}
	before := make2(func(*config.Config) {})
	target := func(change func(*config.Target)) func(*config.Config) {
		return func(c *config.Config) { change(&c.Targets[0]) }
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		same   bool
	}{
		"nothing":     {func(*config.Config) {}, true},
		"state":       {target(func(t *config.Target) { t.State = "validation" }), true},
		"alert_level": {target(func(t *config.Target) { t.AlertLevel = "paging" }), true},
		"threshold":   {target(func(t *config.Target) { t.ThresholdLoss = nil }), true},
		"percentile":  {func(c *config.Config) { c.Global.Percentiles = []int{50} }, true},
		"other group": {func(c *config.Config) { c.Groups[1].DSCP = 8 }, true},
		"other target": {func(c *config.Config) {
			c.Targets = append(c.Targets, c.Targets[0])
			c.Targets[1].Name, c.Targets[1].Groups = "u", []int{1}
		}, true},
		"type":             {target(func(t *config.Target) { t.Type = "UDPunreachable" }), false},
		"destination":      {target(func(t *config.Target) { t.Destination = "192.0.2.2" }), false},
		"dst_port":         {target(func(t *config.Target) { t.DstPort = 81 }), false},
		"nb_packets":       {target(func(t *config.Target) { t.NbPackets = 5 }), false},
		"ip_payload_size":  {target(func(t *config.Target) { t.IPPayloadSize = 100 }), false},
		"dont_fragment":    {target(func(t *config.Target) { t.DontFragment = false }), false},
		"timeout":          {target(func(t *config.Target) { t.Timeout = 2 * time.Second }), false},
		"joins a group":    {target(func(t *config.Target) { t.Groups = []int{0, 1} }), false},
		"another group":    {target(func(t *config.Target) { t.Groups = []int{1} }), false},
		"probe_name":       {func(c *config.Config) { c.Global.ProbeName = "q" }, false},
		"interval":         {func(c *config.Config) { c.Global.Interval = 30 * time.Second }, false},
		"interval_packets": {func(c *config.Config) { c.Global.IntervalPackets = time.Millisecond }, false},
		"pacing":           {func(c *config.Config) { c.Engine.Pacing = "burst" }, false},
		"dscp":             {func(c *config.Config) { c.Groups[0].DSCP = 8 }, false},
		"src_port_z":       {func(c *config.Config) { c.Groups[0].SrcPortZ = 65003 }, false},
		"group's name":     {func(c *config.Config) { c.Groups[0].Name = "c" }, false},
	} {
		var cmp Comparer
		after := make2(c.change)
		for range 2 { // the second time from memory
			if got := cmp.SameProbes(before, after); got != c.same {
				t.Errorf("%s: same %v, want %v", name, got, c.same)
			}
		}
	}
}

// Whoever adds a field to a target or a group decides whether it changes probes.
func TestSameProbesKnowsEveryField(t *testing.T) {
	for typ, want := range map[reflect.Type]int{reflect.TypeFor[Target](): 12, reflect.TypeFor[Group](): 6} {
		if typ.NumField() != want {
			t.Errorf("%s has %d fields and SameProbes was written for %d: let it compare the new one, or not, and correct this number", typ, typ.NumField(), want)
		}
	}
}
