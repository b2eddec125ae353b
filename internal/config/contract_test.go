// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// contractKey is a key that netprobify knows, written down by hand: it must not
// follow the code.
type contractKey struct {
	section, name string
	required      bool
	good, bad     []string          // values in YAML
	value         func(*Config) any // what became of the key
	absent        any               // that without the key, and with null
	last          any               // that with the last of good
}

var contract = []contractKey{
	{"global", "probe_name", true, []string{"a", "0_-.z"}, []string{"A", "a b", "ü", `""`, "1", "[a]"}, func(c *Config) any { return c.Global.ProbeName }, nil, "0_-.z"},
	{"global", "interval", true, []string{"1", "30"}, []string{"30.0", "'30'", "true", "0", "-1"}, func(c *Config) any { return c.Global.Interval }, nil, 30 * time.Second},
	{"global", "interval_packets", false, []string{"0", "'0.1'", "0.1"}, []string{"fast", "true", "-1"}, func(c *Config) any { return c.Global.IntervalPackets }, time.Duration(0), 100 * time.Millisecond},
	{"global", "nb_proc", false, []string{"0", "8"}, []string{"8.5", "many"}, nil, nil, nil}, // required there, no longer needed
	{"global", "verbose", false, []string{"0", "1"}, []string{"2", "true"}, nil, nil, nil},
	{"global", "logging_level", true, []string{"CRITICAL", "ERROR", "WARNING", "INFO", "NOTSET", "DEBUG"}, []string{"debug", "TRACE", "1"}, func(c *Config) any { return c.Global.LoggingLevel }, nil, "DEBUG"},
	{"global", "prometheus_port", true, []string{"8000", "65535"}, []string{"0", "65536", "'80'"}, func(c *Config) any { return c.Global.PrometheusPort }, nil, 65535},
	{"global", "prometheus_address", false, []string{"127.0.0.1", "'::1'", "localhost"}, []string{"80", "a b"}, func(c *Config) any { return c.Global.PrometheusAddress }, "0.0.0.0", "localhost"},
	{"global", "dns_update_interval", true, []string{"0", "-1", "300"}, []string{"1.5", "never"}, func(c *Config) any { return c.Global.DNSUpdateInterval }, nil, 300 * time.Second},
	{"global", "reload_conf_interval", false, []string{"0", "60"}, []string{"1.5", "often"}, func(c *Config) any { return c.Global.ReloadConfInterval }, time.Duration(0), time.Minute},
	{"global", "l3_raw_socket", false, []string{"true", "false"}, []string{"yes", "1"}, nil, nil, nil},
	{"global", "timeout", false, []string{"3600", "0.5"}, []string{"never"}, nil, nil, nil},
	{"global", "percentile", false, []string{"[]", "[1, 100]", "[95, 50, 99]"}, []string{"95", "[99.9]", "[0]", "[101]"}, func(c *Config) any { return c.Global.Percentiles }, []int{95, 50}, []int{95, 50, 99}},
	{"global", "disable_dynamic_inventories", false, []string{"[]", "[network_devices]"}, []string{"network_devices", "[1]"}, func(c *Config) any { return c.Global.DisableDynamicInventories }, []string(nil), []string{"network_devices"}},

	{"groups", "src_ip", false, []string{"192.0.2.1"}, []string{"here", "'2001:db8::1'"}, func(c *Config) any { return c.Groups[0].SrcIPv4.String() }, "invalid IP", "192.0.2.1"},
	{"groups", "src_ipv4", false, []string{"192.0.2.1"}, []string{"here", "'2001:db8::1'"}, func(c *Config) any { return c.Groups[0].SrcIPv4.String() }, "invalid IP", "192.0.2.1"},
	{"groups", "src_ipv6", false, []string{"'2001:db8::1'"}, []string{"here", "192.0.2.1"}, func(c *Config) any { return c.Groups[0].SrcIPv6.String() }, "invalid IP", "2001:db8::1"},
	{"groups", "src_subnet_ipv4", false, []string{"192.0.2.0/29"}, []string{"192.0.2.1/29", "all"}, func(c *Config) any { return c.Groups[0].SrcSubnetIPv4.String() }, "invalid Prefix", "192.0.2.0/29"},
	{"groups", "src_subnet_ipv6", false, []string{"'2001:db8::/125'"}, []string{"'2001:db8::1/125'", "all"}, func(c *Config) any { return c.Groups[0].SrcSubnetIPv6.String() }, "invalid Prefix", "2001:db8::/125"},
	{"groups", "src_port_a", false, []string{"1", "64000"}, []string{"0", "70000", "'1'"}, func(c *Config) any { return c.Groups[0].SrcPortA }, uint16(65000), uint16(64000)},
	{"groups", "src_port_z", false, []string{"65000", "65099"}, []string{"0", "70000", "'1'"}, func(c *Config) any { return c.Groups[0].SrcPortZ }, uint16(65001), uint16(65099)},
	{"groups", "ip_payload_size", false, []string{"0", "1024"}, []string{"-1", "70000", "big"}, func(c *Config) any { return c.Groups[0].IPPayloadSize }, 0, 1024},
	{"groups", "dscp", false, []string{"0", "63", "46"}, []string{"64", "-1", "EF"}, func(c *Config) any { return c.Groups[0].DSCP }, uint8(0), uint8(46)},
	{"groups", "permit_target_auto_register", false, []string{"true", "false"}, []string{"no", "0"}, func(c *Config) any { return c.Groups[0].PermitAutoRegister }, true, false},

	{"targets", "description", false, []string{"a door", "''"}, []string{"1", "[a]"}, func(c *Config) any { return c.Targets[0].Description }, "web", ""},
	{"targets", "type", true, []string{"TCPsyn", "UDPunreachable", "ICMPping"}, []string{"iperf", "icmpping", "1"}, func(c *Config) any { return c.Targets[0].Type }, nil, "ICMPping"},
	{"targets", "destination", true, []string{"192.0.2.1", "'2001:db8::1'", "host.example.com", "192.168.*.1-5"}, []string{"1", "a b", "192.0.2.0/24"}, func(c *Config) any { return c.Targets[0].Destination }, nil, "192.168.*.1-5"},
	{"targets", "address_family", false, []string{"ipv4"}, []string{"IPv4", "inet", "4"}, func(c *Config) any { return c.Targets[0].Family }, "ipv4", "ipv4"},
	{"targets", "dont_fragment", false, []string{"true", "false"}, []string{"no", "0"}, func(c *Config) any { return c.Targets[0].DontFragment }, true, false},
	{"targets", "is_subnet", false, []string{"false", "true"}, []string{"yes", "1"}, func(c *Config) any { return c.Targets[0].IsSubnet }, false, true},
	{"targets", "dst_port", false, []string{"1", "443"}, []string{"0", "70000", "'80'"}, func(c *Config) any { return c.Targets[0].DstPort }, uint16(80), uint16(443)},
	{"targets", "nb_packets", false, []string{"1", "20"}, []string{"0", "-1", "1.5"}, func(c *Config) any { return c.Targets[0].NbPackets }, 1, 20},
	{"targets", "ip_payload_size", false, []string{"0", "1000"}, []string{"-1", "70000"}, func(c *Config) any { return c.Targets[0].IPPayloadSize }, 0, 1000},
	{"targets", "threshold", false, []string{"{loss: 1}", "{latency: '0.1'}"}, []string{"{}", "1", "null", "{jitter: 1}"}, func(c *Config) any { return thresholds(c) }, "<nil> <nil>", "0.1 <nil>"},
	{"targets", "alert_level", false, []string{"paging_validation", "sandbox", "no_alert", "paging"}, []string{"PAGING", "1"}, func(c *Config) any { return c.Targets[0].AlertLevel }, "no_alert", "paging"},
	{"targets", "state", false, []string{"in production", "validation"}, []string{"production", "1"}, func(c *Config) any { return c.Targets[0].State }, "None", "validation"},
	{"targets", "timeout", false, []string{"1", "'0.5'", "0.5"}, []string{"0", "-1", "long"}, func(c *Config) any { return c.Targets[0].Timeout }, time.Second, 500 * time.Millisecond},
	{"targets", "dns_update_interval", false, []string{"0", "60"}, []string{"1.5", "never"}, func(c *Config) any { return c.Targets[0].DNSUpdateInterval }, 300 * time.Second, time.Minute},
	{"targets", "auto_register_to_groups", false, []string{"true", "false"}, []string{"no", "0"}, func(c *Config) any { return len(c.Targets[0].Groups) }, 1, 0},
	{"targets", "explicit_groups", false, []string{"{register_to: [g]}", "{exclude_from: [g]}"}, []string{"[g]", "{join: [g]}", "{register_to: g}"}, func(c *Config) any { return len(c.Targets[0].Groups) }, 1, 0},

	{"threshold", "latency", false, []string{"1", "'0.1'", "1e-3"}, []string{"fast"}, func(c *Config) any { return thresholds(c) }, "<nil> 1", "0.001 1"},
	{"threshold", "loss", false, []string{"1", "'0.1'", "0.5"}, []string{"some"}, func(c *Config) any { return thresholds(c) }, "1 <nil>", "1 0.5"},
	{"explicit_groups", "register_to", false, []string{"[]", "[g]"}, []string{"g", "[G]"}, func(c *Config) any { return len(c.Targets[0].Groups) }, 0, 0}, // exclusion wins
	{"explicit_groups", "exclude_from", false, []string{"[]", "[nobody]", "[g]"}, []string{"g", "[G]"}, func(c *Config) any { return len(c.Targets[0].Groups) }, 1, 0},
}

