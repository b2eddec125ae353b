// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"time"
)

// JudgesAs says whether both configurations judge a list alike, because one was
// made of the other by With.
func (c *Config) JudgesAs(other *Config) bool {
	return len(c.Inventories) > 0 && len(other.Inventories) > 0 && &c.Inventories[0] == &other.Inventories[0]
}

// Warn adds what others have to say of the configuration, before anybody else
// uses it. It stays when lists come.
func (c *Config) Warn(more ...Fault) {
	c.Warnings = slices.Concat(c.Warnings, more)
	c.own = slices.Concat(c.own, more)
}

// With returns the configuration with other lists in place of those of the same
// inventories, and without targets whose lifetime was over at now. Nothing is
// read anew. A name that several targets have is that of the first, in the
// order of the configuration.
func (c *Config) With(now time.Time, lists ...*TargetList) *Config {
	next := *c
	all := map[string]*TargetList{}
	for _, l := range append(c.TargetLists(), lists...) {
		all[l.Inventory] = l
	}
	next.Repeated = nil
	static := c.Targets[:len(c.Targets):len(c.Targets)]
	if c.listed != nil {
		static = c.Targets[:c.listed.first:c.listed.first]
	}
	most := len(static)
	for _, l := range all {
		most += len(l.targets) + len(l.hidden)
	}
	m := merging{cfg: &next, names: make(map[string]int, most), now: now.UnixNano()}
	next.Targets = append(make([]Target, 0, most), static...)
	next.listed = &listed{first: len(static)}
	next.Warnings = slices.Clone(c.own)
	for i := range static {
		m.names[static[i].Name] = i
	}
	for i := range c.Inventories {
		if l := all[c.Inventories[i].Name]; l != nil {
			m.add(l, slices.Contains(lists, l))
		}
	}
	if l := all[addedList]; l != nil {
		m.add(l, false)
	}
	return &next
}

// TargetLists returns the lists that are part of the configuration.
func (c *Config) TargetLists() []*TargetList {
	if c.listed == nil {
		return nil
	}
	return slices.Clone(c.listed.lists)
}

// Listed says whether the target with this index in Targets is of an inventory.
func (c *Config) Listed(i int) bool { return c.listed != nil && i >= c.listed.first }

// FromInventory says whether the target of this name is of an inventory.
func (c *Config) FromInventory(name string) bool {
	_, _, ok := c.listed.find(c.Targets, []string{"targets", name})
	return ok
}

// merging puts lists together.
type merging struct {
	cfg   *Config
	names map[string]int // of targets so far, and their indices
	now   int64
}

// add appends the targets of a list; fresh says whether it was read just now.
func (m *merging) add(l *TargetList, fresh bool) {
	made := &TargetList{Inventory: l.Inventory, Stamp: l.Stamp, from: l.from, warnings: l.warnings}
	c := m.cfg
	first := len(c.Targets)
	c.listed.lists, c.listed.firsts = append(c.listed.lists, made), append(c.listed.firsts, first)
	twice := len(c.Warnings)
	put := func(t *Target, line int, expires int64) {
		if expires != 0 && expires <= m.now {
			return
		}
		if other, ok := m.names[t.Name]; ok {
			if fresh {
				c.repeat(t.Name)
			}
			if made.hidden = append(made.hidden, namesake{*t, line, expires}); len(made.hidden) <= maxBadNamed {
				c.Warnings = append(c.Warnings, c.twice(made, t.Name, line, other))
			}
			return
		}
		n := len(c.Targets)
		m.names[t.Name] = n
		made.add(n-first, line)
		c.Targets = append(c.Targets, *t)
		if expires != 0 {
			for len(made.expires) < n-first {
				made.expires = append(made.expires, 0)
			}
			made.expires = append(made.expires, expires)
			if at := time.Unix(0, expires); made.soonest.IsZero() || at.Before(made.soonest) {
				made.soonest = at
			}
		}
	}
	for i := range l.targets {
		expires := int64(0)
		if i < len(l.expires) {
			expires = l.expires[i]
		}
		put(&l.targets[i], l.line(i), expires)
	}
	for i := range l.hidden {
		put(&l.hidden[i].Target, l.hidden[i].line, l.hidden[i].expires)
	}
	made.targets = slices.Clip(c.Targets[first:]) // there is room for all: they are never moved
	if n := len(made.hidden); n > maxBadNamed {
		c.Warnings = append(c.Warnings, Fault{File: l.from, Line: made.hidden[maxBadNamed].line, Read: fmt.Sprintf("%d more names from here on are others' and not loaded", n-maxBadNamed),
			Allowed: "correct those that are named, then look again"})
	}
	c.Warnings = append(c.Warnings, l.warnings...)
	slices.SortStableFunc(c.Warnings[twice:], func(a, b Fault) int { return a.Line - b.Line })
}

// maxRepeated bounds Config.Repeated.
const maxRepeated = 1000

func (c *Config) repeat(name string) {
	if c.Repeated == nil {
		c.Repeated = map[string]uint64{}
	}
	if _, known := c.Repeated[name]; known || len(c.Repeated) < maxRepeated {
		c.Repeated[name]++
	}
}

// twice says that a target has the name of another.
func (c *Config) twice(l *TargetList, name string, line, other int) Fault {
	first := c.placeOf(other)
	return Fault{File: l.from, Line: line, Key: joinPath([]string{"targets", name}),
		Read:    fmt.Sprintf("read a second time, first in %s:%d; the line is not loaded", oneLine(first.File), first.Line),
		Allowed: "allowed: once; remove or rename one of them"}
}

// placeOf says where the target with this index was read.
func (c *Config) placeOf(i int) Fault {
	if c.Listed(i) {
		file, line := c.listed.at(i)
		return Fault{File: file, Line: line}
	}
	return c.Fault("", "", "targets", c.Targets[i].Name)
}
