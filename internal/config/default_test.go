// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

func addrs(s ...string) []netip.Addr {
	var all []netip.Addr
	for _, a := range s {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestDefault(t *testing.T) {
	c, err := Default(Defaults{
		Hostname:  "Prober 1.Example_COM.",
		Gateways:  addrs("192.0.2.1", "fe80::1%eth0", "192.0.2.1"),
		Resolvers: addrs("127.0.0.53", "192.0.2.53", "169.254.169.254", "2001:db8::53", "::1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Global{ProbeName: "prober-1.example_com", Interval: 10 * time.Second, LoggingLevel: "INFO",
		PrometheusAddress: "127.0.0.1", PrometheusPort: 8000, Percentiles: []int{95, 50}}); !cmp.Equal(want, c.Global, comparable) {
		t.Errorf("got %+v", c.Global)
	}
	var got []string
	for _, target := range c.Targets {
		got = append(got, strings.Join([]string{target.Name, target.Type, target.Destination, target.Family}, " "))
		if diff := cmp.Diff([]int{0}, target.Groups); diff != "" || target.NbPackets != 1 || target.Timeout != time.Second {
			t.Errorf("got %+v", target)
		}
	}
	want := []string{
		"gateway-ipv4 ICMPping 192.0.2.1 ipv4",
		"gateway-ipv6 ICMPping fe80::1 ipv6",
		"resolver-ipv4-1 ICMPping 192.0.2.53 ipv4",
		"resolver-ipv4-2 ICMPping 169.254.169.254 ipv4",
		"resolver-ipv6-1 ICMPping 2001:db8::53 ipv6",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]netip.Prefix{netip.MustParsePrefix("fe80::1/128"), netip.MustParsePrefix("169.254.169.254/32")}, c.Safety.AllowRanges, comparable); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(c.Notices) != 2 || !strings.HasPrefix(c.Notices[0], "no configuration file (./netprobe.yaml or /etc/netprobe-xdp/netprobe.yaml): pinging gateway-ipv4 (192.0.2.1), ") {
		t.Errorf("got %q", c.Notices)
	}
	if got := c.Fault("r", "a", "targets", "gateway-ipv4").String(); got != "built-in configuration: targets.gateway-ipv4: r; a" {
		t.Errorf("got %s", got)
	}
}

func TestDefaultLayers(t *testing.T) {
	c, err := Default(Defaults{Options: Options{
		Settings: filepath.Join("testdata", "valid", "no-targets.settings.yaml"),
		Env:      []string{"NETPROBE_GLOBAL__PROMETHEUS_PORT=9000"},
		Flags:    flags(t, "--xdp-mode=native"),
	}, Hostname: "...", Gateways: addrs("192.0.2.1", "192.0.2.2")})
	if err != nil {
		t.Fatal(err)
	}
	if c.Global.ProbeName != "netprobe" || c.Global.PrometheusPort != 9000 || c.Engine.XDPMode != "native" || c.Engine.Tick != 2*time.Millisecond || c.Safety.MaxPPS != 50_000 {
		t.Errorf("got %+v %+v %+v", c.Global, c.Engine, c.Safety)
	}
	if c.Targets[0].Name != "gateway-ipv4-1" || c.Targets[1].Name != "gateway-ipv4-2" {
		t.Errorf("got %+v", c.Targets)
	}
	_, err = Default(Defaults{Options: Options{Env: []string{"NETPROBE_GLOBAL__INTERVAL=never"}}})
	if exitcode.Of(err) != exitcode.Config || !strings.HasPrefix(err.Error(), "environment: NETPROBE_GLOBAL__INTERVAL: read never") {
		t.Errorf("got %v", err)
	}
	if c, err = Default(Defaults{}); err != nil || len(c.Targets) != 0 || !strings.Contains(c.Notices[0], "pinging nothing, since") {
		t.Errorf("got %v, %+v", err, c)
	}
}
