// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
)

// inventoryDraft is one entry of the section inventories.
type inventoryDraft struct {
	at         value
	fileAt     value
	name       string
	file       string // as it can be opened from here
	format     string
	maxTargets int
}

// inventoryName: netprobify's are names of Python modules.
var inventoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

const (
	inventoryAllowed    = "a map with at least file"
	defaultMaxTargets   = 1_000_000
	formatLines         = "jsonl"
	maxInventoryTargets = maxCount
)

var inventoryKeys = []key[inventoryDraft]{
	{name: "file", read: func(inv *inventoryDraft, v value) {
		inv.fileAt = v
		keep(&inv.file)(v.text("the name of a file"))
	}},
	{name: "format", read: func(inv *inventoryDraft, v value) { keep(&inv.format)(v.oneOf(formatLines)) }},
	{name: "max_targets", read: func(inv *inventoryDraft, v value) {
		keep(&inv.maxTargets)(v.integer(1, maxInventoryTargets))
	}},
}

// inventorySection reads the section inventories. The files are opened later,
// when it is known which inventories are disabled.
func (d *decoder) inventorySection(v value) {
	if v.null() { // everything in it commented out
		return
	}
	entries, ok := v.entries("a map of inventories, at most 100", maxKeys)
	if !ok {
		return
	}
	for _, e := range entries {
		if !inventoryName.MatchString(e.name()) {
			e.fault("read the name "+fmt.Sprintf("%q", shorten(e.name(), maxShown)), "allowed: a name of letters, digits, _ - and .")
			continue
		}
		if i := slices.IndexFunc(d.inventories, func(inv inventoryDraft) bool { return inv.name == e.name() }); i >= 0 {
			first := d.inventories[i].at
			e.fault(fmt.Sprintf("is set here and in %s:%d", oneLine(first.file), first.line), "allowed: one of the two; remove or rename the other")
			continue
		}
		d.inventory(e)
	}
}

func (d *decoder) inventory(e value) {
	inv := inventoryDraft{at: e, name: e.name(), maxTargets: defaultMaxTargets}
	before := len(d.faults)
	there := readMap(e, &inv, inventoryKeys, inventoryAllowed)
	if there == nil {
		return
	}
	switch _, ok := there["file"]; {
	case !ok:
		e.missing("file", "the name of a file, relative to this one")
	case len(d.faults) > before:
	case inv.format == "" && filepath.Ext(inv.file) != "."+formatLines:
		inv.fileAt.wrong("a name that ends in ." + formatLines + ", or any with format: " + formatLines)
	}
	if len(d.faults) > before {
		return
	}
	if !filepath.IsAbs(inv.file) {
		inv.file = filepath.Join(filepath.Dir(e.file), inv.file)
	}
	d.inventories = append(d.inventories, inv)
}

// openable drops disabled inventories and records files that cannot be read.
func (d *decoder) openable(k *koanf.Koanf) {
	disabled := get[[]string](k, "global.disable_dynamic_inventories")
	d.inventories = slices.DeleteFunc(d.inventories, func(inv inventoryDraft) bool {
		off := slices.Contains(disabled, inv.name)
		if off {
			d.cfg.Notices = append(d.cfg.Notices, "inventory "+inv.name+" is not loaded: global.disable_dynamic_inventories names it")
		}
		return off
	})
	for i := range d.inventories {
		inv := &d.inventories[i]
		f, _, err := openRegular(inv.file)
		if err != nil {
			inv.unreadable(err)
			continue
		}
		f.Close()
	}
}

func (inv *inventoryDraft) unreadable(err error) {
	inv.at.d.unread++
	inv.fileAt.fault("cannot read "+oneLine(inv.file)+": "+err.Error(), "")
}

// loadInventories appends the targets of all inventories. Names are compared
// with those of the other targets: the first of a name is probed.
func (d *decoder) loadInventories() {
	d.cfg.listed = &listed{first: len(d.cfg.Targets)}
	names := make(map[string]bool, len(d.cfg.Targets))
	for i := range d.cfg.Targets {
		names[d.cfg.Targets[i].Name] = true
	}
	for i := range d.inventories {
		inv := &d.inventories[i]
		f, _, err := openRegular(inv.file)
		if err == nil {
			d.cfg.listed.files = append(d.cfg.listed.files, inv.file)
			err = newListing(d, inv, names).load(f)
			f.Close()
		}
		if err != nil {
			inv.unreadable(err)
		}
	}
}

