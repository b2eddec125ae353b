// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Anchors that merge one another must not take all memory. maxMerged is how
// many keys merge keys (<<) may add up to for a file of this many bytes: a
// target that merges one other takes some 15 bytes and gains at most 16 keys.
func maxMerged(bytes int) int { return min(10_000+2*bytes, 20_000_000) }

// maxKeys is the largest number of keys of a map that holds known keys only.
const maxKeys = 100

// value is one node together with where it stands.
type value struct {
	d    *decoder
	file string
	line int      // of its key; of the node itself in a list
	path []string // of keys
	node *yaml.Node
}

// name is the last key of the path.
func (v value) name() string { return v.path[len(v.path)-1] }

// fault records a fault at the value.
func (v value) fault(read, allowed string) {
	f := v.d.cfg.Fault(read, allowed, v.path...)
	f.File, f.Line = v.file, v.line // an item of a list has a line of its own, but no position
	v.d.faults = append(v.d.faults, f)
}

// wrong records that the value is not what is allowed there.
func (v value) wrong(allowed string) {
	read := "read " + v.show()
	if v.node.Kind == yaml.ScalarNode && classify(v.node) == kindUnclear {
		read += ", which versions of YAML read differently"
	}
	v.fault(read, "allowed: "+allowed)
}

// missing records that a key of the map v is not there.
func (v value) missing(key, allowed string) {
	v.d.faults = append(v.d.faults, v.d.cfg.Fault("missing", "required: "+allowed, append(slices.Clip(v.path), key)...))
}

// show returns the value as a person would write it, short and on one line.
func (v value) show() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		if len(v.node.Content) == 0 {
			return "an empty map"
		}
		return "a map"
	case yaml.SequenceNode:
		if len(v.node.Content) == 0 {
			return "an empty list"
		}
		return "a list"
	}
	text := shorten(v.node.Value, maxShown)
	switch {
	case classify(v.node) == kindNull:
		return "nothing"
	case classify(v.node) == kindForeign:
		return oneLine(v.node.Tag + " " + text)
	case v.node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return fmt.Sprintf("%q", text)
	}
	return oneLine(text)
}

func (v value) null() bool { return v.node.Kind == yaml.ScalarNode && classify(v.node) == kindNull }

// items returns the items of a list.
func (v value) items(allowed string) ([]value, bool) {
	if v.node.Kind != yaml.SequenceNode || v.node.Tag != "!!seq" {
		v.wrong(allowed)
		return nil, false
	}
	items := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = value{d: v.d, file: v.file, line: n.Line, path: v.path, node: target(n)}
	}
	return items, true
}

// entries returns the entries of a map in order, merge keys applied, and
// records the position of each. There may be at most so many.
func (v value) entries(allowed string, most int) ([]value, bool) {
	if v.node.Kind != yaml.MappingNode || v.node.Tag != "!!map" {
		v.wrong(allowed)
		return nil, false
	}
	pairs := v.d.flatten(v, v.node)
	if len(pairs) > most {
		v.fault(fmt.Sprintf("read a map of %d keys", len(pairs)), "allowed: "+allowed)
		return nil, false
	}
	all := make([]value, len(pairs))
	for i, p := range pairs {
		all[i] = value{d: v.d, file: v.file, line: p.line, path: append(slices.Clip(v.path), p.name), node: p.node}
		v.d.cfg.positions.set(all[i].path, origin{file: v.file}, p.line)
	}
	return all, true
}

// target is the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// pair is one entry of a map: name, value and the line of the key.
type pair struct {
	name string
	line int
	node *yaml.Node
}

// flatten returns the entries of a map with its merge keys applied, as YAML 1.1
// has it (yaml.org/type/merge.html): merged entries come first, an earlier map
// of a list wins over a later one, and own entries win over all.
func (d *decoder) flatten(at value, n *yaml.Node) []pair {
	if done, ok := d.flat[n]; ok {
		return done
	}
	own := make([]pair, 0, len(n.Content)/2)
	var merge *yaml.Node
	seen := newNames(len(n.Content) / 2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := target(n.Content[i]), target(n.Content[i+1])
		kv := value{d: d, file: at.file, line: n.Content[i].Line, path: at.path, node: key}
		name, ok := keyText(key)
		isMerge := key.Tag == "!!merge" && key.Style&^yaml.TaggedStyle == 0
		switch {
		case isMerge:
			name = "<<"
		case !ok:
			kv.fault("read the key "+kv.show(), "allowed: text; put a name that YAML takes for something else in quotes")
			continue
		}
		if first, dup := seen.add(name, kv.line); dup {
			kv.path = append(slices.Clip(at.path), name)
			kv.fault(fmt.Sprintf("read a second time, first on line %d", first), "allowed: once; remove or rename one of them")
			continue
		}
		if isMerge {
			merge = n.Content[i+1]
			continue
		}
		own = append(own, pair{name: name, line: kv.line, node: val})
	}
	if merge != nil {
		if d.merging[n] {
			at.fault("a map merges itself", "allowed: merge keys (<<) that name other maps")
			return nil
		}
		d.merging[n] = true
		own = d.merge(at, merge, own)
		delete(d.merging, n)
	}
	if merge != nil || n.Anchor != "" {
		d.flat[n] = own
	}
	return own
}

func (d *decoder) merge(at value, merge *yaml.Node, own []pair) []pair {
	mv := value{d: d, file: at.file, line: merge.Line, path: append(slices.Clip(at.path), "<<"), node: target(merge)}
	maps := []*yaml.Node{mv.node}
	if mv.node.Kind == yaml.SequenceNode {
		maps = maps[:0]
		for _, n := range mv.node.Content {
			maps = append(maps, target(n))
		}
		slices.Reverse(maps)
	}
	var all []pair
	place := map[string]int{}
	put := func(p pair) {
		if i, ok := place[p.name]; ok {
			all[i] = p
			return
		}
		place[p.name] = len(all)
		all = append(all, p)
	}
	for _, n := range maps {
		if n.Kind != yaml.MappingNode {
			mv.node = n
			mv.wrong("an alias of a map, or a list of such aliases")
			continue
		}
		more := d.flatten(at, n)
		if d.merged += len(more); d.merged > d.maxMerged {
			if d.fatal == nil {
				d.fatal = &Fault{File: at.file, Line: merge.Line, Key: joinPath(mv.path), Read: fmt.Sprintf("merge keys add up to more than %d keys by here", d.maxMerged),
					Allowed: "allowed: merge keys that name small maps; write the values out"}
			}
			break
		}
		for _, p := range more {
			put(p)
		}
	}
	for _, p := range own {
		put(p)
	}
	return all
}

// names tells the second use of a name from the first.
type names struct {
	few  []pair
	many map[string]int
}

func newNames(n int) *names {
	if n <= 16 {
		return &names{few: make([]pair, 0, n)}
	}
	return &names{many: make(map[string]int, n)}
}

// add returns the line of the first use if there was one.
func (s *names) add(name string, line int) (first int, dup bool) {
	if s.many != nil {
		if first, dup = s.many[name]; !dup {
			s.many[name] = line
		}
		return first, dup
	}
	for _, p := range s.few {
		if p.name == name {
			return p.line, true
		}
	}
	s.few = append(s.few, pair{name: name, line: line})
	return 0, false
}
