// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// What a fault has for a file when there is none.
const (
	fromEnvironment = "environment"
	fromFlags       = "flags"
)

// envPrefix begins every variable that is ours.
const envPrefix = "NETPROBE_"

// flagKeys are the flags that set a key.
var flagKeys = map[string]string{"xdp-mode": "engine.xdp_mode", "bind": "engine.bind"}

// finish lays the environment and the flags over what the files say, and
// returns the whole configuration or everything that is wrong.
func (d *decoder) finish() (*Config, error) {
	k, err := d.layers()
	if err != nil {
		return nil, err
	}
	d.required(k)
	d.settle(k)
	d.checkPush(k)
	d.checkAPI(k)
	lists := d.lists(k.String("safety.block_file"), k.String("safety.allow_file"))
	dynamic := len(d.cfg.Inventories) > 0
	if !dynamic {
		d.checkHistograms()
	}
	if len(d.faults) > 0 || d.fatal != nil {
		return nil, d.failed()
	}
	d.fill(k)
	d.cfg.Safety.Lists = lists
	for _, key := range []string{"safety.block_file", "safety.allow_file"} {
		if name := k.String(key); name != "" {
			d.cfg.Safety.ListFiles = append(d.cfg.Safety.ListFiles, name)
		}
	}
	for i := range d.drafts {
		t := &d.drafts[i]
		if !t.ownDNS {
			t.DNSUpdateInterval = d.cfg.Global.DNSUpdateInterval
		}
		d.cfg.Targets = append(d.cfg.Targets, t.Target)
	}
	if dynamic {
		d.loadInventories()
		if len(d.faults) == 0 { // else names may be missing that are not wrong
			d.checkHistograms()
		}
		if len(d.faults) > 0 {
			return nil, d.failed()
		}
	}
	d.unusedNotice(k)
	d.strangerNotice()
	d.payloadNotice()
	d.inOrder(d.cfg.Warnings)
	if !dynamic {
		d.cfg.own = d.cfg.Warnings
	}
	return d.cfg, nil
}

// layers merges defaults, files, environment and flags, in this order.
func (d *decoder) layers() (*koanf.Koanf, error) {
	absent := map[string]any{}
	for _, s := range sections {
		for _, f := range s.fields {
			if f.required == "" && !f.unused {
				absent[s.name+"."+f.name] = f.absent
			}
		}
	}
	k := koanf.New(".")
	for _, p := range []koanf.Provider{
		confmap.Provider(absent, "."),
		confmap.Provider(d.values, "."),
		env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: d.variable, EnvironFunc: func() []string { return slices.Sorted(slices.Values(d.opts.Env)) }}),
	} {
		if err := k.Load(p, nil); err != nil {
			return nil, err
		}
	}
	if d.opts.Flags == nil {
		return k, nil
	}
	return k, k.Load(posflag.ProviderWithFlag(d.opts.Flags, ".", k, d.flag), nil)
}

// variable reads one variable of the environment. The empty key tells koanf to
// leave it out. What has no __ is not meant for us: Kubernetes sets
// NETPROBE_SERVICE_HOST and the like where a service is called netprobe.
func (d *decoder) variable(name, text string) (string, any) {
	if d.inventoryVariable(name, text) {
		return "", nil
	}
	s, f := fieldOfVariable(name)
	if f == nil && !strings.Contains(name, "__") {
		d.strangers = append(d.strangers, oneLine(shorten(name, 2*maxShown)))
		return "", nil
	}
	if f == nil {
		d.faults = append(d.faults, Fault{File: fromEnvironment, Key: shorten(name, 2*maxShown), Read: "not a variable that is known",
			Allowed: "allowed: NETPROBE_SECTION__KEY for the sections " + andList(sectionNames(false)) + ", such as NETPROBE_GLOBAL__PROMETHEUS_PORT; unset it"})
		return "", nil
	}
	return d.outside(s.name, f, fromEnvironment, name, text)
}

func fieldOfVariable(name string) (*section, *field) {
	for i := range sections {
		s := &sections[i]
		for j := range s.fields {
			if name == envPrefix+strings.ToUpper(s.name+"__"+s.fields[j].name) {
				return s, &s.fields[j]
			}
		}
	}
	return nil, nil
}

// flag reads one flag.
func (d *decoder) flag(f *pflag.Flag) (string, any) {
	path, ok := flagKeys[f.Name]
	if !ok || !f.Changed {
		return "", nil
	}
	name, key, _ := strings.Cut(path, ".")
	s, _ := sectionNamed(name)
	field, _ := s.field(key)
	return d.outside(name, field, fromFlags, "--"+f.Name, f.Value.String())
}

