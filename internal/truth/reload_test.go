// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
)

// reload writes the configuration and lets the prober load it.
func (r *run) reload() (prober.Report, error) {
	r.t.Helper()
	write(r.t, r.file, r.content)
	return r.running.Reload(r.t.Context())
}

// reloaded is reload, which must do exactly this.
func (r *run) reloaded(want prober.Report) {
	r.t.Helper()
	got, err := r.reload()
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("the reload did (-want +got):\n%s", diff)
	}
}

// section is a map of the configuration.
func (r *run) section(name string) map[string]any { return r.content[name].(map[string]any) }

func (r *run) target(name string) map[string]any {
	return r.section("targets")[r.names[name]].(map[string]any)
}

// While the configuration is reloaded ten times a second, with targets that come,
// go, begin anew and are only called otherwise, and with a fault now and then, no
// probe of a target that stays is lost, doubled or late for its place.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const packets = 400 // a round takes 4 s
	p := newPair(t, 2)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 6 * time.Second, gap: 10 * time.Millisecond}
	for family, addr := range far {
		for _, tg := range []target{
			{name: "closed", kind: "TCPsyn", port: 81},
			{name: "echo", kind: "ICMPping"},
			{name: "udp", kind: "UDPunreachable", port: 33434},
		} {
			tg.name, tg.addr, tg.packets, tg.timeout = tg.name+"-"+family, addr, packets, 500*time.Millisecond
			s.targets = append(s.targets, tg)
		}
	}
	wire := startCapture(t, p.farEnd, "icmp[icmptype] == icmp-echo")
	r := start(t, s)
	steady := uint64(len(s.targets) * packets)

	// What else there is goes to an open port: who counts what arrives for the
	// others does not see it.
	targets, global := r.section("targets"), r.section("global")
	open := func(addr string, packets int) map[string]any {
		return map[string]any{"type": "TCPsyn", "destination": addr, "dst_port": 80, "nb_packets": packets, "timeout": 0.5}
	}
	faults, reloads := 0, 0
	step := func() {
		t.Helper()
		reloads++
		before := maps.Clone(targets)
		targets["comes-and-goes"] = open(far4, 100)
		if reloads%2 == 0 {
			delete(targets, "comes-and-goes")
		}
		targets["begins-anew"] = open(far6, 100+reloads%7)
		targets["other-"+strconv.Itoa(reloads%10)] = open(far4, 50)
		delete(targets, "other-"+strconv.Itoa((reloads+5)%10))
		r.target("echo-ipv4")["threshold"] = map[string]any{"loss": reloads}
		r.target("echo-ipv6")["state"] = []string{"in production", "validation"}[reloads%2]
		global["percentile"] = [][]int{{50, 95}, {95}, {1, 50, 95, 100}}[reloads%3]
		if reloads%5 == 0 {
			faults++
			targets["begins-anew"] = open(far6, 0) // the fault
			_, err := r.reload()
			if got, ok := errors.AsType[config.Faults](err); !ok || len(got) != 1 {
				t.Fatalf("a configuration with a fault: %v", err)
			}
			maps.DeleteFunc(targets, func(name string, _ any) bool { return before[name] == nil })
			maps.Copy(targets, before)
			return
		}
		report, err := r.reload()
		if err != nil {
			t.Fatal(err)
		}
		for _, tg := range s.targets {
			name := r.names[tg.name]
			said := tg.name == "echo-ipv4" || tg.name == "echo-ipv6"
			if slices.Contains(report.Added, name) || slices.Contains(report.Removed, name) || slices.Contains(report.Changed, name) && !said {
				t.Fatalf("reload %d: %+v", reloads, report)
			}
		}
	}
	for end := time.Now().Add(time.Minute); r.all().Rounds < 1 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		step()
	}
	t.Logf("%d reloads, %d of them with a fault", reloads, faults)
	whole := func(rounds uint64) {
		t.Helper()
		got, seen := r.all(), arrived(t, p.host)
		t.Logf("%s; the host saw %d", show(got), seen)
		if got.Lost = got.Lost - min(got.Lost, r.unable()); got.Sent != rounds*steady || seen != got.Sent || got.Lost+got.Duplicates+got.Late+notSent(got)+unknown(got) != 0 {
			t.Errorf("%s; the host saw %d: want %d sent and seen, and nothing else", show(got), seen, rounds*steady)
		}
		page := r.page()
		for _, none := range []string{"netprobe_foreign_total", "netprobe_clock_faults_total", "netprobe_ring_dropped_total"} {
			if n, _ := page.sum(t, none); n != 0 {
				t.Errorf("%s is %d", none, n)
			}
		}
		if open := unreset(t, p.host); len(open) > 0 { // what else there is goes on meanwhile
			t.Errorf("connections that nobody reset: %v", open)
		}
	}
	r.quiet(1, func() { whole(1) })
	r.quiet(2, func() { whole(2) })

	// Every probe left at its place, one by one.
	wire.stop()
	phases := make([]time.Duration, 0, 2)
	var times []time.Time
	for _, all := range arrivals(wire) {
		times = append(times, all...)
	}
	if len(times) != 2*packets {
		t.Fatalf("%d echo requests on the wire, want %d", len(times), 2*packets)
	}
	for round := range 2 {
		var off []time.Duration
		for k, at := range times[round*packets : (round+1)*packets] {
			off = append(off, time.Duration(at.UnixNano()%int64(s.interval))-time.Duration(k)*s.gap)
		}
		slices.Sort(off)
		phases = append(phases, (off[packets/2]+s.interval)%s.interval)
	}
	t.Logf("phases %v, the plan's is %v", phases, r.phase)
	if apart(phases[0], phases[1], s.interval) > s.gap {
		t.Errorf("the round with reloads began at %v of the interval, the one without at %v", phases[0], phases[1])
	}
}

