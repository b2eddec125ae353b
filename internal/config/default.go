// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// Defaults is what the configuration without a file is made of.
type Defaults struct {
	Options  // Settings, Env and Flags apply; File does not
	Hostname string
	// Gateways are the default gateways of the interface, Resolvers the system's
	// upstream resolvers. A zone is dropped: the interface is known.
	Gateways, Resolvers []netip.Addr
}

var unfitForName = regexp.MustCompile(`[^a-z0-9_.-]+`)

// Default returns the configuration that is used without a file: every 10 s one
// echo request to each gateway and resolver, figures on 127.0.0.1:8000. Link-local
// addresses among them are allowed by name in Safety. Errors are those of Load.
func Default(in Defaults) (*Config, error) {
	in.File = ""
	settings, err := in.readSettings()
	if err != nil {
		return nil, err
	}
	d := newDecoder(in.Options)
	d.values = map[string]any{
		"global.probe_name":          probeName(in.Hostname),
		"global.interval":            10 * time.Second,
		"global.logging_level":       "INFO",
		"global.prometheus_address":  "127.0.0.1",
		"global.prometheus_port":     8000,
		"global.dns_update_interval": time.Duration(0),
	}
	d.cfg.Groups = []Group{{Name: "default", SrcPortA: 65000, SrcPortZ: 65001, PermitAutoRegister: true}}
	linkLocal := d.defaultTargets("gateway", in.Gateways, false)
	linkLocal = append(linkLocal, d.defaultTargets("resolver", in.Resolvers, true)...)
	d.register()
	own, ok := d.parse(settings)
	if !ok {
		return nil, d.failed()
	}
	if settings != nil {
		d.settings(own, settings.name)
	}
	cfg, err := d.finish()
	if err != nil {
		return nil, err
	}
	cfg.Safety.AllowRanges = append(cfg.Safety.AllowRanges, linkLocal...)
	cfg.Notices = append([]string{fmt.Sprintf("no configuration file (%s): pinging %s every %v",
		strings.Join(searched, " or "), describe(cfg.Targets), cfg.Global.Interval)}, cfg.Notices...)
	return cfg, nil
}

// probeName makes a host name fit for a probe name.
func probeName(hostname string) string {
	s := strings.Trim(unfitForName.ReplaceAllString(strings.ToLower(hostname), "-"), "-.")
	if s == "" {
		return "netprobe"
	}
	return s
}

// defaultTargets adds a target for each address: gateway-ipv4, or with numbered
// or several of a family gateway-ipv4-1. It returns those that are link-local.
func (d *decoder) defaultTargets(what string, addrs []netip.Addr, numbered bool) (linkLocal []netip.Prefix) {
	byFamily := map[string][]netip.Addr{}
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || seen[a] || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
			continue
		}
		seen[a] = true
		byFamily[familyOf(a)] = append(byFamily[familyOf(a)], a)
		if a.IsLinkLocalUnicast() {
			linkLocal = append(linkLocal, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		for i, a := range byFamily[family] {
			name := what + "-" + family
			if numbered || len(byFamily[family]) > 1 {
				name += fmt.Sprintf("-%d", i+1)
			}
			t := targetDraft{kind: probe.ICMPping, auto: true, Target: defaultTarget}
			t.Name, t.Description = name, what+" of this host"
			t.Type, t.Destination, t.Family = probe.ICMPping.Name, a.String(), family
			d.drafts = append(d.drafts, t)
		}
	}
	return linkLocal
}

func describe(targets []Target) string {
	if len(targets) == 0 {
		return "nothing, since there is neither a default gateway nor a resolver,"
	}
	var parts []string
	for _, t := range targets {
		parts = append(parts, t.Name+" ("+t.Destination+")")
	}
	return strings.Join(parts, ", ")
}
