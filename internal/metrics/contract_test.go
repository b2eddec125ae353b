// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// contractFile is what dashboards and alert rules written for netprobify rely on:
// name, type, labels and help, written down by hand, because it must not follow the
// code. app_host_resolution_duration is of a fork of netprobify that is in use.
const contractFile = "testdata/contract.txt"

type promised struct{ name, typ, labels, help string }

func contract(t *testing.T) (all []promised) {
	t.Helper()
	text, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		all = append(all, promised{f[0], f[1], f[2], f[3]})
	}
	return all
}

// ownPrefixes are the names that are not netprobify's.
var ownPrefixes = []string{"netprobe_", "process_"}

func TestContract(t *testing.T) {
	got, all := parse(t, get(t, New(sample()))), contract(t)
	for _, c := range all {
		f := got[c.name]
		if f == nil {
			t.Errorf("%s is missing", c.name)
			continue
		}
		if f.typ != c.typ || f.help != c.help {
			t.Errorf("%s: TYPE %q HELP %q, want %q %q", c.name, f.typ, f.help, c.typ, c.help)
		}
		if l := strings.Join(f.labels, ","); l != c.labels {
			t.Errorf("%s: labels %q, want %q", c.name, l, c.labels)
		}
	}
	for name, f := range got {
		if f.help == "" || f.typ != "counter" && f.typ != "gauge" && f.typ != "histogram" {
			t.Errorf("%s: HELP %q TYPE %q", name, f.help, f.typ)
		}
		known := slices.ContainsFunc(all, func(c promised) bool { return c.name == name })
		own := slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if known == own {
			t.Errorf("%s: neither netprobify's nor ours", name)
		}
		if name != targetInfo.name && slices.ContainsFunc(f.labels, func(l string) bool { return l == "address" || l == "port" }) {
			t.Errorf("%s: an address or port is a label", name)
		}
	}
}

