// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// What is said of a name does not depend on whether its target is in a group;
// thresholds and an address are those of probed targets.
func TestDescribeSwitchedOff(t *testing.T) {
	loss := 5.0
	target := func(name, destination string, groups ...int) config.Target {
		return config.Target{Name: name, Type: "ICMPping", Destination: destination, Family: "ipv4", NbPackets: 1, State: "None",
			Timeout: time.Second, Groups: groups, ThresholdLoss: &loss}
	}
	var p prober
	p.cfg = &config.Config{
		Global: config.Global{ProbeName: "p", Interval: time.Minute},
		Groups: []config.Group{{Name: "g", SrcPortA: 65000, SrcPortZ: 65001}},
		Safety: config.Safety{MaxPPS: 20_000, MaxPrefixPPS: 2_000},
		Targets: []config.Target{
			target("on", "192.0.2.1", 0), target("off", "192.0.2.2"), target("named", "host.example"),
			target("unknown", "nowhere.example"), target("waiting", "slow.example"),
		},
	}
	p.cfg.Targets = append(p.cfg.Targets, target("subnet", "192.0.2.0/30"))
	p.cfg.Targets[5].IsSubnet = true
	p.names.addrs = map[string][]netip.Addr{"named": {netip.MustParseAddr("192.0.2.3")}}
	p.names.changes = map[string]uint64{"named": 2}
	p.names.waiting = map[string]bool{"waiting": true}
	var err error
	if p.plan, err = plan.Build(p.cfg, plan.Inputs{Addrs: p.names.addrs}); err != nil {
		t.Fatal(err)
	}
	if len(p.plan.Targets) != 1 {
		t.Errorf("%d targets are planned", len(p.plan.Targets))
	}
	p.describe()
	want := map[string]struct {
		resolution metrics.Resolution
		changes    uint64
	}{
		"on": {metrics.Resolved, 1}, "off": {metrics.Resolved, 1}, "named": {metrics.Resolved, 2}, "subnet": {metrics.Resolved, 1},
		"unknown": {metrics.ResolutionFailed, 0}, "waiting": {metrics.ResolutionPending, 0},
	}
	for _, m := range p.names.shown() {
		if w := want[m.Destination]; m.Resolution != w.resolution || m.ResolutionChanges != w.changes {
			t.Errorf("%s: %+v, want %+v", m.Destination, m, w)
		}
		if probed := m.Destination == "on"; (m.Address != "") != probed || (len(m.Groups) > 0) != probed || (m.ThresholdLoss != nil) != probed {
			t.Errorf("%s: %+v", m.Destination, m)
		}
	}
}
