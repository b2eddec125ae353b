// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestLargeSubnet: each of the 1,024 addresses of a /22 is probed and answers,
// and the target has no more series than any other.
func TestLargeSubnet(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if _, err := b.Host.Exec(t.Context(), lab.Tool(t, "ip", "iproute2"), "route", "add", "local", "10.0.0.0/22", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	a.Host.SetRoute("10.0.0.0/22", lab.Hop{Via: "192.0.2.2"})
	config := "global: {probe_name: lab, interval: 2, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: 8000, dns_update_interval: 0}\n" +
		groups + targets(`net: {type: ICMPping, destination: 10.0.0.0/22, is_subnet: true}`)
	place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config)).waitFor("msg=probing")
	now := measured(t, a.Host, usual, "icmp", "net")
	if n := len(now.all("icmp_sent_total")); n != 1 {
		t.Errorf("%d series", n)
	}
	answered := map[string]bool{}
	eventually(t, "every address answers", func() bool {
		text, err := fetch(a.Host, usual, "/-/worst?target=net&n=1000") // the most that are shown
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) { // target, address, sent, answered
			if f := strings.Fields(line); f[0] == "net" && f[2] == f[3] {
				answered[f[1]] = true
			}
		}
		return len(answered) >= 1000
	})
	v, _ := scrape(t, a.Host, usual).value("icmp_loss_total", "destination=net")
	if v != 0 {
		t.Errorf("%v lost", v)
	}
	for addr := range answered {
		if !netip.MustParsePrefix("10.0.0.0/22").Contains(netip.MustParseAddr(addr)) {
			t.Errorf("%s is not of the subnet", addr)
		}
	}
}

// TestSubnets: every address of a subnet, a range and a prefix of IPv6 is
// probed; each target has one set of series all the same; the addresses that
// answer worst are named to whoever asks.
func TestSubnets(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Host.UnlimitedICMP()
	const packets = 2
	seen := map[string]map[string]*lab.Filter{"net": {}, "range": {}, "six": {}} // what arrives, by target and address
	count := func(target, addr string, proto lab.Proto) {
		b.AddAddr(addr + map[bool]string{true: "/128", false: "/32"}[strings.Contains(addr, ":")])
		seen[target][addr] = b.Host.DropTurns(lab.Input, lab.Match{Proto: proto, To: addr}, 0, 1) // counts, drops nothing
	}
	for i := range 8 {
		count("net", fmt.Sprintf("198.51.100.%d", i), lab.ICMP)
		count("six", fmt.Sprintf("2001:db8:1::%d", i), lab.UDP)
		count("range", fmt.Sprintf("203.0.%d.%d", 112+i/4, 250+i%4), lab.TCP)
	}
	a.Host.SetRoute("198.51.100.0/24", lab.Hop{Via: "192.0.2.2"})
	a.Host.SetRoute("203.0.0.0/16", lab.Hop{Via: "192.0.2.2"})
	a.Host.SetRoute("2001:db8:1::/64", lab.Hop{Via: "2001:db8::2"})
	config := global(usual) + groups + targets(
		fmt.Sprintf(`net: {type: ICMPping, destination: 198.51.100.0/29, is_subnet: true, nb_packets: %d}`, packets),
		fmt.Sprintf(`range: {type: TCPsyn, destination: 203.0.112-113.250-253, dst_port: 81, nb_packets: %d, timeout: 0.3}`, packets),
		fmt.Sprintf(`six: {type: UDPunreachable, destination: "2001:db8:1::/125", is_subnet: true, dst_port: 33434, nb_packets: %d, timeout: 0.3}`, packets))
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("msg=probing")
	kinds := map[string]string{"net": "icmp", "range": "tcpsyn", "six": "udp_unreachable"}
	for target, kind := range kinds {
		measured(t, a.Host, usual, kind, target)
	}
	var now page
	eventually(t, "three rounds", func() bool {
		now = scrape(t, a.Host, usual)
		for target, kind := range kinds {
			if v, _ := now.value(kind+"_sent_total", "destination="+target); v < 3*8*packets {
				return false
			}
		}
		return true
	})
	for target, kind := range kinds {
		if n := len(now.all(kind+"_sent_total", "destination="+target)); n != 1 {
			t.Errorf("%s has %d series of sent probes, want 1 for all addresses", target, n)
		}
		now.want(t, 0, kind+"_loss_total", "destination="+target)
		sent, _ := now.value(kind+"_sent_total", "destination="+target)
		for addr, f := range seen[target] {
			c, err := f.Counts()
			if err != nil {
				t.Fatal(err)
			}
			if want := uint64(sent) / 8; c.Seen < want { // the round under way is not in the sum
				t.Errorf("%s: %d probes arrived at %s, want at least %d", target, c.Seen, addr, want)
			}
		}
	}
	now.want(t, 1, "netprobe_target_info", "destination=range", "address=203.0.112-113.250-253", "port=81")

	// One address falls silent: the target is lossy, and the address is named.
	b.Host.DropAll(lab.Input, lab.Match{Proto: lab.ICMP, To: "198.51.100.5"})
	eventually(t, "a round with a silent address", func() bool {
		v, _ := scrape(t, a.Host, usual).value("icmp_loss_ratio", "destination=net")
		return v == 1.0/8
	})
	for _, query := range []string{"", "?target=net", "?n=1", "?target=net&n=1"} {
		eventually(t, "the silent address is named first by /-/worst"+query, func() bool {
			text, err := fetch(a.Host, usual, "/-/worst"+query)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if strings.Contains(query, "n=1") && len(lines) != 2 {
				t.Fatalf("%d lines, want a heading and one: %s", len(lines), text)
			}
			return len(lines) > 1 && strings.HasPrefix(lines[1], "net ") && strings.Contains(lines[1], " 198.51.100.5 ")
		})
	}
	for query, want := range map[string]string{"?target=nobody": "404", "?n=0": "400", "?n=many": "400", "?n=1001": "400"} {
		if text, err := fetch(a.Host, usual, "/-/worst"+query); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v %s; want %s", query, err, text, want)
		}
	}
}