// outside reads a value from outside of the files by the same rules, as if it
// were YAML; text needs no quotes there.
func (d *decoder) outside(section string, f *field, from, name, text string) (string, any) {
	path := []string{section, f.name}
	d.cfg.positions.set(path, origin{file: from, key: name}, 0)
	scalar := func(s string) *yaml.Node {
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(s)}
		if f.text || n.Value == "" {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	}
	n := scalar(text)
	if f.list {
		n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if text != "" {
			for item := range strings.SplitSeq(text, ",") {
				n.Content = append(n.Content, scalar(item))
			}
		}
	}
	got, ok := f.read(value{d: d, file: from, path: path, node: n})
	if !ok {
		return "", nil
	}
	return section + "." + f.name, got
}

// required records the keys that nothing set.
func (d *decoder) required(k *koanf.Koanf) {
	if _, _, there := d.cfg.positions.get([]string{"global"}); !there && !k.Exists("global.probe_name") {
		d.faults = append(d.faults, d.cfg.Fault("missing", "required: a map with "+strings.Join(requiredKeys("global"), ", "), "global"))
		return
	}
	faulty := map[string]bool{}
	for _, f := range d.faults {
		faulty[f.Key] = true
	}
	for _, s := range sections {
		for _, f := range s.fields {
			key := s.name + "." + f.name
			if f.required == "" || k.Exists(key) || faulty[key] || faulty[s.name] {
				continue
			}
			if fault := d.cfg.Fault("missing", "required: "+f.required, s.name, f.name); !faulty[fault.Key] {
				d.faults = append(d.faults, fault)
			}
		}
	}
}

func requiredKeys(section string) []string {
	s, _ := sectionNamed(section)
	var names []string
	for _, f := range s.fields {
		if f.required != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// fill copies the merged settings into the Config. Every value was checked when
// it was read.
func (d *decoder) fill(k *koanf.Koanf) {
	d.cfg.Global = Global{
		ProbeName:                 k.String("global.probe_name"),
		Interval:                  get[time.Duration](k, "global.interval"),
		IntervalPackets:           get[time.Duration](k, "global.interval_packets"),
		LoggingLevel:              k.String("global.logging_level"),
		PrometheusAddress:         k.String("global.prometheus_address"),
		PrometheusPort:            k.Int("global.prometheus_port"),
		DNSUpdateInterval:         get[time.Duration](k, "global.dns_update_interval"),
		ReloadConfInterval:        get[time.Duration](k, "global.reload_conf_interval"),
		Percentiles:               get[[]int](k, "global.percentile"),
		DisableDynamicInventories: get[[]string](k, "global.disable_dynamic_inventories"),
	}
	d.cfg.Engine = Engine{
		Pacing:  k.String("engine.pacing"),
		Tick:    get[time.Duration](k, "engine.tick"),
		XDPMode: k.String("engine.xdp_mode"),
		Bind:    k.String("engine.bind"),
		Workers: k.Int("engine.workers"),
		Pinning: get[[]int](k, "engine.pinning"),
		DNSKeep: get[time.Duration](k, "engine.dns_keep"),

		Interfaces:     get[[]string](k, "engine.interfaces"),
		ReloadOnChange: k.Bool("engine.reload_on_change"),
	}
	d.cfg.Safety = Safety{
		MaxPPS:        k.Int("safety.max_pps"),
		MaxPrefixPPS:  k.Int("safety.max_prefix_pps"),
		ForeignSource: k.Bool("safety.foreign_source"),
		KillFile:      k.String("safety.kill_file"),
	}
	for _, s := range get[[]string](k, "safety.allow_ranges") {
		d.cfg.Safety.AllowRanges = append(d.cfg.Safety.AllowRanges, netip.MustParsePrefix(s))
	}
	d.cfg.restart = map[string]string{}
	for _, s := range sections {
		for _, f := range s.fields {
			if key := s.name + "." + f.name; f.restart {
				d.cfg.restart[key] = fmt.Sprint(k.Get(key))
			}
		}
	}
	d.cfg.Web = Web{ConfigFile: k.String("web.config_file")}
	d.fillPush(k)
	d.fillAPI(k)
	d.cfg.History = History{Memory: k.Int("history.memory")}
	d.keepInForce(k)
	d.cfg.Metrics = Metrics{MaxSeries: k.Int("metrics.max_series"), Histograms: get[[]string](k, "metrics.histograms")}
}

func get[T any](k *koanf.Koanf, key string) T {
	v, _ := k.Get(key).(T)
	return v
}

// unusedNotice says once which keys are accepted and no longer needed.
func (d *decoder) unusedNotice(k *koanf.Koanf) {
	var names []string
	for _, s := range sections {
		for _, f := range s.fields {
			if f.unused && k.Exists(s.name+"."+f.name) {
				names = append(names, s.name+"."+f.name)
			}
		}
	}
	if len(names) > 0 {
		d.cfg.Notices = append(d.cfg.Notices, "accepted and no longer needed: "+strings.Join(names, ", "))
	}
}

// strangerNotice says once which variables look like ours and are left alone.
func (d *decoder) strangerNotice() {
	if len(d.strangers) > 0 {
		d.cfg.Notices = append(d.cfg.Notices, "ignored in the environment, since variables of ours are NETPROBE_SECTION__KEY: "+strings.Join(d.strangers, ", "))
	}
}
