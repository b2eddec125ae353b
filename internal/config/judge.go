// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
)

const (
	lineAllowed     = `allowed: one JSON object on each line, such as {"hostname": "web1", "type": "ICMPping", "destination": "192.0.2.1", "groups": ["standard"]}`
	hostnameAllowed = "printable text of at most 512 bytes that neither begins nor ends with a space"
)

// listedKeys are the keys of a line.
var listedKeys = append([]key[targetDraft]{
	{name: "hostname", doc: "the target's name is NAME_hostname",
		read: func(t *targetDraft, v value) {
			if s, ok := v.text(hostnameAllowed); ok && !hostnameFits([]byte(s)) {
				v.wrong(hostnameAllowed)
			}
		}},
	{name: "groups", doc: "groups that it is in",
		read: func(t *targetDraft, v value) {
			if t.registerTo = t.groupNames(v); v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
				v.wrong("a list of at least one group")
			}
		}},
	{name: "creation_date", doc: "when its lifetime began",
		read: func(t *targetDraft, v value) { keep(&t.created)(v.date()) }},
	{name: "lifetime", doc: "how long after creation_date it goes",
		read: func(t *targetDraft, v value) { keep(&t.lifetime)(v.lifetime()) }},
	{name: "labels", doc: "labels of netprobe_target_info, with label_ before their names",
		read: func(t *targetDraft, v value) { keep(&t.Labels)(v.labels()) }},
}, slices.DeleteFunc(slices.Clone(targetKeys), func(k key[targetDraft]) bool {
	return slices.Contains([]string{"description", "auto_register_to_groups", "explicit_groups"}, k.name)
})...)

// defaultsKeys are the keys of inventories.*.defaults: what a line may have, but
// for what makes it a target of its own.
var defaultsKeys = slices.DeleteFunc(slices.Clone(listedKeys), func(k key[targetDraft]) bool {
	return slices.Contains([]string{"hostname", "destination", "creation_date"}, k.name)
})

// fault is a fault of a line as a whole.
func (l *listing) fault(line int, read, allowed string) *Fault {
	return &Fault{File: l.list.from, Line: line, Key: joinPath([]string{"inventories", l.inv.Name}), Read: read, Allowed: allowed}
}

// parse reads a line as strict JSON.
func (l *listing) parse(line *inventory.Line) (*yaml.Node, *Fault) {
	if line.Long {
		return nil, l.fault(line.Number, fmt.Sprintf("a line of more than %d bytes that begins with %s", inventory.MaxLine, strconv.Quote(shorten(string(line.Text), maxShown))), lineAllowed)
	}
	if !utf8.Valid(line.Text) {
		return nil, l.fault(line.Number, "not UTF-8", "allowed: UTF-8; write the file in it")
	}
	if err := json.Unmarshal(line.Text, new(json.RawMessage)); err != nil {
		return nil, l.fault(line.Number, "not JSON: "+oneLine(err.Error()), lineAllowed)
	}
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(line.Text)), above: line.Number - 1}
	r.dec.UseNumber()
	root, err := r.node(0)
	if err != nil {
		return nil, l.fault(line.Number, "not JSON: "+oneLine(err.Error()), lineAllowed)
	}
	return root, nil
}

// judge reads an item of a list as if it stood in the section targets.
func (l *listing) judge(root *yaml.Node, line int) (*targetDraft, *Fault) {
	d := newDecoder(Options{File: l.list.from})
	d.merged, d.maxMerged = l.merged, l.maxMerged
	v := value{d: d, file: l.list.from, line: line, path: []string{"inventories", l.inv.Name}, node: root}
	if root.Kind != yaml.MappingNode {
		return nil, l.fault(line, "read "+v.show(), lineAllowed)
	}
	t := targetDraft{Target: l.inv.base, lifetime: l.inv.lifetime}
	t.kind = typeNamed(t.Type)
	if host, ok := hostnameOf(root); ok {
		t.Name = l.prefix + host
		v.path = []string{"targets", t.Name}
	}
	d.cfg.positions.set(v.path, origin{file: l.list.from}, line)
	v.node = l.known(v, line)
	t.at = v
	l.check(&t)
	l.merged = d.merged
	switch {
	case d.fatal != nil:
		return nil, d.fatal
	case len(d.faults) > 0:
		return nil, &d.faults[0]
	}
	return &t, nil
}

// check reads the keys of a line.
func (l *listing) check(t *targetDraft) {
	there := readTarget(t, listedKeys, "a map")
	if _, ok := there["hostname"]; !ok {
		t.at.missing("hostname", hostnameAllowed)
	}
	if _, ok := there["groups"]; !ok {
		if !l.inv.hasGroups {
			t.at.missing("groups", "a list of names of groups")
		}
		return
	}
	t.Groups = nil
	for _, name := range t.registerTo {
		g, ok := l.groupIndex[name.node.Value]
		if !ok {
			name.noGroup()
			continue
		}
		if !slices.Contains(t.Groups, g) {
			t.Groups = append(t.Groups, g)
		}
	}
}

// hostnameOf returns what to call an item by, if it says so.
func hostnameOf(root *yaml.Node) (hostname string, ok bool) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if val := target(root.Content[i+1]); root.Content[i].Value == "hostname" && val.Kind == yaml.ScalarNode && classify(val) == kindText && hostnameFits([]byte(val.Value)) {
			hostname, ok = val.Value, true
		}
	}
	return hostname, ok
}

// known returns an item without the keys that nobody knows.
func (l *listing) known(v value, line int) *yaml.Node {
	kept := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: v.node.Line}
	for _, p := range v.d.flatten(v, v.node) {
		if !slices.ContainsFunc(listedKeys, func(k key[targetDraft]) bool { return k.name == p.name }) {
			l.ignore([]byte(p.name), line)
			continue
		}
		kept.Content = append(kept.Content, &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: p.name, Line: p.line}, p.node)
	}
	return kept
}
