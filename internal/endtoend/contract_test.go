// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContractIsServed: the running program serves every series of netprobify
// with exactly its labels, and of the others those that docs/metrics.md lists;
// none beside these.
func TestContractIsServed(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.Host.UnlimitedICMP()
	serveNames(t, b.Host, "192.0.2.2").set("name.test", "192.0.2.2")
	const more = `, nb_packets: 10, timeout: 0.3, threshold: {latency: 0.1, loss: 1}`
	text := global(usual) + "groups: {g: {src_port_a: 65000, src_port_z: 65009}, h: {src_port_a: 65010, src_port_z: 65019}}\n" + targets(
		`tcp: {type: TCPsyn, destination: 192.0.2.2, dst_port: 81, state: in production`+more+`}`,
		`icmp: {type: ICMPping, destination: name.test`+more+`}`,
		`udp: {type: UDPunreachable, destination: "2001:db8::2", dst_port: 33434, alert_level: paging`+more+`}`,
		`nobody: {type: TCPsyn, destination: 192.0.2.99, dst_port: 81, timeout: 0.3}`) + // not sent at first, and then lost
		"inventories: {racks: {file: racks.jsonl}}\nmetrics: {histograms: [icmp]}\n"
	const rack = `{"hostname": "web", "type": "ICMPping", "destination": "192.0.2.2", "groups": ["g"]}` + "\n"
	dir := folder(t, map[string]string{"netprobe.yaml": text, "racks.jsonl": rack + rack + rack})
	p := place{host: a.Host, etc: map[string]string{"resolv.conf": "nameserver 192.0.2.2\n"}}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("msg=probing")
	var now page
	eventually(t, "a whole round of every target", func() bool {
		now = scrape(t, a.Host, usual)
		series := len(now.all("tcpsyn_loss_ratio")) + len(now.all("icmp_loss_ratio")) + len(now.all("udp_unreachable_loss_ratio"))
		return series == 4*2+1 && now.all("app_iteration_time_seconds") != nil
	})
	served, err := fetch(a.Host, usual, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	now = parse(t, served)

	promised, err := os.ReadFile("../metrics/testdata/contract.txt")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{} // by family
	for line := range strings.Lines(string(promised)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		name, typ, help := f[0], f[1], f[3]
		labels[name] = strings.Split(f[2], ",")
		if !strings.Contains(served, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+typ+"\n") {
			t.Errorf("the page lacks HELP or TYPE of %s", name)
		}
		if now.all(name) == nil {
			t.Errorf("the page has no series %s", name)
		}
	}
	for name, its := range labels {
		slices.Sort(its)
		for _, s := range now.all(name) {
			if got := slices.Sorted(maps.Keys(s.labels)); !slices.Equal(got, its) {
				t.Errorf("%s has the labels %v, want %v", name, got, its)
			}
		}
	}
	own := documented(t)
	for _, s := range now {
		if _, known := labels[s.name]; known || strings.HasPrefix(s.name, "process_") {
			continue
		}
		name := regexp.MustCompile(`^(netprobe_round_trip_seconds)_(bucket|sum|count)$`).ReplaceAllString(s.name, "$1")
		its, known := own[name]
		if !known {
			t.Errorf("%s is neither netprobify's nor in docs/reference/metrics.md", name)
		}
		for l := range s.labels {
			if !slices.Contains(its, l) {
				t.Errorf("%s has a label %s, which docs/reference/metrics.md does not list", name, l)
			}
		}
	}

	// Alive, and true.
	for _, kind := range []string{"tcp", "icmp", "udp"} {
		series := map[string]string{"tcp": "tcpsyn", "icmp": "icmp", "udp": "udp_unreachable"}[kind]
		for _, group := range []string{"group=g", "group=h"} {
			if v, ok := now.value(series+"_sent_total", "destination="+kind, group); !ok || v < 1 {
				t.Errorf("%s: %v sent", kind, v)
			}
			now.want(t, 0, series+"_loss_total", "destination="+kind, group)
			now.want(t, 0, "app_time_ooo_total", "destination="+kind, group)
			now.want(t, 0.1, "threshold", "destination="+kind, group, "type=latency")
			now.want(t, 1, "threshold", "destination="+kind, group, "type=loss")
		}
		now.want(t, 1, "app_host_resolution_status", "destination="+kind)
		now.want(t, 1, "app_host_resolution_change_total", "destination="+kind)
	}
	now.want(t, 0, "tcpsyn_match_ack_fail_count", "destination=tcp")
	now.want(t, 2, "app_target_name_dup_total", "target_name=racks_web")
	now.want(t, 0, "app_process_timed_out_total")
	now.want(t, 0, "app_reload_conf_failed_status")
	if v, ok := now.value("app_iteration_time_seconds"); !ok || v < 0 || v > 30 {
		t.Errorf("app_iteration_time_seconds is %v", v)
	}
	if v, ok := now.value("app_host_resolution_duration"); !ok || v <= 0 || v > 30 {
		t.Errorf("app_host_resolution_duration is %v", v)
	}

	// A list that is read again counts again.
	if err := os.WriteFile(filepath.Join(dir, "racks.jsonl"), []byte(rack+rack), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one more target with a name that there is", func() bool {
		v, _ := scrape(t, a.Host, usual).value("app_target_name_dup_total", "target_name=racks_web")
		return v == 3
	})
}

// documented reads which labels docs/reference/metrics.md gives our own series.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(netprobe_[a-z_]+)` \\| [a-z0-9, ]+ \\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		its := strings.ReplaceAll(strings.ReplaceAll(m[2], "`", ""), "target labels", "probe_name, destination, address_family, state, group")
		all[m[1]] = strings.Split(strings.TrimSpace(its), ", ")
	}
	return all
}
