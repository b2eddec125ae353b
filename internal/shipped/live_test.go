// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestLive: over the running program, and a VictoriaMetrics and a Prometheus that
// scrape it, every query of the dashboards returns data in both; a vmalert records
// every recording rule, raises the alerts of what is in trouble, and none of what
// is well.
func TestLive(t *testing.T) {
	t.Parallel()
	vmalert := lab.Tool(t, "vmalert", "victoria-metrics")
	n := newNetwork(t)
	n.start(t)
	received := receiveAlerts(t, n.prober)
	n.run(t, vmalert, "-rule="+hasty(t, "recording.yml"), "-rule="+hasty(t, "alerts.yml"), "-rule="+hasty(t, "netprobify.yml"),
		"-evaluationInterval=1s", "-datasource.url=http://127.0.0.1:8428", "-remoteWrite.url=http://127.0.0.1:8428",
		"-remoteWrite.flushInterval=1s", "-remoteRead.url=http://127.0.0.1:8428", "-notifier.url=http://127.0.0.1:9093",
		"-httpListenAddr=127.0.0.1:8880", "-loggerLevel=WARN")
	n.overflow(t)

	checkDashboards(t, n, victoriaMetrics)
	checkDashboards(t, n, prometheusAddr)
	for _, r := range readRules(t, "recording.yml").all(isRecord) {
		series := r.Record
		if of := r.Labels["type"]; of != "" {
			series += fmt.Sprintf("{type=%q}", of)
		}
		eventually(t, "recorded: "+series, func() bool {
			found, err := n.query(victoriaMetrics, series)
			if err != nil {
				t.Fatal(err)
			}
			return len(found) > 0
		})
	}
	var wrong string
	defer func() {
		if t.Failed() {
			t.Logf("alerts (-want +got):\n%s", wrong)
		}
	}()
	eventually(t, "exactly the alerts that there should be", func() bool {
		got := map[string][]string{}
		for alert := range trouble {
			got[alert] = received.destinations(alert)
		}
		wrong = cmp.Diff(trouble, got)
		return wrong == ""
	})

	if err := n.probe.Stop(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"NetprobeDown", "NetprobeGone", "NetprobifyNotRunning"} {
		eventually(t, name+" once the program is stopped", func() bool { return received.destinations(name) != nil })
	}
}

// trouble is who has which alert, by destination; "" stands for an alert
// without one, nil for none. What depends on how busy the machine is that runs
// the test is left out.
var trouble = map[string][]string{
	"NetprobeTargetDown":            {"nobody", "rejected"},
	"NetprobeLossBurnFast":          {"lossy", "nobody", "odd", "rejected"},
	"NetprobeLossBurnSlow":          {"lossy", "nobody", "odd", "rejected"},
	"NetprobeLossBudgetGone":        {"lossy", "nobody", "odd", "rejected"},
	"NetprobeLossAboveThreshold":    {"lossy"},
	"NetprobeLatencyAboveThreshold": {"slow"},
	"NetprobeTargetNotMeasured":     {"huge"},
	"NetprobeNotSent":               {"huge"},
	"NetprobeUnknown":               {""},
	"NetprobeRingOverflow":          {""},
	"NetprobeNameUnresolved":        {"nameless"},
	"NetprobeNameUnstable":          nil,
	"NetprobeSeriesLeftOut":         nil,
	"NetprobeDown":                  nil,
	"NetprobeGone":                  nil,
	"NetprobeSilent":                nil,
	"NetprobeStopped":               nil,
	"NetprobeReloadFailed":          nil,
	"NetprobifyLoss":                {"lossy", "rejected"},
	"NetprobifyLossWhileSending":    {"lossy", "rejected"},
	"NetprobifyLatencyThreshold":    {"slow"},
	"NetprobifyIterationTime":       nil,
	"NetprobifyNotRunning":          nil,
	"NetprobifyNotSending":          nil,
	"NetprobifyReloadFailed":        nil,
}

// hasty writes rules of configs/ as they are, but evaluated every second and
// raised at once.
func hasty(t *testing.T, name string) string {
	t.Helper()
	f := readRules(t, name)
	for g := range f.Groups {
		f.Groups[g].Interval = ""
		for r := range f.Groups[g].Rules {
			f.Groups[g].Rules[r].For = ""
		}
	}
	b, err := yaml.Marshal(map[string]any{"groups": f.Groups})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), name, b)
}

// inbox is what an Alertmanager has: until when each alert is raised, by its
// name and destination. Any goroutine may use it.
type inbox struct {
	mu    sync.Mutex
	until map[string]map[string]time.Time
}

// receiveAlerts listens on a host where vmalert looks for an Alertmanager.
func receiveAlerts(t *testing.T, h *lab.Host) *inbox {
	t.Helper()
	in := &inbox{until: map[string]map[string]time.Time{}}
	var l net.Listener
	if err := h.Do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:9093"); return err }); err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: in}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var alerts []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil || r.URL.Path != "/api/v2/alerts" {
		http.Error(w, "not an alert", http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range alerts {
		name := a.Labels["alertname"]
		// That the machine is busy which runs the test is another good reason.
		if name == "NetprobeNotSent" && a.Labels["reason"] != "too_large" {
			continue
		}
		if in.until[name] == nil {
			in.until[name] = map[string]time.Time{}
		}
		// Several groups may have an alert of one destination: one that still has
		// it counts.
		group := a.Labels["destination"] + "\x00" + a.Labels["group"]
		in.until[name][group] = a.EndsAt
	}
}

// destinations returns whose alert is raised now, sorted, each once.
func (in *inbox) destinations(alert string) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var all []string
	for key, until := range in.until[alert] {
		if until.After(time.Now()) {
			destination, _, _ := strings.Cut(key, "\x00")
			all = append(all, destination)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
