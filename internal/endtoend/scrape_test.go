// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// alert is one of the alert rules that netprobify's README gives, and the
// destinations that it must name here. "" stands for an alert without one.
type alert struct {
	name, expr string
	raised     []string
}

// alerts are written down as people have them in their rules. netprobify's own
// text of the second is no PromQL; this is what it means.
var alerts = []alert{
	{"Loss", `tcpsyn_loss_ratio{probe_name="lab"} * 100 > 0.1`, []string{"nobody"}},
	{"LossWhileSending", `tcpsyn_loss_ratio{probe_name="lab"} * 100 > 0.1 and on(probe_name) sum by(probe_name) (increase(tcpsyn_sent_total{probe_name="lab"}[10m])) > 0`, []string{"nobody"}},
	{"Latency", `tcpsyn_round_trip_seconds{probe_name="lab",percentile="95"} * 1000 > 100`, nil},
	{"TooSlow", `app_iteration_time_seconds{probe_name="lab"} > 90`, nil},
	{"Down", `up{instance=~"lab",job="netprobify"} == 0`, nil},
	{"Silent", `sum by(probe_name) (increase(tcpsyn_sent_total{probe_name="lab"}[10m])) == 0`, nil},
	{"BadReload", `app_reload_conf_failed_status{probe_name="lab"} > 0`, nil},
	{"Threshold", `tcpsyn_round_trip_seconds{probe_name="lab",percentile="95"} * 1000 > on(destination, probe_name, group) threshold{alert_level="paging",type="latency"} * 1000`, []string{"open4", "open6"}},
	// Not an alert, and so that the empty ones are not empty for want of series.
	{"Sending", `sum by(probe_name) (increase(tcpsyn_sent_total{probe_name="lab"}[10m])) > 0 and on(probe_name) app_iteration_time_seconds < 90 and on(probe_name) app_reload_conf_failed_status == 0`, []string{""}},
	{"Up", `up{instance=~"lab",job="netprobify"} == 1`, []string{""}},
}

// probed is a running program with targets of every type in both families.
func probed(t *testing.T) (*lab.Host, *program) {
	t.Helper()
	a, b := pair(t)
	b.Host.UnlimitedICMP()
	for _, addr := range []string{"192.0.2.2:80", "[2001:db8::2]:80"} {
		if _, err := b.Host.ListenTCP(addr, lab.Discard); err != nil {
			t.Fatal(err)
		}
	}
	const paging = `, state: in production, alert_level: paging, threshold: {latency: 0.000001, loss: 1}, nb_packets: 10, timeout: 0.3}`
	config := global(usual) + "groups: {g: {src_port_a: 65000, src_port_z: 65009}, other: {src_port_a: 65010, src_port_z: 65019, dscp: 8}}\n" + targets(
		`open4: {type: TCPsyn, destination: 192.0.2.2, dst_port: 80`+paging,
		`open6: {type: TCPsyn, destination: "2001:db8::2", dst_port: 80`+paging,
		`closed4: {type: TCPsyn, destination: 192.0.2.2, dst_port: 81, nb_packets: 10}`,
		`closed6: {type: TCPsyn, destination: "2001:db8::2", dst_port: 81, nb_packets: 10}`,
		`nobody: {type: TCPsyn, destination: 192.0.2.99, dst_port: 80, nb_packets: 10, timeout: 0.3}`,
		`ping4: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10}`,
		`ping6: {type: ICMPping, destination: "2001:db8::2", nb_packets: 10}`,
		`udp4: {type: UDPunreachable, destination: 192.0.2.2, dst_port: 33434, nb_packets: 10}`,
		`udp6: {type: UDPunreachable, destination: "2001:db8::2", dst_port: 33434, nb_packets: 10}`)
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", config))
	p.waitFor("msg=probing")
	eventually(t, "a whole round of every target", func() bool {
		page := scrape(t, a.Host, usual)
		return len(page.all("tcpsyn_loss_ratio"))+len(page.all("icmp_loss_ratio"))+len(page.all("udp_unreachable_loss_ratio")) == 9*2 &&
			len(page.all("app_iteration_time_seconds")) == 1
	})
	return a.Host, p
}

