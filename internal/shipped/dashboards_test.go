// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dashboard is what matters of Grafana's model.
type dashboard struct {
	UID, Title, Description string
	SchemaVersion           int
	Panels                  []panel
	Templating              struct{ List []variable }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ Type, UID string }
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Options                  struct{ YAxis struct{ Unit string } }
	Targets                  []struct {
		RefID, Expr string
		Instant     bool
		Datasource  struct{ UID string }
	}
}

type variable struct {
	Name, Type, Definition string
	Query                  json.RawMessage
}

// dashboards reads them all.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(configs, "grafana", "*.json"))
	if err != nil || len(paths) != 2 {
		t.Fatal("want two dashboards", paths, err)
	}
	all := map[string]dashboard{}
	for _, p := range paths {
		var d dashboard
		if err := json.Unmarshal(read(t, "grafana", filepath.Base(p)), &d); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		all[filepath.Base(p)] = d
	}
	return all
}

var used = regexp.MustCompile(`\$\{?([a-z]\w*)`) // Grafana's own begin with __

// TestDashboards: every panel says what it shows and in which unit, asks the
// chosen data source, uses variables that exist, and lies on no other; nothing
// points elsewhere.
func TestDashboards(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range dashboards(t) {
		t.Run(file, func(t *testing.T) {
			if d.UID == "" || uids[d.UID] || d.Title == "" || d.Description == "" || d.SchemaVersion != 37 { // Grafana 9
				t.Errorf("uid %q, title %q, description %q, schema %d", d.UID, d.Title, d.Description, d.SchemaVersion)
			}
			uids[d.UID] = true
			if bytes.Contains(read(t, "grafana", file), []byte("://")) {
				t.Error("has an address in it")
			}
			known := map[string]bool{}
			for _, v := range d.Templating.List {
				for _, m := range used.FindAllStringSubmatch(v.Definition, -1) {
					if !known[m[1]] {
						t.Errorf("variable %s uses %s, which does not come before it", v.Name, m[1])
					}
				}
				known[v.Name] = true
			}
			if !known["datasource"] || !known["probe"] {
				t.Errorf("variables: %v", known)
			}
			ids := map[int]bool{}
			var grid [24]int // the first free line of each column
			for _, p := range d.Panels {
				if p.Title == "" || ids[p.ID] || p.ID == 0 {
					t.Errorf("panel %d: title %q, or the id is not its own", p.ID, p.Title)
				}
				ids[p.ID] = true
				g := p.GridPos
				if g.X < 0 || g.W < 1 || g.X+g.W > len(grid) {
					t.Fatalf("%s: lies at %+v", p.Title, g)
				}
				for x := g.X; x < g.X+g.W; x++ {
					if g.Y < grid[x] {
						t.Errorf("%s: lies on another at %+v", p.Title, g)
					}
					grid[x] = g.Y + g.H
				}
				if p.Type == "row" {
					continue
				}
				if p.Description == "" || p.FieldConfig.Defaults.Unit+p.Options.YAxis.Unit == "" || len(p.Targets) == 0 {
					t.Errorf("%s lacks a description, a unit or a query", p.Title)
				}
				if p.Datasource.UID != "${datasource}" || p.Datasource.Type != "prometheus" {
					t.Errorf("%s asks %+v", p.Title, p.Datasource)
				}
				for _, q := range p.Targets {
					if q.Datasource.UID != "${datasource}" || q.RefID == "" {
						t.Errorf("%s: query %+v", p.Title, q)
					}
					for _, m := range used.FindAllStringSubmatch(q.Expr, -1) {
						if !known[m[1]] {
							t.Errorf("%s uses the variable %s, which there is not", p.Title, m[1])
						}
					}
				}
			}
		})
	}
}

// substitute does what Grafana does with all values chosen.
func substitute(expr string) string {
	expr = strings.ReplaceAll(expr, "$__rate_interval", "15s")
	return used.ReplaceAllString(expr, ".*")
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// checkDashboards runs every query and every variable of the dashboards and
// waits until each returns something there.
func checkDashboards(t *testing.T, n *network, at string) {
	queries := 0
	for file, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			if v.Type == "datasource" {
				continue
			}
			m := labelValues.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Fatalf("%s: variable %s: %s", file, v.Name, v.Definition)
			}
			eventually(t, fmt.Sprintf("%s: values of %s", file, v.Name), func() bool {
				var values []string
				err := n.ask(at, "label/"+m[2]+"/values", url.Values{"match[]": {substitute(m[1])}}, &values)
				if err != nil {
					t.Log(err)
				}
				return len(values) > 0
			})
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				queries++
				expr, run := substitute(q.Expr), n.queryRange
				if q.Instant {
					run = n.query
				}
				eventually(t, fmt.Sprintf("%s: %s: an answer of %s to %s", file, p.Title, at, expr), func() bool {
					found, err := run(at, expr)
					if err != nil {
						t.Fatalf("%s: %s: %s: %v", file, p.Title, expr, err)
					}
					return len(found) > 0
				})
			}
		}
	}
	t.Logf("%s: %d queries of dashboards", at, queries)
}
