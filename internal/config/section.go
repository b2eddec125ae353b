// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// section is a map of settings that may come from a file, the environment or
// flags.
type section struct {
	name   string
	ours   bool // not one of netprobify's: may be in the settings file
	fields []field
}

// field is one key of a section. The values that read returns are of kinds that
// koanf copies faithfully: basic types and slices of them.
type field struct {
	name     string
	doc      string // what it is, for people
	read     func(value) (any, bool)
	required string // what is allowed, when the key must be there
	absent   any    // the value without the key
	list     bool   // the environment separates items by commas
	text     bool   // the environment's value is text even where it looks like a number
	unused   bool   // accepted, and no longer needed
	hidden   bool   // a secret
	restart  bool   // another value is taken up by a restart, not by a reload
}

// sections are all sections but groups and targets.
var sections = []section{
	{name: "global", fields: []field{
		{name: "probe_name", doc: "name of this probe: the label probe_name of every series",
			text: true, required: nameAllowed, read: as(value.label)},
		{name: "interval", doc: "seconds from the start of one round to the start of the next",
			required: "a whole number of seconds", read: as(func(v value) (time.Duration, bool) { return v.wholeSeconds(1) })},
		{name: "interval_packets", doc: "seconds between two packets of one target; 0 spreads a target's packets over the interval",
			absent: time.Duration(0), read: as(func(v value) (time.Duration, bool) { return v.seconds(maxInterval, false) })},
		{name: "nb_proc", unused: true, read: as(func(v value) (int, bool) { return v.integer(math.MinInt, math.MaxInt) })},
		{name: "verbose", unused: true, read: as(func(v value) (int, bool) { return v.integer(0, 1) })},
		{name: "logging_level", doc: "what the log says: docs/logs.md",
			text: true, required: "CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET", read: as(func(v value) (string, bool) {
				return v.oneOf("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
			})},
		{name: "prometheus_port", doc: "port of the HTTP server",
			restart: true, required: "a whole number, 1 to 65535", read: as(func(v value) (int, bool) { return v.integer(1, math.MaxUint16) })},
		{name: "prometheus_address", doc: "address of the HTTP server",
			restart: true, text: true, absent: "0.0.0.0", read: as(value.listenAddress)},
		{name: "dns_update_interval", doc: "seconds after which host names are resolved again; 0: at start and reload only",
			required: "a whole number of seconds; 0 resolves names once", read: as(func(v value) (time.Duration, bool) { return v.wholeSeconds(0) })},
		{name: "reload_conf_interval", doc: "seconds after which the configuration is loaded again; 0: never by itself",
			absent: time.Duration(0), read: as(func(v value) (time.Duration, bool) { return v.wholeSeconds(0) })},
		{name: "l3_raw_socket", unused: true, read: as(value.boolean)},
		{name: "timeout", unused: true, read: as(func(v value) (float64, bool) { return v.number(math.Inf(-1), math.Inf(1), false) })},
		{name: "percentile", doc: "percentiles of the round trip that are published; with [] there are no round trips",
			list: true, absent: []int{95, 50}, read: as(value.percentiles)},
		{name: "disable_dynamic_inventories", doc: "inventories that are not followed, by name",
			list: true, text: true, absent: []string(nil), read: as(func(v value) ([]string, bool) {
				return list(v, "names", func(it value) (string, bool) { return it.text("the name of an inventory") })
			})},
	}},
	{name: "engine", ours: true, fields: []field{
		{name: "pacing", doc: "spread: a target's packets evenly over the interval; burst: all at its start",
			text: true, absent: "spread", read: as(func(v value) (string, bool) { return v.oneOf("spread", "burst") })},
		{name: "tick", doc: "probes that are due within one tick share a wake-up",
			restart: true, absent: time.Millisecond, read: as(func(v value) (time.Duration, bool) { return v.span(100*time.Microsecond, 10*time.Millisecond) })},
		{name: "xdp_mode", doc: "how the XDP program is attached; auto: native where the driver has it",
			restart: true, text: true, absent: "auto", read: as(func(v value) (string, bool) { return v.oneOf("auto", "native", "generic") })},
		{name: "bind", doc: "how the AF_XDP sockets are bound; zerocopy changes what the interface's other traffic costs",
			restart: true, text: true, absent: "copy", read: as(func(v value) (string, bool) { return v.oneOf("copy", "zerocopy", "auto") })},
		{name: "workers", doc: "threads that send and receive; 0: one for each queue, at most one for each CPU",
			restart: true, absent: 0, read: as(func(v value) (int, bool) { return v.integer(0, maxCPU+1) })},
		{name: "pinning", doc: "CPUs that the workers are pinned to, in turn; []: none",
			restart: true, list: true, absent: []int(nil), read: as(value.cpus)},
		{name: "dns_keep", doc: "how long a target keeps its last address while its resolver fails; 0: not at all, as in netprobify",
			absent: time.Duration(0), read: as(func(v value) (time.Duration, bool) { return v.span(0, maxKeep) })},
		{name: "interfaces", doc: "interfaces to probe through beside those of --iface",
			list: true, text: true, absent: []string(nil), read: as(value.interfaces)},
		{name: "reload_on_change", doc: "load the configuration again when one of its files changes",
			absent: false, read: as(value.boolean)},
	}},
	{name: "safety", ours: true, fields: []field{
		{name: "max_pps", doc: "probes per second in all, over any 100 ms; a plan above it is refused",
			absent: 20_000, read: as(func(v value) (int, bool) { return v.integer(1, maxCount) })},
		{name: "max_prefix_pps", doc: "probes per second into one /24 or /48, over any 100 ms; a plan above it is refused",
			absent: 2_000, read: as(func(v value) (int, bool) { return v.integer(1, maxCount) })},
		{name: "allow_ranges", doc: "ranges to probe all the same that are refused otherwise: loopback, link-local, multicast and the like",
			list: true, text: true, absent: []string(nil), read: as(value.ranges)},
		{name: "foreign_source", doc: "allow source addresses that are not this host's own",
			absent: false, read: as(value.boolean)},
		{name: "block_file", doc: "file of prefixes that nothing is sent to",
			text: true, absent: "", read: as(value.fileName)},
		{name: "allow_file", doc: "file of prefixes; nothing is sent to what it does not hold",
			text: true, absent: "", read: as(value.fileName)},
		{name: "kill_file", doc: "while this file exists nothing is sent",
			text: true, absent: "", read: as(value.fileName)},
	}},
	{name: "metrics", ours: true, fields: []field{
		{name: "max_series", doc: "no more per-target series than this are published",
			absent: 200_000, read: as(func(v value) (int, bool) { return v.integer(1, maxCount) })},
		{name: "histograms", doc: "targets that get a histogram of their round trips, by name, or all",
			list: true, text: true, absent: []string(nil), read: as(value.histograms)},
	}},
	{name: "history", ours: true, fields: []field{
		{name: "memory", doc: "what the past of all targets may take in memory; 0: none is kept",
			absent: 64 << 20, read: as(func(v value) (int, bool) { return v.size(0, 64<<30) })},
	}},
	webSection,
	pushSection,
	apiSection,
}

// maxKeep bounds engine.dns_keep: a year is for ever.
const maxKeep = 365 * 24 * time.Hour

// as hides the type that a reader returns.
func as[T any](read func(value) (T, bool)) func(value) (any, bool) {
	return func(v value) (any, bool) {
		t, ok := read(v)
		return t, ok
	}
}

func (s *section) field(name string) (*field, bool) {
	i := slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return nil, false
	}
	return &s.fields[i], true
}

