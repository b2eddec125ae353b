// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
)

// The good lines work, and each bad one is named.
func TestInventories(t *testing.T) {
	dir := filepath.Join("testdata", "inventory")
	file := filepath.Join(dir, "inventory.yaml")
	c := mustLoad(t, Options{File: file, Settings: filepath.Join(dir, "inventory.settings.yaml")})

	base := Target{Description: "from_DCv3Lan", Type: "ICMPping", Destination: "192.0.2.1", Family: "ipv4", DontFragment: true, NbPackets: 1,
		AlertLevel: "no_alert", State: "None", Timeout: time.Second, DNSUpdateInterval: 300 * time.Second, Groups: []int{0}}
	target := func(name string, change func(t *Target)) Target {
		t := base
		t.Name = name
		if change != nil {
			change(&t)
		}
		return t
	}
	want := []Target{
		target("bad_static", func(t *Target) { t.Description, t.Destination = "bad_static", "192.0.2.9" }),
		target("DCv3Lan_plain", nil),
		target("DCv3Lan_pod-1 / Node A", func(t *Target) {
			t.Type, t.Destination, t.Family, t.DstPort = "TCPsyn", "2001:db8::1", "ipv6", 443
			t.Groups, t.NbPackets, t.Timeout, t.IPPayloadSize = []int{1, 0}, 5, 250*time.Millisecond, 100
			t.ThresholdLatency, t.ThresholdLoss = number(0.1), number(5)
			t.State, t.AlertLevel, t.DNSUpdateInterval, t.DontFragment = "in production", "paging", 0, false
		}),
		target("DCv3Lan_www.example.com", func(t *Target) { t.Destination, t.Family = "www.example.com", "ipv6" }),
		target("DCv3Lan_nulls", func(t *Target) { t.Destination = "host.example" }),
		target("DCv3Lan_café", func(t *Target) { t.Timeout = 500 * time.Millisecond }),
		target("DCv3Lan_ümlaut", func(t *Target) { t.Destination, t.IsSubnet = "192.0.2.0/30", true }),
		target("bad_good", func(t *Target) { t.Description = "from_bad" }),
		target("bad_last", func(t *Target) { t.Description = "from_bad" }),
	}
	if diff := cmp.Diff(want, c.Targets, comparable); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantNotices := []string{
		"inventory idle is not loaded: global.disable_dynamic_inventories names it",
		"inventory DCv3Lan: 6 targets from " + filepath.Join(dir, "good.jsonl"),
		"inventory bad: 2 targets from " + filepath.Join(dir, "bad.jsonl"),
		"inventory none: 0 targets from " + filepath.Join(dir, "empty.jsonl"),
	}
	if diff := cmp.Diff(wantNotices, c.Notices[:len(wantNotices)]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	var said strings.Builder
	for _, w := range c.Warnings {
		said.WriteString(strings.ReplaceAll(w.String(), dir+string(filepath.Separator), "") + "\n")
	}
	golden := filepath.Join(dir, "warnings.want")
	if *update {
		if err := os.WriteFile(golden, []byte(said.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantSaid, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wantSaid), said.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	for want, path := range map[string][]string{
		"good.jsonl:1: targets.DCv3Lan_plain.destination: r; a":    {"targets", "DCv3Lan_plain", "destination"},
		"good.jsonl:4: targets.DCv3Lan_www.example.com: r; a":      {"targets", "DCv3Lan_www.example.com"},
		"good.jsonl:7: targets.DCv3Lan_ümlaut.is_subnet: r; a":     {"targets", "DCv3Lan_ümlaut", "is_subnet"},
		"bad.jsonl:1: targets.bad_good.groups: r; a":               {"targets", "bad_good", "groups"},
		"bad.jsonl:53: targets.bad_last: r; a":                     {"targets", "bad_last"},
		"inventory.yaml:15: targets.bad_static.type: r; a":         {"targets", "bad_static", "type"},
		"inventory.yaml:14: targets.nobody.type: r; a":             {"targets", "nobody", "type"},
		"inventory.settings.yaml:2: inventories.bad.file: r; a":    {"inventories", "bad", "file"},
		"inventory.yaml:12: inventories.DCv3Lan.max_targets: r; a": {"inventories", "DCv3Lan", "max_targets"},
	} {
		if got := strings.TrimPrefix(c.Fault("r", "a", path...).String(), dir+string(filepath.Separator)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Files that cannot be read are all named; with nothing else wrong the exit code
// says so.
func TestUnreadableInventories(t *testing.T) {
	dir := filepath.Join("testdata", "inventory")
	file := filepath.Join(dir, "unread.yaml")
	_, err := Load(Options{File: file})
	want := file + ":11: inventories.missing.file: cannot read " + filepath.Join(dir, "nowhere", "hosts.jsonl") + ": there is no such file; check the name\n" +
		file + ":12: inventories.folder.file: cannot read " + dir + ": it is a directory; name a file in it"
	if err == nil || err.Error() != want || exitcode.Of(err) != exitcode.NoInput {
		t.Errorf("exit code %d\ngot  %v\nwant %s", exitcode.Of(err), err, want)
	}
	_, err = Load(Options{File: file, Env: []string{"NETPROBE_GLOBAL__INTERVAL=0"}})
	if err == nil || !strings.HasPrefix(err.Error(), want+"\n") || exitcode.Of(err) != exitcode.Config {
		t.Errorf("with another fault: exit code %d, %v", exitcode.Of(err), err)
	}
}

// Without a file of targets, inventories of the settings are loaded all the same.
func TestDefaultInventories(t *testing.T) {
	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.yaml")
	write(t, settings, "inventories: {dc: {file: dc.jsonl}}")
	write(t, filepath.Join(dir, "dc.jsonl"), `{"hostname": "web", "type": "ICMPping", "destination": "192.0.2.7", "groups": ["default"]}`)
	c, err := Default(Defaults{Options: Options{Settings: settings}, Gateways: addrs("192.0.2.1")})
	if err != nil || len(c.Targets) != 2 || c.Targets[1].Name != "dc_web" {
		t.Errorf("got %v, %+v", err, c)
	}
}

// A flood of bad lines and of unknown keys is counted, not repeated.
func TestInventoryFlood(t *testing.T) {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "{%q: 1}\n", fmt.Sprint("key", i))
	}
	b.WriteString(`{"hostname": "good", "type": "ICMPping", "destination": "192.0.2.1", "groups": ["standard"]}`)
	c := mustLoad(t, Options{File: inventoryOf(t, b.String())})
	if n := len(c.Warnings); n != maxBadNamed+1+maxKeysNamed+1 {
		t.Errorf("%d warnings", n)
	}
	if i := slices.IndexFunc(c.Warnings, func(f Fault) bool { return f.Read == "400 more bad lines from here on are not loaded" }); i < 0 || c.Warnings[i].Line != 101 {
		t.Errorf("got %v", c.Warnings)
	}
	if i := slices.IndexFunc(c.Warnings, func(f Fault) bool { return strings.HasPrefix(f.Read, "further keys") }); i < 0 || c.Warnings[i].Line != 21 {
		t.Errorf("got %v", c.Warnings)
	}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inventoryOf writes a configuration with one inventory, dc.
func inventoryOf(t testing.TB, lines string) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "netprobe.yaml")
	write(t, file, "global: {probe_name: p, interval: 60, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 0}\n"+
		"groups: {standard: {}, quiet: {permit_target_auto_register: false}}\ninventories: {dc: {file: dc.jsonl}}\n")
	write(t, filepath.Join(dir, "dc.jsonl"), lines)
	return file
}

// newTestListing returns a listing that knows some lists of groups by their
// text.
func newTestListing(base Target) *listing {
	c := &Config{Groups: []Group{{Name: "standard"}, {Name: "quiet"}}}
	inv := &Inventory{Name: "dc", MaxTargets: 10, base: base, hasType: base.Type != "", hasGroups: base.Groups != nil}
	l := newListing(c, inv, "dc.jsonl")
	for _, groups := range []string{`["standard"]`, `["quiet", "standard"]`} {
		for line := range inventory.Load(strings.NewReader(`{"hostname": "h", "type": "ICMPping", "destination": "h", "groups": ` + groups + `}`)) {
			l.take(line)
		}
	}
	return l
}

// judged reads a line the long way.
func (l *listing) judged(line *inventory.Line) (Target, *Fault) {
	root, fault := l.parse(line)
	if fault != nil {
		return Target{}, fault
	}
	if isDiscovered(root) {
		return Target{}, l.fault(line.Number, "a group", "")
	}
	t, fault := l.judge(root, line.Number)
	if fault != nil {
		return Target{}, fault
	}
	return t.Target, nil
}

// FuzzLine: what a plain line gives at a glance is what the rules for the section
// targets give, and a line that these refuse is never taken.
func FuzzLine(f *testing.F) {
	for _, name := range []string{"good.jsonl", "bad.jsonl"} {
		text, err := os.ReadFile(filepath.Join("testdata", "inventory", name))
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if len(line) < 10_000 {
				f.Add(line)
			}
		}
	}
	withDefaults := defaultTarget
	withDefaults.Type, withDefaults.Groups, withDefaults.DstPort, withDefaults.Family = "TCPsyn", []int{1}, 443, "ipv6"
	listings := []*listing{newTestListing(defaultTarget), newTestListing(withDefaults)}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, l := range listings {
			for line, err := range inventory.Load(bytes.NewReader(text)) {
				if err != nil {
					t.Fatal(err)
				}
				checkLine(t, l, line)
			}
		}
	})
}

