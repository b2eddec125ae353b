// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

var comparable = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b secret.Text) bool { return a == b }),
	cmpopts.IgnoreUnexported(Config{}),
	cmpopts.EquateEmpty(),
}

func mustLoad(t *testing.T, opts Options) *Config {
	t.Helper()
	c, err := Load(opts)
	if err != nil {
		t.Fatalf("load %s: %v", opts.File, err)
	}
	return c
}

func number(f float64) *float64 { return &f }

func TestEveryKey(t *testing.T) {
	file := filepath.Join("testdata", "valid", "everything.yaml")
	got := mustLoad(t, Options{File: file})
	first := Group{
		Name: "first", SrcIPv4: netip.MustParseAddr("192.0.2.10"), SrcIPv6: netip.MustParseAddr("2001:db8::10"),
		SrcSubnetIPv4: netip.MustParsePrefix("192.0.2.0/29"), SrcSubnetIPv6: netip.MustParsePrefix("2001:db8::/120"),
		SrcPortA: 65100, SrcPortZ: 65199, IPPayloadSize: 64, DSCP: 46, PermitAutoRegister: true,
	}
	ping := func(name, destination, family string) Target {
		return Target{Name: name, Description: name, Type: "ICMPping", Destination: destination, Family: family,
			DontFragment: true, NbPackets: 1, AlertLevel: "no_alert", State: "None", Timeout: time.Second,
			DNSUpdateInterval: 300 * time.Second, Groups: []int{0, 2}}
	}
	one := ping("one", "2001:db8::2/128", "ipv6")
	one.IsSubnet = true
	want := &Config{
		File: file,
		Global: Global{
			ProbeName: "probe-1.example_a", Interval: 30 * time.Second, IntervalPackets: 50 * time.Millisecond, LoggingLevel: "DEBUG",
			PrometheusAddress: "127.0.0.1", PrometheusPort: 9000, DNSUpdateInterval: 300 * time.Second, ReloadConfInterval: time.Hour,
			Percentiles: []int{99, 95, 50}, DisableDynamicInventories: []string{"inventory_a", "inventory_b"},
		},
		Groups: []Group{
			first,
			{Name: "second", SrcIPv4: netip.MustParseAddr("192.0.2.11"), SrcPortA: 65000, SrcPortZ: 65001},
			{Name: "3", SrcPortA: 100, SrcPortZ: 65001, PermitAutoRegister: true},
		},
		Targets: []Target{
			{Name: "web", Description: "the front door", Type: "TCPsyn", Destination: "www.example.com", Family: "ipv6", DstPort: 443,
				NbPackets: 10, IPPayloadSize: 1000, ThresholdLatency: number(0.5), ThresholdLoss: number(10), AlertLevel: "paging",
				State: "in production", Timeout: 250 * time.Millisecond, DNSUpdateInterval: time.Minute, Groups: []int{0, 1}},
			{Name: "net", Description: "net", Type: "UDPunreachable", Destination: "198.51.100.0/30", Family: "ipv4", DontFragment: true,
				IsSubnet: true, DstPort: 33434, NbPackets: 1, AlertLevel: "no_alert", State: "validation", Timeout: time.Second,
				DNSUpdateInterval: 300 * time.Second, Groups: []int{1}},
			ping("6.example", "2001:db8::1", "ipv6"),
			one,
			ping("4", "host.example.", "ipv4"),
		},
		Engine:  Engine{Pacing: "spread", Tick: time.Millisecond, XDPMode: "auto", Bind: "copy"},
		Safety:  Safety{MaxPPS: 20_000, MaxPrefixPPS: 2_000},
		Metrics: Metrics{MaxSeries: 200_000},
		History: History{Memory: 64 << 20},
		Push:    Push{Interval: 15 * time.Second, Timeout: 10 * time.Second, Buffer: 64 << 20},
		API:     API{Socket: "/run/netprobe-xdp/api.sock"},
		Notices: []string{
			"accepted and no longer needed: global.nb_proc, global.verbose, global.l3_raw_socket, global.timeout",
			"ip_payload_size is raised where it is too small for the header and the token that tells our probes apart: " +
				"ICMPping at least 16 (raised for 3), UDPunreachable at least 16 (raised for 1)",
		},
		Warnings: []Fault{
			{File: file, Line: 28, Key: "groups.second.src_ip", Read: "is deprecated", Allowed: "rename it to src_ipv4"},
			{File: file, Line: 49, Key: "targets.web.explicit_groups.exclude_from", Read: "there is no group nobody; ignored", Allowed: "name a group of the section groups"},
		},
	}
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A target in no group is switched off, not wrong.
func TestSwitchedOff(t *testing.T) {
	for file, want := range map[string][]string{
		"switched-off.yaml": {
			":12: targets.excluded: in no group, and so it is not probed; exclude_from takes away the last one",
			":16: targets.both: in no group, and so it is not probed; exclude_from takes away the last one",
			":22: targets.alone: in no group, and so it is not probed; name one in explicit_groups.register_to, or leave out auto_register_to_groups: false, to probe it",
		},
		"switched-off-all.yaml": {
			":11: targets.web: in no group, and so it is not probed; every group has permit_target_auto_register: false; name one in explicit_groups.register_to to probe it",
		},
	} {
		file = filepath.Join("testdata", "valid", file)
		c := mustLoad(t, Options{File: file})
		var got []string
		for _, w := range c.Warnings {
			got = append(got, strings.TrimPrefix(w.String(), file))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for _, target := range c.Targets {
			if off := target.Name != "probed"; off != (len(target.Groups) == 0) {
				t.Errorf("%s is in %v", target.Name, target.Groups)
			}
		}
	}
}

// The same configuration in YAML with all its means and in plain JSON with tabs.
func TestYAMLAndJSON(t *testing.T) {
	fromYAML := mustLoad(t, Options{File: filepath.Join("testdata", "valid", "yaml.yaml")})
	fromJSON := mustLoad(t, Options{File: filepath.Join("testdata", "valid", "yaml.json")})
	if diff := cmp.Diff(fromYAML, fromJSON, comparable, cmpopts.IgnoreFields(Config{}, "File")); diff != "" {
		t.Errorf("-yaml +json:\n%s", diff)
	}
	g := fromYAML.Global
	if g.Interval != 15*time.Second || g.PrometheusPort != 1000 || g.IntervalPackets != 100*time.Millisecond || g.DNSUpdateInterval != 0 {
		t.Errorf("017, 1_000, '0.1', -1 became %v, %d, %v, %v", g.Interval, g.PrometheusPort, g.IntervalPackets, g.DNSUpdateInterval)
	}
	if diff := cmp.Diff([]int{95, 50}, g.Percentiles); diff != "" {
		t.Errorf("percentile null: -want +got:\n%s", diff)
	}
	packets := map[string]int{"base": 1, "merged": 3, "same": 1, "listed": 5, "tagged": 7, "folded": 1}
	for _, target := range fromYAML.Targets {
		if target.NbPackets != packets[target.Name] {
			t.Errorf("%s: nb_packets %d, want %d", target.Name, target.NbPackets, packets[target.Name])
		}
	}
	listed, folded := fromYAML.Targets[3], fromYAML.Targets[5]
	if listed.DstPort != 2 || listed.Timeout != time.Millisecond {
		t.Errorf("listed: port %d, timeout %v", listed.DstPort, listed.Timeout)
	}
	if diff := cmp.Diff([]int{0}, folded.Groups); diff != "" || folded.Destination != "192.0.2.3" || *folded.ThresholdLatency != 0.01 || folded.ThresholdLoss != nil {
		t.Errorf("folded: %+v", folded)
	}
}

func TestOurSections(t *testing.T) {
	file := filepath.Join("testdata", "valid", "no-targets.yml")
	c := mustLoad(t, Options{File: file})
	if diff := cmp.Diff(Engine{Pacing: "burst", Tick: 500 * time.Microsecond, XDPMode: "generic", Bind: "auto", Workers: 2, Pinning: []int{3, 0}, DNSKeep: time.Hour, Interfaces: []string{"eth1", "eth2"}, ReloadOnChange: true}, c.Engine); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := Safety{MaxPPS: 1, MaxPrefixPPS: 100_000_000, ForeignSource: true,
		AllowRanges: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.1.1/32"), netip.MustParsePrefix("fe80::/10")}}
	if diff := cmp.Diff(want, c.Safety, comparable); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Metrics{MaxSeries: 5, Histograms: []string{"all"}}, c.Metrics); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(c.Targets) != 0 || len(c.Global.Percentiles) != 0 || len(c.Notices) != 0 {
		t.Errorf("got %+v", c)
	}

	// In a file of their own, the rest staying default.
	file = filepath.Join("testdata", "valid", "everything.yaml")
	settings := filepath.Join("testdata", "valid", "no-targets.settings.yaml")
	c = mustLoad(t, Options{File: file, Settings: settings})
	if c.Engine.Tick != 2*time.Millisecond || c.Engine.Pacing != "spread" || c.Safety.MaxPPS != 50_000 || c.Settings != settings {
		t.Errorf("got %+v, %+v", c.Engine, c.Safety)
	}
	if got, want := c.Fault("read 1", "allowed: 2", "safety", "max_pps").String(), settings+":4: safety.max_pps: read 1; allowed: 2"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Later packages find the line of what they complain about.
func TestFaultPosition(t *testing.T) {
	file := filepath.Join("testdata", "valid", "everything.yaml")
	c := mustLoad(t, Options{File: file, Env: []string{"NETPROBE_GLOBAL__INTERVAL=5"}})
	for _, tt := range []struct {
		want string
		path []string
	}{
		{file + ":38: targets.web.dst_port: r; a", []string{"targets", "web", "dst_port"}},
		{file + ":58: targets.6.example.timeout: r; a", []string{"targets", "6.example", "timeout"}},
		{file + ":19: groups.first.src_ipv4: r; a", []string{"groups", "first", "src_ipv4"}},
		{file + ":18: groups.first: r; a", []string{"groups", "first"}},
		{file + ": safety.max_pps: r; a", []string{"safety", "max_pps"}},
		{"environment: NETPROBE_GLOBAL__INTERVAL: r; a", []string{"global", "interval"}},
		{file + ": r; a", nil},
	} {
		if got := c.Fault("r", "a", tt.path...).String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// Anchors that merge one another must cost neither time nor memory without end.
func TestMergeBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("targets:\n  t0: &t0 {k0: 1}\n")
	for i := 1; i < 6000; i++ {
		n := "t" + strconv.Itoa(i)
		b.WriteString("  " + n + ": &" + n + " {<<: *t" + strconv.Itoa(i-1) + ", k" + strconv.Itoa(i) + ": 1}\n")
	}
	file := filepath.Join(t.TempDir(), "bomb.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{File: file})
	if err == nil || !strings.Contains(err.Error(), "merge keys add up to more than") {
		t.Errorf("got %.300v", err)
	}
}