// What reload makes of series is netprobify's, as far as it is exact: see
// section 6 of its contract.
func TestReloadSeries(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1)
	p.farEnd.AddAddr("192.0.2.3/24")
	loss := func() map[string]any {
		return map[string]any{"threshold": map[string]any{"loss": 5, "latency": 0.1}, "alert_level": "paging"}
	}
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: time.Second, gap: time.Millisecond,
		groups: []group{{name: "one", a: 20000, z: 20009}, {name: "two", a: 20010, z: 20019}},
		targets: []target{
			{name: "inv_a", kind: "ICMPping", addr: far4, packets: 10, timeout: 300 * time.Millisecond, keys: loss()},
			{name: "inv_a1", kind: "UDPunreachable", port: 33434, addr: "192.0.2.3", packets: 10, timeout: 300 * time.Millisecond, keys: loss()},
			{name: "other", kind: "TCPsyn", port: 81, addr: far6, packets: 10, timeout: 300 * time.Millisecond, keys: loss()},
		}}
	r := start(t, s)
	a, a1, other := r.names["inv_a"], r.names["inv_a1"], r.names["other"]
	r.content["targets"].(map[string]any)[a+"1"] = r.content["targets"].(map[string]any)[a1] // a's name is the beginning of its name
	delete(r.section("targets"), a1)
	a1 = a + "1"
	all := []string{a, a1, other}
	slices.Sort(all) // as the file has them
	rounds := func() {
		t.Helper()
		from := r.page()
		names := []string{}
		for name := range r.section("targets") {
			names = append(names, name)
		}
		metric := func(name string) string {
			switch kind := r.section("targets")[name].(map[string]any)["type"]; kind {
			case "ICMPping":
				return "icmp"
			case "UDPunreachable":
				return "udp_unreachable"
			}
			return "tcpsyn"
		}
		r.wait(func() bool {
			page := r.page()
			for _, name := range names {
				old, _ := from.sum(t, metric(name)+"_sent_total", label("destination", name))
				now, n := page.sum(t, metric(name)+"_sent_total", label("destination", name))
				if n == 0 || now <= old {
					return false
				}
			}
			return true
		}, 20*time.Second, func() string { return "waiting for a round of every target" })
	}
	// has checks how many series of all families carry a label.
	has := func(want bool, name, value string) {
		t.Helper()
		var found []string
		for line := range strings.Lines(string(r.page())) {
			if labels := strings.Split(strings.Trim(line[strings.Index(line, "{")+1:max(strings.LastIndex(line, "}"), strings.Index(line, "{")+1)], " "), ","); slices.Contains(labels, label(name, value)) {
				found = append(found, strings.TrimSpace(line))
			}
		}
		if want != (len(found) > 0) {
			t.Errorf("series with %s=%q: %d, want some: %v\n%s", name, value, len(found), want, strings.Join(found, "\n"))
		}
	}
	eventually := func(what string, ok func(page) bool) {
		t.Helper()
		r.wait(func() bool { return ok(r.page()) }, 10*time.Second, func() string { return "still not: " + what })
	}
	sent := func(name string) uint64 {
		t.Helper()
		n := uint64(0)
		for _, metric := range []string{"icmp", "udp_unreachable", "tcpsyn"} {
			v, _ := r.page().sum(t, metric+"_sent_total", label("destination", name))
			n += v
		}
		return n
	}

	r.reloaded(prober.Report{Added: []string{a1}, Removed: []string{r.names["inv_a1"]}, Unchanged: 2})
	has(false, "destination", r.names["inv_a1"])
	rounds()
	for _, name := range all {
		has(true, "destination", name)
	}

	// alert_level, and nothing else: the counters go on.
	was := sent(a)
	r.target("inv_a")["alert_level"] = "sandbox"
	r.reloaded(prober.Report{Changed: []string{a}, Unchanged: 2})
	has(true, "alert_level", "sandbox")
	if n, of := r.page().sum(t, "threshold", label("destination", a), label("alert_level", "paging")); of != 0 {
		t.Errorf("%d thresholds under the old alert level (%d)", of, n)
	}
	if _, of := r.page().sum(t, "threshold", label("destination", a)); of != 4 {
		t.Errorf("%d thresholds, want latency and loss in two groups", of)
	}
	if now := sent(a); now < was {
		t.Errorf("%d sent before, %d after", was, now)
	}
	// A threshold less.
	delete(r.target("inv_a")["threshold"].(map[string]any), "latency")
	r.reloaded(prober.Report{Changed: []string{a}, Unchanged: 2})
	if _, of := r.page().sum(t, "threshold", label("destination", a), label("type", "latency")); of != 0 {
		t.Errorf("%d thresholds of latency", of)
	}
	// Nothing at all.
	r.reloaded(prober.Report{Unchanged: 3})

	// The state: the series go on under another label.
	was = sent(a)
	r.target("inv_a")["state"] = "validation"
	r.reloaded(prober.Report{Changed: []string{a}, Unchanged: 2})
	eventually("the new state", func(p page) bool {
		_, old := p.sum(t, "icmp_sent_total", label("destination", a), label("state", "None"))
		now, of := p.sum(t, "icmp_sent_total", label("destination", a), label("state", "validation"))
		return old == 0 && of == 2 && now >= was
	})
	has(true, "state", "None") // of the others

	// A percentile goes, another comes; what stays has its figure all the time.
	r.section("global")["percentile"] = []int{95, 7}
	r.reloaded(prober.Report{Unchanged: 3})
	eventually("no percentile 50", func(p page) bool { return !strings.Contains(string(p), label("percentile", "50")) })
	has(true, "percentile", "95")
	rounds()
	has(true, "percentile", "7")
	if now := sent(a); now < was {
		t.Errorf("%d sent before, %d after", was, now)
	}

	// A target.
	was = sent(a)
	gone := r.section("targets")[a1]
	delete(r.section("targets"), a1)
	r.reloaded(prober.Report{Removed: []string{a1}, Unchanged: 2})
	has(false, "destination", a1)
	has(true, "destination", a)
	if now := sent(a); now < was {
		t.Errorf("%d sent before, %d after", was, now)
	}
	r.section("targets")[a1] = gone
	r.reloaded(prober.Report{Added: []string{a1}, Unchanged: 2})
	rounds()

	// A group: its series go, with the targets that were in it begin anew.
	delete(r.section("groups"), "two")
	r.reloaded(prober.Report{Changed: all})
	has(false, "group", "two")
	rounds()
	has(true, "group", "one")

	// The name of the probe.
	r.section("global")["probe_name"] = "renamed"
	r.reloaded(prober.Report{Changed: all})
	rounds()
	has(false, "probe_name", probeName)
	has(true, "probe_name", "renamed")

	// Whatever happened, nothing was lost that was sent.
	if lost, _ := r.page().sum(t, "netprobe_lost_total"); lost > r.unable() {
		t.Errorf("%d lost", lost)
	}
	for _, name := range all {
		has(true, "destination", name)
	}
}

func label(name, value string) string { return fmt.Sprintf("%s=%q", name, value) }
