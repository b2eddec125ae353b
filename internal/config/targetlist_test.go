// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dynamic is a configuration with these inventories and a target static.
func dynamic(t testing.TB, inventories string, env ...string) *Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "netprobe.yaml")
	write(t, file, "global: {probe_name: p, interval: 60, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 300}\n"+
		"groups: {standard: {}, quiet: {permit_target_auto_register: false}}\ntargets: {static: {type: ICMPping, destination: 192.0.2.9}}\ninventories:\n"+inventories)
	c, err := Load(Options{File: file, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustRead(t testing.TB, c *Config, inventory int, data string) *TargetList {
	t.Helper()
	l, err := c.Read(&c.Inventories[inventory], []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// names of the targets that are not static.
func namesOf(c *Config) (names []string) {
	for i := range c.Targets {
		if c.Listed(i) {
			names = append(names, c.Targets[i].Name)
		}
	}
	return names
}

// every form of a list says the same.
func TestForms(t *testing.T) {
	c := dynamic(t, "  a: {command: [sh]}\n")
	want := mustRead(t, c, 0, `{"hostname": "x", "type": "TCPsyn", "destination": "192.0.2.1", "groups": ["quiet"], "dst_port": 443, "threshold": {"loss": 5}, "timeout": 0.5, "labels": {"b": "2", "a": "1"}}`).targets
	if len(want) != 1 || len(want[0].Labels) != 2 || want[0].Labels[0] != (Label{"a", "1"}) || want[0].DstPort != 443 || want[0].DNSUpdateInterval != 300*time.Second {
		t.Fatalf("got %+v", want)
	}
	for name, text := range map[string]string{
		"JSON": "\n [{\"hostname\": \"x\",\n \"type\": \"TCPsyn\", \"destination\": \"192.0.2.1\", \"groups\": [\"quiet\"], \"dst_port\": 443, \"threshold\": {\"loss\": 5}, \"timeout\": 0.5, \"labels\": {\"a\": \"1\", \"b\": \"2\"}}]",
		"YAML": "- hostname: x\n  type: TCPsyn\n  destination: 192.0.2.1\n  groups: [quiet]\n  dst_port: 443\n  threshold: {loss: 5}\n  timeout: 0.5\n  labels: {a: '1', b: '2'}\n",
		"YAML with an anchor": "# comment\n- &x {type: TCPsyn, groups: [quiet], threshold: {loss: 5}, timeout: 0.5}\n" +
			"- {<<: *x, hostname: x, destination: 192.0.2.1, dst_port: 443, labels: {a: '1', b: '2'}}\n",
		"Prometheus": `[{"targets": ["192.0.2.1:443"], "labels": {"a": "1", "b": "2", "__meta_x": "y", "__netprobe_hostname": "x", "__netprobe_type": "TCPsyn",
			"__netprobe_groups": "quiet,", "__netprobe_threshold_loss": "5", "__netprobe_timeout": " 0.5"}}]`,
		"file_sd": "- targets: ['192.0.2.1']\n  labels: {a: '1', b: '2', __netprobe_hostname: x, __netprobe_type: TCPsyn, __netprobe_groups: quiet, __netprobe_dst_port: '443', __netprobe_threshold_loss: '5', __netprobe_timeout: '0.5'}\n",
	} {
		got := mustRead(t, c, 0, text)
		if diff := cmp.Diff(want, got.targets, comparable); diff != "" {
			t.Errorf("%s: %v: -want +got:\n%s", name, got.warnings, diff)
		}
	}
}

// Targets of Prometheus' shape, with defaults of the inventory.
func TestDiscovered(t *testing.T) {
	c := dynamic(t, "  ping: {command: [sh], defaults: {type: ICMPping, groups: [standard], address_family: ipv6, labels: {from: sd}}}\n"+
		"  syn: {command: [sh], defaults: {type: TCPsyn, groups: [standard, quiet], dst_port: 22, is_subnet: false, lifetime: 1h}}\n")
	list := `[{"targets": ["192.0.2.1:9100", "[2001:db8::1]:80", "2001:db8::2", "web.example", "https://api.example/x", "http://192.0.2.3:81", "[2001:db8::3]"]},
		{"targets": ["192.0.2.4:1"], "labels": {"instance": "db 1", "__netprobe_destination": "192.0.2.5"}, "source": "x"}, {"targets": []}]`
	for i, want := range [][]string{
		{"192.0.2.1:9100 192.0.2.1 ipv4 0", "[2001:db8::1]:80 2001:db8::1 ipv6 0", "2001:db8::2 2001:db8::2 ipv6 0", "web.example web.example ipv6 0",
			"https://api.example/x api.example ipv6 0", "http://192.0.2.3:81 192.0.2.3 ipv4 0", "[2001:db8::3] 2001:db8::3 ipv6 0"},
		{"192.0.2.1:9100 192.0.2.1 ipv4 9100", "[2001:db8::1]:80 2001:db8::1 ipv6 80", "2001:db8::2 2001:db8::2 ipv6 22", "web.example web.example ipv4 22",
			"https://api.example/x api.example ipv4 443", "http://192.0.2.3:81 192.0.2.3 ipv4 81", "[2001:db8::3] 2001:db8::3 ipv6 22"},
	} {
		l := mustRead(t, c, i, list)
		var got []string
		for _, t := range l.targets {
			got = append(got, fmt.Sprint(strings.TrimPrefix(t.Name, c.Inventories[i].Name+"_"), " ", t.Destination, " ", t.Family, " ", t.DstPort))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: -want +got:\n%s", l.warnings, diff)
		}
		if len(l.warnings) != 1 || !strings.Contains(l.warnings[0].String(), "source: not a key that is known here") {
			t.Errorf("warnings %v", l.warnings)
		}
	}
	l := mustRead(t, c, 0, list)
	if l.targets[0].Labels[0] != (Label{"from", "sd"}) || len(l.targets[0].Groups) != 1 {
		t.Errorf("defaults are not kept: %+v", l.targets[0])
	}
	for text, says := range map[string]string{
		`[{"targets": "a"}]`:                                                   `targets: read "a"`,
		`[{"targets": [5, "192.0.2.1"]}]`:                                      `read 5`,
		`[{"targets": ["192.0.2.1"], "labels": {"a": 5}}]`:                     `labels.a: read 5`,
		`[{"targets": ["192.0.2.1"], "labels": {"a-b": "x"}}]`:                 `read the name a-b`,
		`[{"targets": ["192.0.2.1"], "labels": {"a": "\u0007"}}]`:              `read "\a"`,
		`[{"targets": ["192.0.2.1"], "labels": {"a": "caf` + "\xe9\"}}]":       `not UTF-8`,
		`[{"targets": [""]}]`:                                                  `hostname: read ""`,
		`[{"targets": ["x y"]}]`:                                               `destination: read "x y"`,
		`[{"targets": ["192.0.2.1"], "labels": {"__netprobe_type": "icmp"}}]`:  `type: read "icmp"`,
		`[{"targets": ["192.0.2.1"], "labels": {"__netprobe_dst_port": "0"}}]`: `dst_port: read 0`,
	} {
		good := `[{"targets": ["192.0.2.9"]}, `
		l := mustRead(t, c, 0, good+text[1:])
		if len(l.targets) < 1 || len(l.warnings) != 1 || !strings.Contains(l.warnings[0].String(), says) || !strings.Contains(l.warnings[0].String(), "not loaded") {
			t.Errorf("%s: %v, want one that says %q", text, l.warnings, says)
		}
	}
}

// What is no list at all is refused as a whole, in one line.
func TestRubbish(t *testing.T) {
	c := dynamic(t, "  a: {command: [sh], max_targets: 20}\n  y: {command: [sh], format: yaml}\n  j: {command: [sh], format: json}\n  l: {command: [sh], format: jsonl}\n")
	item := `{"hostname": "h%d", "type": "ICMPping", "destination": "192.0.2.1", "groups": ["standard"]}`
	var many strings.Builder
	for i := range 21 {
		fmt.Fprintf(&many, item+"\n", i)
	}
	for _, tt := range []struct {
		inventory  int
		text, says string
	}{
		{0, "", "empty"},
		{0, " \n", "empty"},
		{0, "[", "line 1"},
		{0, "[{}\n{}]", "line 2"},
		{0, "<html>\n<body>", "no list"},
		{0, "- [}", "no list of YAML"},
		{0, "hosts:\n- a", "no list"},
		{0, "- caf\xe9", "UTF-8"},
		{0, strings.Repeat("rubbish ", 1_500_000), "no list"},
		{0, many.String(), "more than 20 targets"},
		{0, "[" + strings.Join(strings.Split(strings.TrimSpace(many.String()), "\n"), ",") + "]", "more than 20 targets"},
		{0, "- {targets: [a" + strings.Repeat(", a", 20) + "], labels: {__netprobe_type: ICMPping, __netprobe_groups: standard}}", "more than 20 targets"},
		{1, "- {}\n---\n- {}", "more than one YAML document"},
		{2, "{}", "no JSON list"},
		{0, `{"error": "down for maintenance"}`, "no target that can be probed, and 1 bad; correct it, the first is: inventory a:1: "},
		{0, `[{"error": "down for maintenance"}]`, "no target that can be probed, and 1 bad"},
		{1, "- error", "no target that can be probed, and 1 bad"},
		{3, "502 Bad Gateway\nnginx", "no target that can be probed, and 2 bad; correct it, the first is: inventory l:1: inventories.l: not JSON"},
		{2, "", "line 1"},
		{0, "[" + strings.Repeat(`{"hostname": "x"},`, 600_000) + "{}]", "more than 1000 of its targets are bad"},
		{3, strings.Repeat("rubbish\n", 1_500_000), "more than 1000 of its targets are bad"},
		{1, strings.Repeat("- x\n", 20_000), "more than 1000 of its targets are bad"},
	} {
		l, err := c.Read(&c.Inventories[tt.inventory], []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 1000 {
			t.Errorf("%.40q: %v, %v; want %q", tt.text, l, err, tt.says)
		}
	}
	// Anchors that merge one another take no memory.
	bomb := "- &a0 {a: 1}\n"
	for i := range 40 {
		bomb += fmt.Sprintf("- &a%d {<<: [*a%d, *a%d], k%d: 1}\n", i+1, i, i, i)
	}
	for range 200 {
		bomb += "- {<<: [" + strings.Repeat("*a40, ", 100) + "]}\n"
	}
	if _, err := c.Read(&c.Inventories[1], []byte(bomb)); err == nil || !strings.Contains(err.Error(), "merge keys add up") {
		t.Errorf("got %v", err)
	}
}

// Names are those of the first target, in the order of the configuration; who
// was hidden comes back. Targets go when their lifetime is over.
func TestWith(t *testing.T) {
	c := dynamic(t, "  a: {command: [sh], defaults: {type: ICMPping, groups: [standard]}}\n  a_b: {command: [sh], defaults: {type: ICMPping, groups: [standard]}}\n")
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	read := func(inventory int, hosts ...string) *TargetList {
		var items []string
		for _, h := range hosts {
			name, more, _ := strings.Cut(h, "|")
			items = append(items, fmt.Sprintf(`{"hostname": %q, "destination": "192.0.2.1"%s}`, name, more))
		}
		return mustRead(t, c, inventory, "["+strings.Join(items, ",\n")+"]")
	}
	check := func(c *Config, warnings int, want ...string) *Config {
		t.Helper()
		if diff := cmp.Diff(want, namesOf(c)); diff != "" || c.Targets[0].Name != "static" || len(c.Warnings) != warnings {
			t.Errorf("warnings %v: -want +got:\n%s", c.Warnings, diff)
		}
		for i := range c.Targets {
			if f := c.Fault("r", "a", "targets", c.Targets[i].Name); c.Listed(i) != strings.HasPrefix(f.File, "inventory a") || f.Line == 0 {
				t.Errorf("%s was read at %s", c.Targets[i].Name, f)
			}
			if c.FromInventory(c.Targets[i].Name) != c.Listed(i) {
				t.Errorf("%s: listed %t", c.Targets[i].Name, c.Listed(i))
			}
		}
		return c
	}
	if len(c.TargetLists()) != 0 {
		t.Errorf("lists before any was read: %v", c.TargetLists())
	}
	one := check(c.With(now, read(1, "x", "y", "x")), 1, "a_b_x", "a_b_y")
	if one.Repeated["a_b_x"] != 1 || len(one.TargetLists()) != 1 || !one.JudgesAs(c) {
		t.Errorf("repeated %v, lists %v", one.Repeated, one.TargetLists())
	}
	two := check(one.With(now, read(0, "z", "b_y")), 2, "a_z", "a_b_y", "a_b_x") // a_b_y of inventory a hides that of a_b
	if two.Repeated != nil {
		t.Errorf("what was read before is counted again: %v", two.Repeated)
	}
	if f := two.Warnings[0]; f.Line != 2 || !strings.Contains(f.Read, "first in inventory a:2") {
		t.Errorf("warning %s", f)
	}
	check(two.With(now, read(0, "z")), 1, "a_z", "a_b_x", "a_b_y")
	check(two.With(now, read(0)), 1, "a_b_x", "a_b_y")
	check(one, 1, "a_b_x", "a_b_y") // nothing was changed in place

	lived := `|, "creation_date": "2026-01-31T13:00:00+01:00", "lifetime": `
	brief := read(0, "never"+lived+"0", "hour"+lived+`"1h"`, "minute"+lived+"60.5", "over"+lived+"-86400", "undated|, \"lifetime\": 1",
		`unix|, "creation_date": 1769860800, "lifetime": 30`)
	three := check(c.With(now, brief), 0, "a_never", "a_hour", "a_minute", "a_undated", "a_unix")
	soonest := three.TargetLists()[0].Soonest()
	if want := now.Add(30 * time.Second); !soonest.Equal(want) {
		t.Errorf("the first goes at %v, want %v", soonest, want)
	}
	check(three.With(soonest), 0, "a_never", "a_hour", "a_minute", "a_undated")
	four := check(three.With(now.Add(time.Hour), read(1, "x")), 0, "a_never", "a_undated", "a_b_x")
	if !four.TargetLists()[0].Soonest().IsZero() || four.TargetLists()[0].Len() != 2 {
		t.Errorf("one more goes: %+v", four.TargetLists()[0])
	}
}

// Secrets come from keys, files and the environment, and are not shown.
func TestInventorySecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), hidden)
	c := dynamic(t, "  my-cmdb.1: {url: 'http://192.0.2.1/?key="+hidden+"', user: me, password: "+hidden+"}\n"+
		"  plain: {url: 'http://192.0.2.1/'}\n  api: {url: 'http://192.0.2.1/', bearer_token_file: "+filepath.Join(dir, "token")+"}\n  run: {command: [sh], environment: {TOKEN: "+hidden+"}}\n",
		"NETPROBE_INVENTORIES__PLAIN__BEARER_TOKEN="+hidden, "NETPROBE_INVENTORIES__MY_CMDB_1__PASSWORD_FILE="+filepath.Join(dir, "token"))
	first, plain, api := c.Inventories[0].HTTP, c.Inventories[1].HTTP, c.Inventories[2].HTTP
	if first.Username != "me" || first.Password.File() == "" || !plain.Token.Set() || plain.Token.File() != "" || api.Token.File() != filepath.Join(dir, "token") {
		t.Errorf("got %v, %v, %v", first, plain, api)
	}
	if first.Interval != time.Minute || first.Timeout != 10*time.Second || first.MaxBytes != 64<<20 {
		t.Errorf("defaults %+v", first)
	}
	asJSON, err := json.Marshal([]any{first.Password, plain.Token, api.Token})
	if err != nil || strings.Contains(fmt.Sprintf("%v %+v %#v %s", plain, plain, plain, asJSON), hidden) {
		t.Errorf("a secret is shown: %v", err)
	}
	for env, says := range map[string]string{
		"NETPROBE_INVENTORIES__PLAIN__BEARER_TOKEN=":                   "read nothing",
		"NETPROBE_INVENTORIES__RUN__PASSWORD=" + hidden:                "not a variable that is known",
		"NETPROBE_INVENTORIES__NOBODY__PASSWORD=" + hidden:             "not a variable that is known",
		"NETPROBE_INVENTORIES__PLAIN__BEARER_TOKEN_FILE=/nowhere/else": "/nowhere/else",
		"NETPROBE_INVENTORIES__PLAIN__PASSWORD=" + hidden:              "user and password",
	} {
		_, err := Load(Options{File: c.File, Env: []string{env}})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// FuzzTargetList: whatever a list holds, its targets keep their promises, and all that
// is said is one line each.
func FuzzTargetList(f *testing.F) {
	for _, text := range []string{"", "[]", "- {}", "- &a {hostname: x}\n- {<<: *a}", `[{"targets": ["a:1"], "labels": {"__netprobe_type": "TCPsyn"}}]`,
		"- {hostname: x, destination: 192.0.2.1, creation_date: 2026-01-31T12:00:00Z, lifetime: 1h}"} {
		f.Add([]byte(text), uint8(0))
	}
	if text, err := os.ReadFile(filepath.Join("testdata", "inventory", "good.jsonl")); err == nil {
		f.Add(text, uint8(1))
	}
	c := dynamic(f, "  a: {command: [sh], defaults: {type: TCPsyn, groups: [quiet], dst_port: 1}}\n  b: {command: [sh], max_targets: 100}\n")
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		l, err := c.Read(&c.Inventories[which%2], data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Fatalf("not one line: %q", err)
			}
			return
		}
		next := c.With(time.Now(), l)
		if err := promises(next); err != nil {
			t.Fatal(err)
		}
		for _, w := range next.Warnings {
			if s := w.String(); strings.ContainsAny(s, "\n\r\x1b") {
				t.Fatalf("not one line: %q", s)
			}
		}
		if all := namesOf(next); len(all) != len(slices.Compact(slices.Sorted(slices.Values(all)))) {
			t.Fatalf("a name twice: %q", all)
		}
	})
}

// What others say of a configuration stays when lists come.
func TestWarn(t *testing.T) {
	c := dynamic(t, "  a: {command: [sh]}\n")
	before := len(c.Warnings)
	c.Warn(Fault{Read: "a key that everybody may read"})
	l := mustRead(t, c, 0, `{"hostname": "x", "type": "ICMPping", "destination": "192.0.2.1", "groups": ["standard"]}`)
	for _, c := range []*Config{c, c.With(time.Now(), l)} {
		if len(c.Warnings) != before+1 || c.Warnings[before].Read != "a key that everybody may read" {
			t.Errorf("got %v", c.Warnings)
		}
	}
}