func checkLine(t *testing.T, l *listing, line *inventory.Line) {
	want, fault := l.judged(line)
	if fault != nil {
		if s := fault.String(); strings.ContainsAny(s, "\n\r\x1b") || fault.Line != line.Number || fault.File != "dc.jsonl" {
			t.Fatalf("fault of line %d: %q", line.Number, s)
		}
	} else if err := promises(&Config{Targets: []Target{want}, Groups: []Group{{Name: "standard", SrcPortA: 1, SrcPortZ: 1}, {Name: "quiet", SrcPortA: 1, SrcPortZ: 1}},
		Global: Global{ProbeName: "p", Interval: 1, PrometheusPort: 1}, Engine: Engine{Tick: 1}, Safety: Safety{MaxPPS: 1, MaxPrefixPPS: 1}, Metrics: Metrics{MaxSeries: 1}}); err != nil {
		t.Fatal(err)
	}
	if !line.Plain {
		return
	}
	if got, ok := l.plain(&line.Target); ok && (fault != nil || !reflect.DeepEqual(got, want)) {
		t.Fatalf("%s:\nat a glance %+v\njudged      %+v, %v", line.Text, got, want, fault)
	}
}

// TestPlainIsTaken: the usual lines do not take the long way.
func TestPlainIsTaken(t *testing.T) {
	l := newTestListing(defaultTarget)
	text, err := os.ReadFile(filepath.Join("testdata", "inventory", "good.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range inventory.Load(bytes.NewReader(text)) {
		_, ok := l.plain(&line.Target)
		if want := line.Number == 1 || line.Number == 4; want != (line.Plain && ok) {
			t.Errorf("line %d: plain %t, taken %t", line.Number, line.Plain, ok)
		}
	}
}

// BenchmarkInventory loads a file of a million lines and says what each target
// costs, and what it goes on holding.
func BenchmarkInventory(b *testing.B) {
	for _, shape := range []struct{ name, line string }{
		{"short", `{"hostname": "host-%[1]d", "type": "ICMPping", "destination": "10.%[2]d.%[3]d.%[4]d", "groups": ["standard"]}` + "\n"},
		{"every key", `{"hostname": "host-%[1]d.example.com", "type": "TCPsyn", "destination": "10.%[2]d.%[3]d.%[4]d", "address_family": "ipv4", "dst_port": 1%[4]d, "groups": ["standard", "quiet"], "nb_packets": 3, "timeout": 0.5, "ip_payload_size": 64, "dont_fragment": true, "is_subnet": false, "threshold": {"latency": 0.2, "loss": 5}, "state": "in production", "alert_level": "paging", "owner": null}` + "\n"},
		{"judged", `{"hostname": "h\u006fst-%[1]d", "type": "ICMPping", "destination": "10.%[2]d.%[3]d.%[4]d", "groups": ["standard"]}` + "\n"},
	} {
		b.Run(shape.name, func(b *testing.B) {
			const n = 1_000_000
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, shape.line, i, i>>16, i>>8&255, i&255)
			}
			file := inventoryOf(b, text.String())
			text.Reset()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ReportAllocs()
			var c *Config
			for b.Loop() {
				c = nil
				var err error
				if c, err = Load(Options{File: file}); err != nil || len(c.Targets) != n {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/target")
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/n, "heap-B/target")
			b.ReportMetric(float64(reflect.TypeFor[Target]().Size()), "struct-B")
			runtime.KeepAlive(c)
		})
	}
}
