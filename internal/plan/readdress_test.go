// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// Planning a few targets anew comes to what planning all of them does, and
// finds the same faults.
func TestReaddress(t *testing.T) {
	cfg := &config.Config{
		File:   "netprobe.yaml",
		Global: config.Global{ProbeName: "p", Interval: time.Second},
		Groups: []config.Group{{Name: "g", SrcPortA: 65000, SrcPortZ: 65001}, {Name: "h", SrcPortA: 65002, SrcPortZ: 65003}},
		Safety: config.Safety{MaxPPS: 10_000, MaxPrefixPPS: 100},
	}
	add := func(name, destination string, packets int, groups ...int) {
		cfg.Targets = append(cfg.Targets, config.Target{Name: name, Type: "TCPsyn", DstPort: 80, Destination: destination, Family: "ipv4",
			NbPackets: packets, Timeout: time.Second, State: "None", Groups: groups})
	}
	add("off", "off.example", 1)
	add("one", "one.example", 20, 0, 1)
	add("literal", "192.0.2.1", 30, 0)
	add("subnet", "198.51.100.0/29", 4, 0)
	cfg.Targets[3].IsSubnet = true
	add("two", "two.example", 10, 0)
	before := map[string][]netip.Addr{"one": {netip.MustParseAddr("203.0.113.1")}}
	pl, err := Build(cfg, Inputs{Addrs: before})
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]Place{"one": {1, 0}, "two": {4, 3}}
	for name, c := range map[string]struct {
		one, two string // "": none
		fault    string
	}{
		"another address":     {"203.0.113.2", "203.0.113.3", ""},
		"none any more":       {"", "", ""},
		"to the same block":   {"192.0.2.2", "192.0.2.3", ""}, // 40 + 10 + 30 of 100
		"beside a subnet":     {"198.51.100.77", "", ""},      // 40 + 32
		"a block nearly full": {"198.51.100.77", "198.51.100.78", ""},
		"refused":             {"127.0.0.1", "", ""},
		"of the wrong family": {"2001:db8::1", "", "targets.one.address_family"},
	} {
		t.Run(name, func(t *testing.T) {
			now := map[string][]netip.Addr{}
			for target, addr := range map[string]string{"one": c.one, "two": c.two} {
				if addr != "" {
					now[target] = []netip.Addr{netip.MustParseAddr(addr)}
				}
			}
			whole, wholeErr := Build(cfg, Inputs{Addrs: now})
			part, warnings, err := pl.Readdress(cfg, Inputs{Addrs: now}, []Place{places["one"], places["two"]})
			if fmt.Sprint(err) != fmt.Sprint(wholeErr) {
				t.Fatalf("planned anew: %v; as a whole: %v", err, wholeErr)
			}
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("%v, want a fault of %s", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []*Target{whole.Targets[0], whole.Targets[3]}
			if diff := cmp.Diff(want, part, cmpopts.EquateComparable(netip.Addr{}), cmp.Comparer(func(a, b *probe.Type) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			for _, w := range warnings {
				if !strings.Contains(fmt.Sprint(whole.Warnings), w.String()) {
					t.Errorf("a warning that the whole plan does not have: %s", w)
				}
			}
		})
	}
	// A block's cap is that of all targets in it.
	cfg.Safety.MaxPrefixPPS = 75
	_, _, err = pl.Readdress(cfg, Inputs{Addrs: map[string][]netip.Addr{"one": {netip.MustParseAddr("198.51.100.77")}, "two": {netip.MustParseAddr("198.51.100.78")}}}, []Place{places["one"], places["two"]})
	if err == nil || !strings.Contains(err.Error(), "82 probes/s into 198.51.100.0/24 from 3 target(s) (most from one: 40)") {
		t.Errorf("got %v", err)
	}
}