// TestPromtool: the page of the running program has no parse error, and only
// netprobify's own names are linted.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool := lab.Tool(t, "promtool", "prometheus")
	host, _ := probed(t)
	page, err := fetch(host, usual, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	out, err := cmd.CombinedOutput()
	if exit := cmd.ProcessState.ExitCode(); exit != 0 && exit != 3 { // 3: linted
		t.Errorf("promtool: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "netprobe_") || strings.HasPrefix(line, "process_") || strings.Contains(line, "error") {
			t.Errorf("promtool: %s", line)
		}
	}
	for _, want := range []string{"# TYPE tcpsyn_sent_total counter\n", "# TYPE udp_unreachable_loss_ratio gauge\n", "# HELP icmp_round_trip_seconds "} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	resp, err := client(host).Get("http://127.0.0.1:8000/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, want := resp.Header.Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8"; got != want {
		t.Errorf("Content-Type %q, want %q", got, want)
	}
}

// TestPrometheus: Debian's prometheus scrapes the running program, and alert
// rules written for netprobify are raised and not raised as they should be.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	bin := lab.Tool(t, "prometheus", "prometheus")
	host, p := probed(t)
	rules := "groups:\n- name: netprobify\n  interval: 1s\n  rules:\n"
	for _, a := range alerts {
		rules += fmt.Sprintf("  - {alert: %s, expr: %q}\n", a.name, a.expr)
	}
	dir := folder(t, map[string]string{"scrape.yml": scraper + "rule_files: [rules.yml]\n", "rules.yml": rules})
	background(t, host, bin, "--config.file="+filepath.Join(dir, "scrape.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:9090", "--log.level=warn")
	state := func() map[string][]string {
		var answer struct {
			Groups []struct {
				Rules []struct {
					Name, Health, LastError string
					Alerts                  []struct{ Labels map[string]string }
				}
			}
		}
		if err := ask(host, 9090, "/api/v1/rules", nil, &answer); err != nil {
			return nil
		}
		found := map[string][]string{}
		for _, g := range answer.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				var raised []string
				for _, a := range r.Alerts {
					raised = append(raised, a.Labels["destination"])
				}
				slices.Sort(raised)
				found[r.Name] = slices.Compact(raised)
			}
		}
		return found
	}
	settled(t, state, alerts)

	p.kill()
	eventually(t, "the alert that the program is down", func() bool { return state()["Down"] != nil })
}

// TestVictoriaMetrics: victoria-metrics scrapes the running program, and the same
// expressions give the same.
func TestVictoriaMetrics(t *testing.T) {
	t.Parallel()
	bin := lab.Tool(t, "victoria-metrics", "victoria-metrics")
	host, _ := probed(t)
	dir := folder(t, map[string]string{"scrape.yml": scraper})
	background(t, host, bin, "-promscrape.config="+filepath.Join(dir, "scrape.yml"), "-storageDataPath="+filepath.Join(dir, "data"),
		"-httpListenAddr=127.0.0.1:8428", "-search.latencyOffset=0s", "-memory.allowedBytes=64MiB", "-loggerLevel=WARN")
	settled(t, func() map[string][]string {
		found := map[string][]string{}
		for _, a := range alerts {
			var answer struct {
				Result []struct{ Metric map[string]string }
			}
			if err := ask(host, 8428, "/api/v1/query", url.Values{"query": {a.expr}}, &answer); err != nil {
				return nil
			}
			var raised []string
			for _, r := range answer.Result {
				raised = append(raised, r.Metric["destination"])
			}
			slices.Sort(raised)
			found[a.name] = slices.Compact(raised)
		}
		return found
	}, alerts)
}

// scraper is a configuration for both, which puts the instance to be lab as
// netprobify's rules have it.
const scraper = `
global: {scrape_interval: 1s}
scrape_configs:
- job_name: netprobify
  static_configs: [{targets: ["127.0.0.1:8000"], labels: {instance: lab}}]
`

// settled waits until exactly the alerts that should be are raised.
func settled(t *testing.T, state func() map[string][]string, want []alert) {
	t.Helper()
	var got map[string][]string
	defer func() {
		if t.Failed() {
			t.Logf("last seen: %q", got)
		}
	}()
	for _, a := range want {
		eventually(t, fmt.Sprintf("%s raised for %q", a.name, a.raised), func() bool {
			got = state()
			raised, evaluated := got[a.name]
			return evaluated && slices.Equal(raised, a.raised)
		})
	}
	for _, a := range want { // at one moment
		if !slices.Equal(got[a.name], a.raised) {
			t.Errorf("%s is raised for %q, want %q", a.name, got[a.name], a.raised)
		}
	}
}

// ask reads the data of an answer of the query API that both have.
func ask(host *lab.Host, port int, path string, query url.Values, data any) error {
	resp, err := client(host).Get(fmt.Sprintf("http://127.0.0.1:%d%s?%s", port, path, query.Encode()))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return json.Unmarshal(body, &struct{ Data any }{data})
}

// background runs another program inside a host until the test ends, and shows
// what it said if the test failed.
func background(t *testing.T, host *lab.Host, bin string, args ...string) {
	t.Helper()
	p, err := host.Start(t.Context(), bin, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Wait() // killed by the end of the test's context
		if t.Failed() {
			t.Logf("%s said:\n%s%s", bin, p.Stdout(), p.Stderr())
		}
	})
}
