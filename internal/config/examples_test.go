// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var switchedOff = regexp.MustCompile(`(?m)^( *)#([a-z])`)

// The examples are valid, with and without the keys that are switched off, and
// hold every key there is.
func TestExamples(t *testing.T) {
	configs := filepath.Join("..", "..", "configs")
	file, settings := filepath.Join(configs, "netprobe.yaml"), filepath.Join(configs, "settings.yaml")
	c := mustLoad(t, Options{File: file, Settings: settings})

	dir := filepath.Join(t.TempDir(), "configs")
	for _, needed := range []string{"cmdb.password", "ca.pem", "client.pem", "client.key", "api.token", "list-sites.sh", "../scripts/netprobify-inventory.py"} {
		needed = filepath.Join(dir, needed)
		if err := os.MkdirAll(filepath.Dir(needed), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(needed, []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var text, list []byte
	for _, name := range []string{"settings.yaml", "racks.jsonl", "blocked.txt", "allowed.txt", "netprobe.yaml"} {
		var err error
		if text, err = os.ReadFile(filepath.Join(configs, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), switchedOff.ReplaceAll(text, []byte("$1$2")), 0o644); err != nil {
			t.Fatal(err)
		}
		if name == "racks.jsonl" {
			list = text
		}
	}
	whole := mustLoad(t, Options{File: filepath.Join(dir, "netprobe.yaml"), Settings: filepath.Join(dir, "settings.yaml")})

	for _, s := range sections {
		for _, f := range s.fields {
			if _, _, ok := whole.positions.get([]string{s.name, f.name}); !ok {
				t.Errorf("%s.%s is in neither example", s.name, f.name)
			}
		}
	}
	present := func(section, name string, below ...string) bool {
		_, _, ok := whole.positions.get(append([]string{section, name}, below...))
		return ok
	}
	for _, k := range groupKeys {
		if !present("groups", "marked", k.name) {
			t.Errorf("no group has %s", k.name)
		}
	}
	for _, k := range targetKeys {
		if !present("targets", "web", k.name) && !present("targets", "rack", k.name) {
			t.Errorf("no target has %s", k.name)
		}
	}
	for _, k := range thresholdKeys {
		if !present("targets", "web", "threshold", k.name) {
			t.Errorf("no threshold has %s", k.name)
		}
	}
	for _, k := range explicitKeys {
		if !present("targets", "web", "explicit_groups", k.name) {
			t.Errorf("no explicit_groups has %s", k.name)
		}
	}
	for _, k := range inventoryKeys {
		there := k.name == "password" || k.name == "bearer_token" // better in a file
		for _, name := range []string{"racks", "cmdb", "api", "sites"} {
			there = there || present("inventories", name, k.name)
		}
		if !there {
			t.Errorf("no inventory of the example has %s", k.name)
		}
	}
	for _, k := range listedKeys {
		if !strings.Contains(string(list), `"`+k.name+`":`) {
			t.Errorf("no line of racks.jsonl has %s", k.name)
		}
	}
	for _, name := range typeNames() {
		if !strings.Contains(string(text), "type: "+name) {
			t.Errorf("no target is of type %s", name)
		}
	}

	// settings.yaml says that it holds the defaults.
	defaults, err := Default(Defaults{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults.Engine, c.Engine, comparable) + cmp.Diff(defaults.Safety, c.Safety, comparable) + cmp.Diff(defaults.Metrics, c.Metrics, comparable); diff != "" {
		t.Errorf("settings.yaml is not the defaults: -want +got:\n%s", diff)
	}
	if len(whole.Targets) != len(c.Targets)+strings.Count(string(list), "\n") {
		t.Errorf("%d targets, and %d with racks.jsonl", len(c.Targets), len(whole.Targets))
	}
	if w := whole.Warnings; len(c.Warnings) > 0 || len(w) != 1 || w[0].Key != "groups.marked.src_ip" {
		t.Errorf("the examples have warnings: %v, %v", c.Warnings, w)
	}
	for _, target := range whole.Targets {
		if a, err := netip.ParseAddr(target.Destination); err == nil && !documentation(a) {
			t.Errorf("%s: %s is somebody's", target.Name, a)
		}
	}
}

// documentation says whether an address is reserved for examples (RFC 5737,
// RFC 3849).
func documentation(a netip.Addr) bool {
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}