// The values that netprobify would show for the same rounds.
func TestValues(t *testing.T) {
	got := parse(t, get(t, New(sample())))
	web := five("web.example", "ipv4", "in production", "transit1")
	want(t, got, "tcpsyn_sent_total", web, "6")
	want(t, got, "tcpsyn_loss_total", web, "1")
	want(t, got, "tcpsyn_loss_ratio", web, "0")
	want(t, got, "tcpsyn_round_trip_seconds", with(web, "percentile", "95"), "0.00025")
	want(t, got, "tcpsyn_round_trip_seconds", with(web, "percentile", "50"), "0.00025")
	want(t, got, "netprobe_duplicates_total", web, "1")
	want(t, got, "netprobe_late_total", web, "1")
	want(t, got, "netprobe_icmp_errors_total", with(with(web, "type", "3"), "code", "13"), "2")
	want(t, got, "netprobe_icmp_errors_total", with(with(web, "type", "11"), "code", "0"), "1")
	want(t, got, "netprobe_jitter_seconds", web, "0")
	want(t, got, "netprobe_round_trip_min_seconds", web, "0.00025")
	want(t, got, "netprobe_round_trip_max_seconds", web, "0.00025")
	want(t, got, "netprobe_reordered_total", web, "1")
	want(t, got, "netprobe_ttl_changes_total", web, "1")
	want(t, got, "netprobe_lost_total", with(web, "cause", "timeout"), "1")

	vague := five("vague", "ipv4", "validation", "standard")
	want(t, got, "icmp_sent_total", vague, "2")
	want(t, got, "icmp_loss_ratio", vague, "0")
	want(t, got, "netprobe_unknown_total", with(vague, "reason", "ring_overflow"), "1")
	want(t, got, "netprobe_round_trip_uncertain", vague, "1")

	spread := five("spread", "ipv6", "validation", "standard")
	want(t, got, "netprobe_round_trip_seconds", with(spread, "le", "1e-05"), "0")
	want(t, got, "netprobe_round_trip_seconds", with(spread, "le", "2e-05"), "1")
	want(t, got, "netprobe_round_trip_seconds", with(spread, "le", "5e-05"), "3")
	want(t, got, "netprobe_round_trip_seconds", with(spread, "le", "+Inf"), "3")
	want(t, got, "netprobe_round_trip_seconds", "_count"+spread, "3")
	want(t, got, "netprobe_round_trip_seconds", "_sum"+spread, "7.5e-05")

	dark := five("dark", "ipv6", "None", "standard") // total loss, state unset
	want(t, got, "tcpsyn_sent_total", dark, "4")
	want(t, got, "tcpsyn_loss_ratio", dark, "1")
	want(t, got, "tcpsyn_round_trip_seconds", with(dark, "percentile", "95"), "0")
	want(t, got, "netprobe_duplicates_total", dark, "") // ours only once non-zero

	gateway := five("gateway", "ipv4", "validation", "standard")
	want(t, got, "icmp_loss_ratio", gateway, "0.3333333333333333")
	want(t, got, "icmp_round_trip_seconds", with(gateway, "percentile", "95"), "7e-05")
	want(t, got, "netprobe_samples_marked_total", gateway, "1")
	want(t, got, "netprobe_lost_total", with(gateway, "cause", "no_neighbour"), "1")
	want(t, got, "netprobe_not_sent_total", with(gateway, "reason", "ring_full"), "1")

	target := `{probe_name="probe1",destination="web.example",address_family="ipv4"`
	want(t, got, "tcpsyn_match_ack_fail_count", target+`}`, "0")
	want(t, got, "tcpsyn_port_mismatch_count", target+`}`, "0")
	want(t, got, "udp_unreachable_port_mismatch_count", `{probe_name="probe1",destination="ns1",address_family="ipv4"}`, "0")
	both := `{probe_name="probe1",destination="both",address_family="ipv4"`
	want(t, got, "tcpsyn_match_ack_fail_count", both+`}`, "3") // of both groups
	want(t, got, "app_time_ooo_total", both+`,group="standard"}`, "1")
	want(t, got, "app_time_ooo_total", both+`,group="transit1"}`, "0")
	want(t, got, "app_target_name_dup_total", `{target_name="racks_web1"}`, "2")
	want(t, got, "app_target_name_dup_total", `{target_name="racks_ns1"}`, "1")
	want(t, got, "app_host_resolution_duration", target+`}`, "0.025")
	want(t, got, "app_host_resolution_duration", `{probe_name="probe1",destination="dark",address_family="ipv6"}`, "")
	want(t, got, "app_host_resolution_status", target+`}`, "1")
	want(t, got, "app_host_resolution_change_total", target+`}`, "2")
	want(t, got, "threshold", target+`,type="loss",state="in production",alert_level="paging",group="standard"}`, "10")
	want(t, got, "threshold", target+`,type="latency",state="in production",alert_level="paging",group="transit1"}`, "0.2")
	want(t, got, "netprobe_target_info", target+`,type="TCPsyn",address="192.0.2.1",port="443",label_env="lab",label_rack="b\"7"}`, "1")
	want(t, got, "app_iteration_time_seconds", `{probe_name="probe1"}`, "1.5")
	want(t, got, "app_process_timed_out_total", `{probe_name="probe1"}`, "0")
	want(t, got, "app_reload_conf_failed_status", `{probe_name="probe1"}`, "0")
	want(t, got, "netprobe_steered_total", `{interface="veth0",queue="0"}`, "9")
	want(t, got, "netprobe_ring_dropped_total", `{interface="veth0",queue="1",ring="rx"}`, "2")
	want(t, got, "netprobe_schedule_lag_seconds", `{interface="veth0"}`, "1.5e-06")
	want(t, got, "netprobe_passed_by_reason_total", `{interface="veth0",reason="bare_rst"}`, "4")
	want(t, got, "netprobe_foreign_total", `{interface="veth0"}`, "5")
	want(t, got, "netprobe_clock_faults_total", `{interface="veth0"}`, "6")
	want(t, got, "netprobe_series_dropped", "", "0")
}
