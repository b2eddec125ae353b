// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// faulty checks that both run and check refuse a configuration with these faults,
// one a line, each with these words.
func faulty(t *testing.T, e *lab.End, config string, faults ...string) {
	t.Helper()
	for _, args := range [][]string{
		{"run", "--iface", e.Name, "--config", config},
		{"check", config, "--iface", e.Name},
	} {
		got := place{host: e.Host}.run(t, args...)
		lines := got.errorLines(t, config)
		if got.code != exitcode.Config || len(lines) != len(faults) {
			t.Errorf("%s: exit code %d, %d errors, want %d with code 65:\n%s", args[0], got.code, len(lines), len(faults), got.stderr)
			continue
		}
		for i, want := range faults {
			if _, said, _ := strings.Cut(strings.TrimPrefix(lines[i], config), ": "); !strings.Contains(said, want) {
				t.Errorf("%s: got %q, want %q", args[0], lines[i], want)
			}
		}
		nothingLeft(t, e, e.Host, usual)
	}
}

// TestCaps: a plan above a cap is refused and the key named; raised by name it
// runs.
func TestCaps(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	many := func(n int) string {
		return global(usual) + groups + targets(fmt.Sprintf(`six: {type: ICMPping, destination: "2001:db8::2", nb_packets: %d, timeout: 0.3}`, n))
	}
	spread := func(n int) string { // over twenty /24s
		var lines []string
		for i := range 20 {
			lines = append(lines, fmt.Sprintf("t%d: {type: ICMPping, destination: 10.0.%d.1, nb_packets: %d, timeout: 0.3}", i, i, n))
		}
		return global(usual) + groups + targets(lines...)
	}
	faulty(t, a, file(t, "netprobe.yaml", many(2001)), "safety.max_prefix_pps: the plan asks for 2001 probes/s into 2001:db8::/48")
	faulty(t, a, file(t, "netprobe.yaml", spread(1001)), "safety.max_pps: the plan asks for 20020 probes/s")
	faulty(t, a, file(t, "netprobe.yaml", many(20001)), "safety.max_pps: ", "safety.max_prefix_pps: ")
	faulty(t, a, file(t, "netprobe.yaml", many(501)+"safety: {max_prefix_pps: 500}\n"), "safety.max_prefix_pps: ")

	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", many(2001)), "--settings", file(t, "settings.yaml", "safety: {max_prefix_pps: 2001}\n"))
	p.waitFor("probes_per_second=2001")
	measured(t, a.Host, usual, "icmp", "six")
}

// TestRanges: addresses that no probe should go to are refused, each with its
// target, unless safety.allow_ranges names them; then they are measured.
func TestRanges(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	refused := []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.2", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:192.0.2.2", "fe80::1", "ff02::1",
	}
	var lines, faults []string
	for i, addr := range refused {
		lines = append(lines, fmt.Sprintf("t%d: {type: ICMPping, destination: %q}", i, addr))
		faults = append(faults, fmt.Sprintf("targets.t%d.destination: %s is in ", i, addr))
	}
	faulty(t, a, file(t, "netprobe.yaml", global(usual)+groups+targets(lines...)), faults...)
	faulty(t, a, file(t, "netprobe.yaml", global(usual)+groups+targets(`below: {type: ICMPping, destination: 126.255.255.0/24, is_subnet: true}`, `loop: {type: ICMPping, destination: 127.0.0.0/30, is_subnet: true}`)),
		"targets.loop.destination: 127.0.0.0/30 overlaps 127.0.0.0/8")

	a.AddAddr("169.254.1.1/16")
	b.AddAddr("169.254.1.2/16")
	allowed := global(usual) + groups + targets(
		`four: {type: ICMPping, destination: 169.254.1.2, nb_packets: 10, timeout: 0.3}`,
		`six: {type: ICMPping, destination: "`+b.LinkLocal().String()+`", nb_packets: 10, timeout: 0.3}`)
	p := place{host: a.Host, env: []string{"NETPROBE_SAFETY__ALLOW_RANGES=169.254.0.0/16,fe80::/10"}}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", allowed))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
}

// TestForeignSource: a source address that is not this host's is refused unless
// safety.foreign_source allows it; then answers to it are measured.
func TestForeignSource(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	config := strings.Replace(pings(usual), "src_port_a", `src_ipv4: 192.0.2.77, src_ipv6: "2001:db8::77", src_port_a`, 1)
	faulty(t, a, file(t, "netprobe.yaml", config),
		"groups.g.src_ipv4: source address 192.0.2.77 is not local", "groups.g.src_ipv6: source address 2001:db8::77 is not local")

	b.SetNeighbour("192.0.2.77", a.MAC) // nobody answers for them
	b.SetNeighbour("2001:db8::77", a.MAC)
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config+"safety: {foreign_source: true}\n"))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
}
