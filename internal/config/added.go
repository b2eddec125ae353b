// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// addedList is what the list of the targets that the control API added is called:
// no inventory can be.
const addedList = "(api)"

// AddedTarget is a target that the control API added, as JudgeAdded made it.
type AddedTarget struct {
	Target
	Expires time.Time // zero: never
}

// JudgeAdded reads a target that the control API is asked to add, by the rules of
// the section targets. What is wrong with it comes with the name of the field, ""
// for the whole of it.
func (c *Config) JudgeAdded(spec *api.TargetSpec) (Target, *api.FieldError) {
	inv := &Inventory{Name: addedList, base: defaultTarget, hasGroups: true}
	inv.base.DNSUpdateInterval = c.Global.DNSUpdateInterval
	for i := range c.Groups {
		if c.Groups[i].PermitAutoRegister {
			inv.base.Groups = append(inv.base.Groups, i)
		}
	}
	l := newListing(c, inv, "the request")
	l.prefix = ""
	if !namePattern.MatchString(spec.Name) {
		return Target{}, &api.FieldError{Field: "name", Detail: "read the name " + strconv.Quote(shorten(spec.Name, maxShown)) + "; allowed: " + nameAllowed}
	}
	t, fault := l.judge(nodeOf(spec), 0)
	switch {
	case fault != nil:
		return Target{}, fieldOf(spec.Name, fault)
	case len(t.Groups) == 0:
		return Target{}, &api.FieldError{Field: "groups", Detail: "there is no group that targets register to by themselves; allowed: at least one group of the section groups"}
	}
	t.Description = "added by the control API"
	return t.Target, nil
}

// fieldOf names the field of a spec that a fault is of.
func fieldOf(name string, f *Fault) *api.FieldError {
	key, ok := strings.CutPrefix(f.Key, joinPath([]string{"targets", name})+".")
	if !ok {
		key = ""
	}
	for was, is := range map[string]string{"hostname": "name", "timeout": "timeout_seconds", "is_subnet": "destination"} {
		if key == was {
			key = is
		}
	}
	detail := f.Read
	if f.Allowed != "" {
		detail += "; " + f.Allowed
	}
	return &api.FieldError{Field: strings.ReplaceAll(key, ".", "/"), Detail: detail}
}

// nodeOf writes a spec as an item of a list.
func nodeOf(spec *api.TargetSpec) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	put := func(name string, n *yaml.Node) { out.Content = append(out.Content, textNode(name, 0), n) }
	text := func(name, s string) {
		if s != "" {
			put(name, textNode(s, 0))
		}
	}
	plain := func(name, s string) { put(name, &yaml.Node{Kind: yaml.ScalarNode, Value: s}) }
	put("hostname", textNode(spec.Name, 0))
	text("type", spec.Type)
	text("destination", spec.Destination)
	text("address_family", spec.Family)
	text("state", spec.State)
	text("alert_level", spec.AlertLevel)
	if strings.Contains(spec.Destination, "/") {
		plain("is_subnet", "true")
	}
	if spec.DontFragment != nil {
		plain("dont_fragment", strconv.FormatBool(*spec.DontFragment))
	}
	for name, n := range map[string]int{"dst_port": int(spec.DstPort), "nb_packets": spec.NbPackets, "ip_payload_size": spec.IPPayloadSize} {
		if n != 0 {
			plain(name, strconv.Itoa(n))
		}
	}
	if spec.Timeout != 0 && !math.IsInf(spec.Timeout, 0) && !math.IsNaN(spec.Timeout) {
		plain("timeout", strconv.FormatFloat(spec.Timeout, 'f', -1, 64))
	}
	if spec.Groups != nil {
		groups := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, g := range spec.Groups {
			groups.Content = append(groups.Content, textNode(g, 0))
		}
		put("groups", groups)
	}
	if len(spec.Labels) > 0 {
		labels := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, name := range slices.Sorted(maps.Keys(spec.Labels)) {
			labels.Content = append(labels.Content, textNode(name, 0), textNode(spec.Labels[name], 0))
		}
		put("labels", labels)
	}
	return out
}

// WithAdded is With, of the list of what the control API added and of others.
func (c *Config) WithAdded(now time.Time, all []AddedTarget, lists ...*TargetList) *Config {
	l := &TargetList{Inventory: addedList, from: "the control API"}
	for i := range all {
		l.add(i, i+1)
		l.targets = append(l.targets, all[i].Target)
		if !all[i].Expires.IsZero() {
			l.expires = append(append(l.expires, make([]int64, i-len(l.expires))...), max(1, all[i].Expires.UnixNano()))
		}
	}
	return c.With(now, append(slices.Clip(lists), l)...)
}

// Source says where the target with this index in Targets is from: "config",
// "api", or the name of an inventory.
func (c *Config) Source(i int) string {
	if !c.Listed(i) {
		return "config"
	}
	if l := c.listed.of(i); l.Inventory != addedList {
		return l.Inventory
	}
	return "api"
}

// Without returns the configuration with these targets in no group, so that they
// are not probed. It is not one that With can be asked of.
func (c *Config) Without(names map[string]bool) *Config {
	if len(names) == 0 {
		return c
	}
	next := *c
	next.Targets = slices.Clone(c.Targets)
	for i := range next.Targets {
		if names[next.Targets[i].Name] {
			next.Targets[i].Groups = nil
		}
	}
	return &next
}
