// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/metrics"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// found returns what the first group of pattern matches in text, sorted, each
// once.
func found(pattern, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestMetricsPage: docs/metrics.md lists exactly our own families, with their
// types, and exactly the reasons and causes there are.
func TestMetricsPage(t *testing.T) {
	doc := document(t, "docs/metrics.md")
	x := metrics.New(metrics.Options{Store: &result.Store{}, ProbeName: func() string { return "p" }, App: &metrics.App{},
		Links: func() []metrics.Link { return nil }, Inventories: func() []metrics.Inventory { return nil }})
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))

	served := found(`(?m)^# TYPE (netprobe_\S+ \S+)$`, w.Body.String())
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(netprobe_[a-z_]+)` \\| (gauge|counter|histogram)").FindAllStringSubmatch(doc, -1) {
		listed = append(listed, m[1]+" "+m[2])
	}
	slices.Sort(listed)
	if diff := cmp.Diff(served, listed); diff != "" {
		t.Errorf("served (-), in docs/metrics.md (+):\n%s", diff)
	}

	var reasons []string
	for _, r := range result.Reasons() {
		reasons = append(reasons, r.String())
	}
	slices.Sort(reasons)
	_, table, _ := strings.Cut(doc, "| reason | meaning |")
	table, _, _ = strings.Cut(strings.TrimSpace(table), "\n\n")
	if diff := cmp.Diff(reasons, found("(?m)^\\| `([a-z_]+)` \\|", table)); diff != "" {
		t.Errorf("reasons (-), in docs/metrics.md (+):\n%s", diff)
	}
	for d := range (result.Snapshot{}).Unknown {
		if name := result.Doubt(d).String(); !strings.Contains(doc, "| `"+name+"` |") {
			t.Errorf("docs/metrics.md lacks the reason %s", name)
		}
	}
	for c := range (result.Snapshot{}).Causes {
		if name := result.Cause(c).String(); !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/metrics.md lacks the cause %s", name)
		}
	}
}

// TestReadme: the README names exactly the flags of run, the exit codes of --help
// in the same words, and a configuration without a fault.
func TestReadme(t *testing.T) {
	doc := document(t, "README.md")
	help := call(t, "run", "--help").stdout
	want := slices.DeleteFunc(found(`(--[a-z-]+)`, help), func(f string) bool { return f == "--help" })
	if diff := cmp.Diff(want, found("(?m)^\\| `(--[a-z-]+) ", doc)); diff != "" {
		t.Errorf("flags of run (-), in README.md (+):\n%s", diff)
	}
	for _, m := range regexp.MustCompile(`(?m)^  (\d+) +(\S.*)$`).FindAllStringSubmatch(rootHelp, -1) {
		if row := "| " + m[1] + " | " + m[2] + " |"; !strings.Contains(doc, row) {
			t.Errorf("README.md lacks %q", row)
		}
	}

	_, yaml, _ := strings.Cut(doc, "```yaml\n")
	yaml, _, _ = strings.Cut(yaml, "```")
	if got := call(t, "check", write(t, "netprobe.yaml", yaml)); got.code != 0 || ofFile(got.stderr) != "" {
		t.Errorf("the README's configuration: %+v", got)
	}
}
