// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Prometheus' service discovery has lists of groups of targets: http_sd_config
// and file_sd_config of its configuration, [{"targets": ["host:port"],
// "labels": {"name": "value"}}]. A target is probed at its host; its port is
// dst_port of the types that have one. A label __netprobe_KEY is the key of that
// name: Prometheus itself drops labels that begin with two underscores, so one
// discovery serves both. Other labels with two underscores are left out here
// too.

// ownLabel begins the names of labels that are keys.
const ownLabel = "__netprobe_"

const discoveredAllowed = `a map with targets, a list of "host:port", and maybe labels, a map of text`

// isDiscovered says whether an item of a list is a group of Prometheus' shape.
func isDiscovered(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "targets" {
			return true
		}
	}
	return false
}

// discoveredGroup is one such group.
type discoveredGroup struct {
	targets []value
	labels  []pair
}

var discoveredKeys = []key[discoveredGroup]{
	{name: "targets", read: func(g *discoveredGroup, v value) { keep(&g.targets)(v.items(`a list of "host:port"`)) }},
	{name: "labels", read: func(g *discoveredGroup, v value) {
		entries, ok := v.entries("a map of text", maxLabels)
		if !ok {
			return
		}
		for _, e := range entries {
			if s, ok := e.text("text"); ok {
				g.labels = append(g.labels, pair{name: e.name(), line: e.line, node: textNode(s, e.line)})
			}
		}
	}},
}

// discovered adds the targets of a group. It returns false when there are too
// many.
func (l *listing) discovered(root *yaml.Node, line int) bool {
	d := newDecoder(Options{File: l.list.from})
	d.merged, d.maxMerged = l.merged, l.maxMerged
	var g discoveredGroup
	readMap(value{d: d, file: l.list.from, line: line, path: []string{"inventories", l.inv.Name}, node: root}, &g, discoveredKeys, discoveredAllowed)
	l.merged = d.merged
	if d.fatal != nil {
		d.faults = append(Faults{*d.fatal}, d.faults...)
	}
	if len(d.faults) > 0 {
		l.reject(d.faults[0])
		return true
	}
	for _, t := range g.targets {
		text, ok := t.text(`text such as "192.0.2.1:443"`)
		if !ok {
			l.reject(d.faults[0])
			d.faults = nil
			continue
		}
		draft, fault := l.judge(l.translated(text, g.labels, line), line)
		if fault != nil {
			l.reject(*fault)
			continue
		}
		if !l.keep(draft.Target, line, draft.expires()) {
			return false
		}
	}
	return true
}

// translated writes a target of a group as a line of ours.
func (l *listing) translated(text string, labels []pair, line int) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
	put := func(name string, n *yaml.Node) {
		out.Content = append(out.Content, textNode(name, line), n)
	}
	label := func(name string) (string, bool) {
		i := slices.IndexFunc(labels, func(p pair) bool { return p.name == name })
		if i < 0 {
			return "", false
		}
		return labels[i].node.Value, true
	}
	host, port := splitAddress(text)
	name := text
	for _, from := range []string{"instance", ownLabel + "hostname"} {
		if s, ok := label(from); ok {
			name = s
		}
	}
	put("hostname", textNode(name, line))
	if _, ok := label(ownLabel + "destination"); !ok {
		put("destination", textNode(host, line))
	}
	typ := l.inv.base.Type
	if s, ok := label(ownLabel + "type"); ok {
		typ = s
	}
	if _, ok := label(ownLabel + "dst_port"); !ok && port != "" {
		if kind := typeNamed(typ); kind == nil || kind.NeedsPort {
			put("dst_port", &yaml.Node{Kind: yaml.ScalarNode, Value: port, Line: line})
		}
	}
	own := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
	threshold := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: line}
	for _, p := range labels {
		key, ours := strings.CutPrefix(p.name, ownLabel)
		switch {
		case !ours && !strings.HasPrefix(p.name, "__"):
			own.Content = append(own.Content, textNode(p.name, line), p.node)
		case !ours || key == "hostname":
		case key == "threshold_latency", key == "threshold_loss":
			threshold.Content = append(threshold.Content, textNode(strings.TrimPrefix(key, "threshold_"), line), plainNode(p.node))
		case key == "groups":
			put(key, listNode(p.node))
		default:
			put(key, valueNode(key, p.node))
		}
	}
	if len(threshold.Content) > 0 {
		put("threshold", threshold)
	}
	if len(own.Content) > 0 {
		put("labels", own)
	}
	return out
}

func textNode(s string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: s, Line: line}
}

// plainNode is text written without quotes, so that it may be a number.
func plainNode(n *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(n.Value), Line: n.Line}
}

// textKeys are the keys whose value is text, even where it looks like a number.
var textKeys = []string{"type", "destination", "address_family", "state", "alert_level"}

func valueNode(key string, n *yaml.Node) *yaml.Node {
	if slices.Contains(textKeys, key) {
		return n
	}
	return plainNode(n)
}

// listNode is text with commas as a list.
func listNode(n *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line}
	for part := range strings.SplitSeq(n.Value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out.Content = append(out.Content, textNode(part, n.Line))
		}
	}
	return out
}

// splitAddress returns host and port of what Prometheus calls a target: mostly
// "host:port", for some exporters a URL. port is "" if there is none.
func splitAddress(s string) (host, port string) {
	if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		port = u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		return u.Hostname(), port
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return host, port
	}
	return strings.Trim(s, "[]"), ""
}