func thresholds(c *Config) string {
	show := func(f *float64) string {
		if f == nil {
			return "<nil>"
		}
		return fmt.Sprint(*f)
	}
	return show(c.Targets[0].ThresholdLatency) + " " + show(c.Targets[0].ThresholdLoss)
}

// The keys of netprobify's sections are exactly those of the contract.
func TestContractKeys(t *testing.T) {
	known := map[string][]string{}
	for _, s := range sections {
		if !s.ours {
			known[s.name] = s.names()
		}
	}
	names := func(section string, name func(int) string, n int) {
		for i := range n {
			known[section] = append(known[section], name(i))
		}
	}
	names("groups", func(i int) string { return groupKeys[i].name }, len(groupKeys))
	names("targets", func(i int) string { return targetKeys[i].name }, len(targetKeys))
	names("threshold", func(i int) string { return thresholdKeys[i].name }, len(thresholdKeys))
	names("explicit_groups", func(i int) string { return explicitKeys[i].name }, len(explicitKeys))
	want := map[string][]string{}
	for _, k := range contract {
		want[k.section] = append(want[k.section], k.name)
	}
	for _, all := range []map[string][]string{known, want} {
		for _, keys := range all {
			slices.Sort(keys)
		}
	}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("-contract +known:\n%s", diff)
	}
}

