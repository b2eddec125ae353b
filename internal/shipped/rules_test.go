// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of rules for Prometheus and vmalert.
type ruleFile struct {
	Groups []struct {
		Name     string
		Interval string `yaml:",omitempty"`
		Rules    []rule
	}
}

type rule struct {
	Record      string `yaml:",omitempty"`
	Alert       string `yaml:",omitempty"`
	Expr        string
	For         string            `yaml:",omitempty"`
	Labels      map[string]string `yaml:",omitempty"`
	Annotations map[string]string `yaml:",omitempty"`
}

// ruleFiles are those that configs/prometheus has.
var ruleFiles = []string{"recording.yml", "alerts.yml", "netprobify.yml"}

func readRules(t *testing.T, name string) ruleFile {
	t.Helper()
	var f ruleFile
	dec := yaml.NewDecoder(strings.NewReader(string(read(t, "prometheus", name))))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// all returns the rules of a file that pick picks.
func (f ruleFile) all(pick func(rule) bool) []rule {
	var all []rule
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if pick(r) {
				all = append(all, r)
			}
		}
	}
	return all
}

func isAlert(r rule) bool  { return r.Alert != "" }
func isRecord(r rule) bool { return r.Record != "" }

// TestPromtool: every rule fires on made series as it should and not on those
// beside them, and the scrape configuration is valid.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool := lab.Tool(t, "promtool", "prometheus")
	dir := t.TempDir() // the tests name the rules as if they lay beside them
	for _, name := range append(ruleFiles, "prometheus.yml") {
		write(t, dir, name, read(t, "prometheus", name))
	}
	tests, err := filepath.Glob(filepath.Join("testdata", "*.test.yml"))
	if err != nil || len(tests) == 0 {
		t.Fatal("no tests of rules", err)
	}
	for _, name := range tests {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, filepath.Base(name), b)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("check", "config", "prometheus.yml")
	run(append([]string{"check", "rules"}, ruleFiles...)...)
	args := []string{"test", "rules"}
	for _, name := range tests {
		args = append(args, filepath.Base(name))
	}
	run(args...)
}

// TestEveryAlertIsTested: promtool's tests make every alert fire.
func TestEveryAlertIsTested(t *testing.T) {
	fired := map[string]bool{}
	tests, err := filepath.Glob(filepath.Join("testdata", "*.test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tests {
		var f struct {
			Tests []struct {
				Alerts []struct {
					Name     string `yaml:"alertname"`
					Expected []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		b, err := os.ReadFile(name)
		if err == nil {
			err = yaml.Unmarshal(b, &f)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range f.Tests {
			for _, a := range test.Alerts {
				fired[a.Name] = fired[a.Name] || len(a.Expected) > 0
			}
		}
	}
	for _, name := range ruleFiles {
		for _, r := range readRules(t, name).all(isAlert) {
			if !fired[r.Alert] {
				t.Errorf("%s: no test makes %s fire", name, r.Alert)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: %s has severity %q", name, r.Alert, s)
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s: %s has no summary", name, r.Alert)
			}
		}
	}
}

var recorded = regexp.MustCompile(`\b[a-z]+:netprobe_[a-z]+:[a-z0-9_]+`)

// TestRecordedIsUsed: what alerts need is recorded, and the rules for the
// three types of probe name the same.
func TestRecordedIsUsed(t *testing.T) {
	types := map[string][]string{}
	for _, r := range readRules(t, "recording.yml").all(isRecord) {
		types[r.Record] = append(types[r.Record], r.Labels["type"])
	}
	for name, of := range types {
		if len(of) > 1 && !slices.Equal(of, []string{"TCPsyn", "ICMPping", "UDPunreachable"}) {
			t.Errorf("%s is recorded for %q", name, of)
		}
	}
	for _, r := range readRules(t, "alerts.yml").all(isAlert) {
		for _, name := range recorded.FindAllString(r.Expr, -1) {
			if types[name] == nil {
				t.Errorf("%s needs %s, which nobody records", r.Alert, name)
			}
		}
	}
	for _, r := range readRules(t, "netprobify.yml").all(isAlert) {
		if recorded.MatchString(r.Expr) {
			t.Errorf("%s needs recording.yml", r.Alert)
		}
	}
}

// TestAlertsAreExplained: docs/alerts.md has a section for every alert, and for
// no other.
func TestAlertsAreExplained(t *testing.T) {
	doc, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range readRules(t, "alerts.yml").all(isAlert) {
		want = append(want, r.Alert)
		if runbook := "docs/alerts.md, " + r.Alert; r.Annotations["runbook"] != runbook {
			t.Errorf("%s: runbook %q, want %q", r.Alert, r.Annotations["runbook"], runbook)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Netprobe\w+)$`).FindAllStringSubmatch(string(doc), -1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-), sections of docs/alerts.md (+):\n%s", diff)
	}
}
