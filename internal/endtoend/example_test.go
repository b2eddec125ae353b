// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// example has every key and value of the example that netprobify comes with,
// in its names and its mistake: the target that is called ipv6 is of ipv4, and so
// sends from the same ports to the same address as another.
const example = `---
global: {probe_name: "test", interval: 30, nb_proc: 8, verbose: 0, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 300, reload_conf_interval: 0}
groups:
  transit1: {src_port_a: 65000, src_port_z: 65099, dscp: 11}
  transit2: {src_port_a: 65100, src_port_z: 65199, dscp: 11}
  standard: {src_port_a: 65100, src_port_z: 65199}
targets:
  google_ipv4: {description: "google_search", type: "TCPsyn", destination: "google.com", address_family: "ipv4", dst_port: 443, nb_packets: 100, timeout: 1, threshold: {latency: 0.100, loss: 0.010}}
  google_ipv6: {description: "google_search", type: "TCPsyn", destination: "google.com", address_family: "ipv4", dst_port: 443, nb_packets: 100, timeout: 1, threshold: {latency: 0.100, loss: 0.010}}
  bing: {description: "bing_search", type: "TCPsyn", destination: "bing.com", dst_port: 443, nb_packets: 100, timeout: 1}
`

// TestNetprobifyExample: netprobify's example is accepted as it is, and runs; in
// shorter rounds here.
func TestNetprobifyExample(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if _, err := b.Host.ListenTCP("192.0.2.2:443", lab.Discard); err != nil {
		t.Fatal(err)
	}
	dns := serveNames(t, b.Host, "192.0.2.2")
	dns.set("google.com", "192.0.2.2")
	dns.set("bing.com", "192.0.2.2")
	config := file(t, "config.yaml", example)
	if got := (place{}).run(t, "check", config); got.code != exitcode.OK {
		t.Errorf("check: %+v", got)
	}
	p := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}, env: []string{"NETPROBE_GLOBAL__INTERVAL=4"}}.
		start(t, "run", "--iface", a.Name, "--config", config)
	p.waitFor("msg=probing")
	var now page
	eventually(t, "two rounds", func() bool {
		now = scrape(t, a.Host, usual)
		all := now.all("tcpsyn_sent_total")
		for _, s := range all {
			if s.value < 200-10 { // the next hop has to be found first
				return false
			}
		}
		return len(all) == 3*3
	})
	for _, s := range now.all("tcpsyn_sent_total", "probe_name=test") {
		at := []string{"destination=" + s.labels["destination"], "group=" + s.labels["group"], "address_family=ipv4", "state=None"}
		now.want(t, 0, "tcpsyn_loss_total", at...)
		now.want(t, 0, "tcpsyn_loss_ratio", at...)
		for _, percentile := range []string{"95", "50"} {
			if v, ok := now.value("tcpsyn_round_trip_seconds", append(at, "percentile="+percentile)...); !ok || v <= 0 {
				t.Errorf("%v: percentile %s is %v", at, percentile, v)
			}
		}
		if s.labels["destination"] != "bing" {
			now.want(t, 0.1, "threshold", at[0], at[1], "type=latency", "alert_level=no_alert")
			now.want(t, 0.01, "threshold", at[0], at[1], "type=loss", "alert_level=no_alert")
		}
	}
	if all := now.all("threshold", "destination=bing"); all != nil {
		t.Errorf("thresholds of a target without: %v", all)
	}
}