// base has what every configuration needs, and each map that a key may be in.
func base() map[string]map[string]string {
	return map[string]map[string]string{
		"global":          {"probe_name": "p", "interval": "10", "nb_proc": "8", "logging_level": "INFO", "prometheus_port": "8000", "dns_update_interval": "300"},
		"groups":          {},
		"targets":         {"type": "TCPsyn", "destination": "192.0.2.1", "dst_port": "80"},
		"threshold":       {"latency": "1", "loss": "1"},
		"explicit_groups": {"register_to": "[g]", "exclude_from": "[g]"},
	}
}

// assemble puts the maps together. The two inner ones are there only when a key of
// theirs is tried.
func assemble(maps map[string]map[string]string, inner string) string {
	flow := func(m map[string]string) string {
		var parts []string
		for k, v := range m {
			parts = append(parts, k+": "+v)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	if inner == "threshold" || inner == "explicit_groups" {
		maps["targets"][inner] = flow(maps[inner])
	}
	return fmt.Sprintf("global: %s\ngroups: {g: %s}\ntargets: {web: %s}\n", flow(maps["global"]), flow(maps["groups"]), flow(maps["targets"]))
}

// Every key of the contract: its values are taken, others refused by its name,
// it may be left out or not, and is then what it is in netprobify.
func TestContractValues(t *testing.T) {
	dir := t.TempDir()
	load := func(text string) (*Config, error) {
		file := filepath.Join(dir, "netprobe.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return Load(Options{File: file})
	}
	for _, k := range contract {
		path := map[string]string{"global": "global.", "groups": "groups.g.", "targets": "targets.web.",
			"threshold": "targets.web.threshold.", "explicit_groups": "targets.web.explicit_groups."}[k.section] + k.name
		with := func(value string) string {
			maps := base()
			maps[k.section][k.name] = value
			if k.name == "is_subnet" && value == "true" {
				maps["targets"]["destination"] = "192.0.2.0/30"
			}
			return assemble(maps, k.section)
		}
		for i, v := range k.good {
			c, err := load(with(v))
			if err != nil {
				t.Errorf("%s: %s: %v", path, v, err)
				continue
			}
			if i < len(k.good)-1 || k.value == nil {
				continue
			}
			if got := k.value(c); !reflect.DeepEqual(got, k.last) {
				t.Errorf("%s: %s became %#v, want %#v", path, v, got, k.last)
			}
		}
		for _, v := range k.bad {
			_, err := load(with(v))
			var faults Faults
			if !errors.As(err, &faults) || !slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Key, path) }) {
				t.Errorf("%s: %s: %v; want a fault of this key", path, v, err)
			}
		}
		without := base()
		if k.name == "dst_port" {
			if _, err := load(strings.ReplaceAll(assemble(without, k.section), "dst_port: 80", "dst_port: null")); err == nil {
				t.Errorf("%s may be left out", path)
			}
		} else {
			delete(without[k.section], k.name)
		}
		c, err := load(assemble(without, k.section))
		switch {
		case k.required && (err == nil || !strings.Contains(err.Error(), path+": missing")):
			t.Errorf("%s left out: %v", path, err)
		case !k.required && err != nil:
			t.Errorf("%s left out: %v", path, err)
		case !k.required && k.value != nil:
			if got := k.value(c); !reflect.DeepEqual(got, k.absent) {
				t.Errorf("%s left out is %#v, want %#v", path, got, k.absent)
			}
			if k.name == "threshold" || k.name == "dst_port" { // null is refused
				continue
			}
			if c, err = load(with("null")); err != nil || !reflect.DeepEqual(k.value(c), k.absent) {
				t.Errorf("%s: null: %v", path, err)
			}
		}
	}
}
