// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
)

// Interfaces come and go with a reload while probes leave through another one,
// which notices nothing. What cannot be carried out changes nothing: an
// interface that is not there, or one that targets still need.
func TestReloadInterfaces(t *testing.T) {
	t.Parallel()
	const packets = 300 // a round takes 3 s
	near, ends, addrs := star(t)
	s := setup{on: near, hosts: []*lab.Host{ends[0].Peer.Host, ends[1].Peer.Host}, ifaces: []string{ends[0].Name}, interval: 6 * time.Second, gap: 10 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20511}}}
	s.targets = everyType("a-", packets, 0, addrs[0])
	r := start(t, s)
	r.wait(func() bool { return arrived(t, ends[0].Peer.Host) > uint64(packets) }, 20*time.Second, func() string { return "no probes arrive" })

	targets := maps.Clone(r.section("targets"))
	interfaces := func(names ...string) {
		r.content["engine"] = map[string]any{"interfaces": names}
	}
	refused := func(why string) {
		t.Helper()
		if _, err := r.reload(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	attached := func(e *lab.End) bool {
		return strings.Contains(must(t, near, "ip", "-d", "link", "show", "dev", e.Name), "prog/xdp")
	}
	r.section("targets")["b"] = map[string]any{"type": "ICMPping", "destination": addrs[1]["ipv4"], "nb_packets": 10}
	refused("leaves by interface " + ends[1].Name)
	interfaces(ends[1].Name, "not-there")
	refused("not-there")
	if attached(ends[1]) {
		t.Error("a reload that failed left its XDP program attached")
	}
	for i := range 3 {
		interfaces(ends[1].Name)
		if diff := cmp.Diff([]string{"b"}, mustReload(r).Added); diff != "" {
			t.Errorf("added: %s", diff)
		}
		if i == 0 {
			r.wait(func() bool { return arrived(t, ends[1].Peer.Host) > 0 }, 20*time.Second, func() string { return "no probes leave through the interface that came" })
		}
		if !attached(ends[1]) {
			t.Error("probes leave by an interface where no program is attached")
		}
		interfaces()
		refused("leaves by interface " + ends[1].Name)
		delete(r.section("targets"), "b")
		if diff := cmp.Diff(prober.Report{Removed: []string{"b"}, Unchanged: len(s.targets)}, mustReload(r)); diff != "" {
			t.Errorf("the reload did: %s", diff)
		}
		if attached(ends[1]) {
			t.Error("the interface that went has an XDP program still")
		}
		if _, n := r.page().sum(t, "netprobe_xdp_mode_info", label("interface", ends[1].Name)); n != 0 {
			t.Error("the interface that went has series still")
		}
		r.section("targets")["b"] = map[string]any{"type": "ICMPping", "destination": addrs[1]["ipv4"], "nb_packets": 10}
	}
	r.content["targets"] = targets
	mustReload(r)
	rounds := r.all().Rounds + 1
	r.quiet(rounds, func() {
		for _, tg := range s.targets {
			r.whole(tg.name, rounds*packets)
		}
		r.accounted()
		if seen, want := arrived(t, ends[0].Peer.Host), rounds*uint64(len(s.targets)*packets); seen != want {
			t.Errorf("the host saw %d probes, want %d", seen, want)
		}
	})
}

func mustReload(r *run) prober.Report {
	r.t.Helper()
	report, err := r.reload()
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}