// load reads a whole inventory. The error is that of reading the file.
func (l *listing) load(f *os.File) error {
	lines, err := countLines(f)
	if err != nil {
		return err
	}
	c := l.d.cfg
	first := len(c.Targets)
	c.Targets = slices.Grow(c.Targets, min(lines, l.inv.maxTargets))
	for line, err := range inventory.Load(f) {
		if err != nil {
			return err
		}
		t, fault := l.target(line)
		if fault != nil {
			l.reject(line.Number, func() Fault { return *fault })
			continue
		}
		if l.names[t.Name] {
			l.d.repeat(t.Name)
			l.reject(line.Number, func() Fault { return l.twice(line.Number, t.Name) })
			continue
		}
		if len(c.Targets)-first == l.inv.maxTargets {
			path := []string{"inventories", l.inv.name, "max_targets"}
			f := c.Fault(fmt.Sprintf("%s holds more than %d targets", oneLine(l.inv.file), l.inv.maxTargets), "allowed: at most max_targets; raise it, or shorten the file", path...)
			l.d.faults = append(l.d.faults, f)
			return nil
		}
		l.names[t.Name] = true
		c.listed.add(len(c.Targets), line.Number)
		c.Targets = append(c.Targets, t)
	}
	l.conclude(len(c.Targets) - first)
	return nil
}

// countLines returns how many lines a file has, so that memory is taken once,
// and goes back to its beginning.
func countLines(f *os.File) (int, error) {
	lines := 1 // the last one may have no end
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if err == io.EOF {
			_, err = f.Seek(0, io.SeekStart)
			return lines, err
		}
		if err != nil {
			return 0, err
		}
	}
}

// Of many bad lines and unknown keys so many are named, and the others counted.
const (
	maxBadNamed  = 100
	maxKeysNamed = 20
)

// reject notes a line that is not loaded.
func (l *listing) reject(line int, why func() Fault) {
	if l.bad++; l.bad <= maxBadNamed {
		f := why()
		f.Read += "; the line is not loaded"
		l.d.cfg.Warnings = append(l.d.cfg.Warnings, f)
	} else if l.unnamed == 0 {
		l.unnamed = line
	}
}

// maxRepeated bounds Config.Repeated.
const maxRepeated = 1000

func (d *decoder) repeat(name string) {
	if d.cfg.Repeated == nil {
		d.cfg.Repeated = map[string]uint64{}
	}
	if _, known := d.cfg.Repeated[name]; known || len(d.cfg.Repeated) < maxRepeated {
		d.cfg.Repeated[name]++
	}
}

func (l *listing) twice(line int, name string) Fault {
	first := l.d.cfg.Fault("", "", "targets", name)
	return Fault{File: l.inv.file, Line: line, Key: joinPath([]string{"targets", name}),
		Read:    fmt.Sprintf("read a second time, first in %s:%d", oneLine(first.File), first.Line),
		Allowed: "allowed: once; remove or rename one of them"}
}

// conclude says what is left to say of the whole inventory.
func (l *listing) conclude(loaded int) {
	c := l.d.cfg
	if l.unnamed > 0 {
		c.Warnings = append(c.Warnings, Fault{File: l.inv.file, Line: l.unnamed, Read: fmt.Sprintf("%d more bad lines from here on are not loaded", l.bad-maxBadNamed),
			Allowed: "correct those that are named, then look again"})
	}
	var known []string
	for _, k := range listedKeys {
		known = append(known, k.name)
	}
	for _, name := range slices.Sorted(maps.Keys(l.unknown)) {
		u := l.unknown[name]
		c.Warnings = append(c.Warnings, Fault{File: l.inv.file, Line: u.line, Key: joinPath([]string{name}),
			Read: fmt.Sprintf("not a key that is known here, ignored on %d line(s)", u.lines), Allowed: "allowed: " + strings.Join(known, ", ")})
	}
	if l.unknownMore > 0 {
		c.Warnings = append(c.Warnings, Fault{File: l.inv.file, Line: l.unknownMore, Read: "further keys that are not known here, from this line on, are ignored", Allowed: "allowed: " + strings.Join(known, ", ")})
	}
	if loaded == 0 && l.bad == 0 {
		l.inv.fileAt.warn(oneLine(l.inv.file)+" holds no target", "one JSON object on each line is a target")
	}
	c.Notices = append(c.Notices, fmt.Sprintf("inventory %s: %d targets from %s", l.inv.name, loaded, oneLine(l.inv.file)))
}
