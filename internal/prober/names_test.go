// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// What is said of a name does not depend on whether its target is in a group;
// thresholds are those of targets that are probed or were; an address is that of
// a probed one.
func TestDescribe(t *testing.T) {
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
			target("unknown", "nowhere.example"), target("waiting", "slow.example"), target("subnet", "192.0.2.0/30"),
			target("self", "192.0.2.9", 0), target("up", "up.example", 0), target("down", "down.example", 0),
			target("kept", "kept.example", 0), target("never", "never.example", 0),
		},
	}
	p.cfg.Targets[5].IsSubnet = true
	addr := netip.MustParseAddr("192.0.2.3")
	p.names.hosts = map[string]resolve.Name{}
	for _, n := range resolve.Names(p.cfg) {
		p.names.hosts[n.Target] = n
	}
	p.names.refresher = resolve.New(slog.New(slog.DiscardHandler), nil).Refresh(t.Context(), nil)
	p.names.addrs = map[string][]netip.Addr{"named": {addr}, "up": {addr}, "kept": {addr}}
	p.names.changes = map[string]uint64{"named": 2, "up": 1, "down": 3, "kept": 4}
	p.names.failing = map[string]bool{"unknown": true, "down": true, "kept": true, "never": true}
	p.names.waiting = map[string]bool{"waiting": true}
	var err error
	p.plan, err = plan.Build(p.cfg, plan.Inputs{Addrs: p.names.addrs, Self: func(a netip.Addr) bool { return a.String() == "192.0.2.9" }})
	if err != nil {
		t.Fatal(err)
	}
	p.describe()
	want := map[string]struct {
		resolution         metrics.Resolution
		changes            uint64
		probed, thresholds bool
	}{
		"on": {metrics.Resolved, 1, true, true}, "off": {metrics.Resolved, 1, false, false}, "subnet": {metrics.Resolved, 1, false, false},
		"named": {metrics.Resolved, 2, false, false}, "unknown": {metrics.ResolutionFailed, 0, false, false}, "waiting": {metrics.ResolutionPending, 0, false, false},
		"self": {metrics.Resolved, 0, false, false}, "up": {metrics.Resolved, 1, true, true}, "never": {metrics.ResolutionFailed, 0, false, false},
		"down": {metrics.ResolutionFailed, 3, false, true}, // its alert rules still find what to compare with
		"kept": {metrics.ResolutionFailed, 4, true, true},
	}
	for _, m := range p.names.shown() {
		w := want[m.Destination]
		if m.Resolution != w.resolution || m.ResolutionChanges != w.changes || (m.Address != "") != w.probed || (len(m.Groups) > 0 && m.ThresholdLoss != nil) != w.thresholds {
			t.Errorf("%s: %+v, want %+v", m.Destination, m, w)
		}
	}
	if len(p.names.shown()) != len(want) {
		t.Errorf("%d targets are described, want %d", len(p.names.shown()), len(want))
	}
}