func (s *section) names() []string {
	all := make([]string, len(s.fields))
	for i, f := range s.fields {
		all[i] = f.name
	}
	return all
}

func sectionNamed(name string) (*section, bool) {
	i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
	if i < 0 {
		return nil, false
	}
	return &sections[i], true
}

// sectionNames are those of the sections that may stand in netprobify's file,
// or of ours alone, without groups and targets.
func sectionNames(ours bool) []string {
	var names []string
	for _, s := range sections {
		if s.ours || !ours {
			names = append(names, s.name)
		}
	}
	return names
}

// andList joins names as a sentence has them.
func andList(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func (v value) listenAddress() (string, bool) {
	const allowed = "an IP address or a host name of this machine"
	s, ok := v.text(allowed)
	if !ok {
		return "", false
	}
	if _, err := netip.ParseAddr(s); err != nil && !validHostName(s) {
		v.wrong(allowed)
		return "", false
	}
	return s, true
}

func (v value) percentiles() ([]int, bool) {
	all, ok := list(v, "whole numbers, 1 to 100", func(it value) (int, bool) { return it.integer(1, 100) })
	// A percentile given twice would be one series exposed twice.
	var once []int
	for _, p := range all {
		if !slices.Contains(once, p) {
			once = append(once, p)
		}
	}
	return once, ok
}

// maxCPU is the highest CPU number that the kernel's affinity calls take without
// asking for its size first (sched_setaffinity(2): cpu_set_t has 1024 bits).
const maxCPU = 1023

func (v value) cpus() ([]int, bool) {
	items, ok := v.items("a list of CPU numbers, such as [2, 3]")
	var cpus []int
	for _, it := range items {
		cpu, good := it.integer(0, maxCPU)
		if good && slices.Contains(cpus, cpu) {
			it.fault("read CPU "+it.show()+" a second time", "allowed: once; two workers on one CPU would delay each other")
			good = false
		}
		ok = ok && good
		cpus = append(cpus, cpu)
	}
	return cpus, ok
}

// maxInterface is the longest name of an interface, in bytes (linux/if.h: IFNAMSIZ
// less the end).
const maxInterface = 15

// interfaces reads names of interfaces as the kernel allows them
// (net/core/dev.c, dev_valid_name).
func (v value) interfaces() ([]string, bool) {
	all, ok := list(v, "names of interfaces", func(it value) (string, bool) {
		const allowed = "the name of an interface, at most 15 characters"
		s, ok := it.text(allowed)
		if ok && (s == "" || len(s) > maxInterface || s == "." || s == ".." || strings.ContainsAny(s, "/: \t\n\v\f\r")) {
			it.wrong(allowed)
			return "", false
		}
		return s, ok
	})
	var once []string
	for _, name := range all {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once, ok
}

// AllHistograms, alone, stands for every target in metrics.histograms.
const AllHistograms = "all"

// histograms reads names of targets, which checkHistograms looks up once all are
// known.
func (v value) histograms() ([]string, bool) {
	items, ok := v.items("a list of names of targets, or [" + AllHistograms + "]")
	v.d.histograms = nil
	var names []string
	for _, it := range items {
		name, good := it.text("the name of a target")
		if good && name == AllHistograms && len(items) > 1 {
			it.fault("read "+AllHistograms+" among others", "allowed: "+AllHistograms+" alone, or names of targets")
			good = false
		}
		if !good {
			ok = false
			continue
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if name != AllHistograms {
			v.d.histograms = append(v.d.histograms, it)
		}
	}
	return names, ok
}

// checkHistograms records the names in metrics.histograms that no target has.
func (d *decoder) checkHistograms() {
	for i := range d.cfg.Inventories {
		if d.cfg.Inventories[i].File == nil { // its targets are known later
			return
		}
	}
	if len(d.histograms) == 0 {
		return
	}
	missing := make(map[string]bool, len(d.histograms))
	for _, v := range d.histograms {
		missing[v.node.Value] = true
	}
	for i := range d.drafts {
		delete(missing, d.drafts[i].Name)
	}
	for i := range d.cfg.Targets {
		delete(missing, d.cfg.Targets[i].Name)
	}
	for _, v := range d.histograms {
		if missing[v.node.Value] {
			v.fault("there is no target "+v.show(), "allowed: names of targets, or "+AllHistograms+" alone")
		}
	}
}

// ranges returns prefixes in canonical text; an address is its own prefix.
func (v value) ranges() ([]string, bool) {
	return list(v, "prefixes or addresses", func(it value) (string, bool) {
		s, ok := it.text(prefixAllowed)
		if !ok {
			return "", false
		}
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()).String(), true
		}
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() {
			it.wrong(prefixAllowed)
			return "", false
		}
		return p.String(), true
	})
}
