// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestRateLimitAdvice: a Linux host as it comes answers only some of the UDP
// probes and all of the others, and with what docs/netprobify.md advises it
// answers all.
func TestRateLimitAdvice(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, "shipped")
	prober, far := l.Host("prober"), l.Host("far")
	near, _ := l.Connect(prober, far, lab.Link{A: []string{"192.0.2.1/24", "2001:db8::1/64"}, B: []string{"192.0.2.2/24", "2001:db8::2/64"}})
	config := write(t, t.TempDir(), "netprobe.yaml", []byte(`
global: {probe_name: lab, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: 8000, dns_update_interval: 0}
groups: {g: {}}
targets:
  udp4: {type: UDPunreachable, destination: 192.0.2.2, dst_port: 33434, nb_packets: 200, timeout: 0.3}
  udp6: {type: UDPunreachable, destination: "2001:db8::2", dst_port: 33434, nb_packets: 200, timeout: 0.3}
  ping4: {type: ICMPping, destination: 192.0.2.2, nb_packets: 200, timeout: 0.3}
  ping6: {type: ICMPping, destination: "2001:db8::2", nb_packets: 200, timeout: 0.3}
`))
	p, err := prober.Start(t.Context(), binary, "run", "--iface", near.Name, "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Wait() // killed by the end of the test's context
		if t.Failed() {
			t.Logf("the program said:\n%s", p.Stderr())
		}
	})
	var last string
	lost := func(kind, target string) (ratio float64, ok bool) {
		page, err := get(prober, "http://127.0.0.1:8000/metrics")
		if err != nil {
			return 0, false
		}
		m := regexp.MustCompile(kind + `_loss_ratio\{[^}]*destination="` + target + `"[^}]*\} (\S+)`).FindStringSubmatch(page)
		if m == nil {
			return 0, false
		}
		last = m[0]
		_, err = fmt.Sscan(m[1], &ratio)
		return ratio, err == nil
	}
	defer func() {
		if t.Failed() {
			t.Log("last seen: ", last)
		}
	}()
	for _, family := range []string{"4", "6"} {
		eventually(t, "UDP probes that are lost over IPv"+family, func() bool {
			ratio, ok := lost("udp_unreachable", "udp"+family)
			return ok && ratio > 0.5
		})
		eventually(t, "pings that are not", func() bool {
			ratio, ok := lost("icmp", "ping"+family)
			return ok && ratio == 0
		})
	}
	for _, line := range advice(t) {
		key, value, _ := strings.Cut(line, "=")
		far.Sysctl(key, value)
	}
	for _, family := range []string{"4", "6"} {
		eventually(t, "no more loss over IPv"+family, func() bool {
			ratio, ok := lost("udp_unreachable", "udp"+family)
			return ok && ratio == 0
		})
	}
}

// advice is what docs/netprobify.md has people set on targets: key=value.
func advice(t *testing.T) []string {
	t.Helper()
	doc := string(read(t, "..", filepath.Join("docs", "netprobify.md")))
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^    sysctl -w (net\.\S+=\S+)`).FindAllStringSubmatch(doc, -1) {
		all = append(all, m[1])
	}
	if len(all) != 2 {
		t.Fatalf("docs/netprobify.md advises %q, want a line for each family", all)
	}
	return all
}
