// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
)

// TargetList is what one reading of an inventory gave. It is immutable, so any
// goroutine may use it.
type TargetList struct {
	Inventory string
	// Stamp is that of the file it was read from, if it was one.
	Stamp inventory.Stamp

	from     string     // where it was read, as messages name it
	targets  []Target   // those of a Config that took the list are part of its Targets
	lines    []run      // where each of targets was read
	expires  []int64    // when each of targets goes, in Unix nanoseconds, 0: never; nil: none goes
	hidden   []namesake // targets whose names others have
	warnings []Fault    // what was left out, but for names that others have
	soonest  time.Time  // the first of expires; zero: none
}

// namesake is a target that is not probed while another has its name.
type namesake struct {
	Target
	line    int
	expires int64
}

// Len is how many targets of the list are probed.
func (l *TargetList) Len() int { return len(l.targets) }

// Soonest is when the next target goes because its lifetime is over, zero if
// none does.
func (l *TargetList) Soonest() time.Time { return l.soonest }

// ReadFile reads the file of an inventory. The error says in one line why it
// cannot be used as a whole; targets that cannot be are only left out.
func (c *Config) ReadFile(inv *Inventory) (*TargetList, error) {
	f, size, err := openRegular(inv.File.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	l := newListing(c, inv, inv.File.Path)
	l.list.Stamp = inventory.StampOf(info)
	if inv.Format == formatLines {
		return l.lines(f)
	}
	if size > MaxFileSize {
		return nil, fmt.Errorf("it holds %d bytes, more than the limit of %d; write it as JSON lines, or split it", size, MaxFileSize)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize))
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return l.document(data, inv.Format)
}

// Read reads the list of an inventory from anywhere else, as ReadFile does.
func (c *Config) Read(inv *Inventory, data []byte) (*TargetList, error) {
	l := newListing(c, inv, "inventory "+inv.Name)
	format := inv.Format
	if format == "" {
		switch text := bytes.TrimSpace(data); {
		case len(text) == 0:
			return nil, errors.New("it is empty; a list without targets is []")
		case text[0] == '[':
			format = formatJSON
		case text[0] == '{':
			format = formatLines
		default:
			format = formatYAML
		}
	}
	if format == formatLines {
		return l.lines(bytes.NewReader(data))
	}
	return l.document(data, format)
}

// lines reads JSON lines.
func (l *listing) lines(r io.ReadSeeker) (*TargetList, error) {
	n, size, err := countLines(r)
	if err != nil {
		return nil, err
	}
	l.list.targets = make([]Target, 0, min(n, l.inv.MaxTargets, size/leastLine+1))
	for line, err := range inventory.Load(r) {
		if err != nil {
			return nil, err
		}
		if !l.take(line) {
			return nil, l.tooMany()
		}
		if l.rubbish() {
			return nil, l.tooBad()
		}
	}
	return l.conclude()
}

// document reads a list of JSON or YAML.
func (l *listing) document(data []byte, format string) (*TargetList, error) {
	if format == formatYAML {
		return l.yaml(data)
	}
	for item, err := range inventory.Items(data) {
		var syntax *inventory.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("it is no JSON list: line %d: %s; correct it, or set format", syntax.Line, oneLine(syntax.Error()))
		}
		if !l.take(item) {
			return nil, l.tooMany()
		}
		if l.rubbish() {
			return nil, l.tooBad()
		}
	}
	return l.conclude()
}

func (l *listing) yaml(data []byte) (*TargetList, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8; write it in that, or as JSON, of which only the bad targets are left out")
	}
	// Pages of errors and the like are told by their beginning: to parse them
	// takes time that probing needs.
	if text := bytes.TrimSpace(data); len(text) == 0 || !bytes.ContainsAny(text[:1], "-[#%&!") {
		return nil, fmt.Errorf("it is no list: it begins with %q; begin each target with -, or set format", shorten(string(text[:min(len(text), 100)]), 20))
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("it is no list of YAML: %s; correct it", oneLine(shorten(err.Error(), 200)))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one YAML document; remove the --- lines")
	}
	items, ok := value{d: newDecoder(Options{}), node: target(doc.Content[0])}.items("")
	if !ok {
		return nil, errors.New("it is no list; begin each target with -, or set format")
	}
	l.maxMerged = maxMerged(len(data))
	for _, item := range items {
		if !l.element(item.node, item.line, nil) {
			return nil, l.tooMany()
		}
		if l.merged > l.maxMerged {
			return nil, fmt.Errorf("its merge keys add up to more than %d keys; write the values out", l.maxMerged)
		}
		if l.rubbish() {
			return nil, l.tooBad()
		}
	}
	return l.conclude()
}

// errTooMany is why a list is refused as a whole that has no other fault.
var errTooMany = errors.New("shorten it, or raise max_targets")

func (l *listing) tooMany() error {
	return fmt.Errorf("it holds more than %d targets; %w", l.inv.MaxTargets, errTooMany)
}

// maxBad is how many bad targets a list may have though they are most of it: to
// judge them takes time that probing needs.
const maxBad = 1000

// rubbish says whether a list is not worth reading on.
func (l *listing) rubbish() bool { return l.bad > maxBad && l.bad > len(l.list.targets) }

func (l *listing) tooBad() error {
	return fmt.Errorf("more than %d of its targets are bad, and most of it; correct it, the first is: %s", maxBad, l.list.warnings[0])
}

// leastLine is about how many bytes the line of a target has at least.
const leastLine = 32

// countLines returns how many lines and bytes a file has, so that memory is taken
// once, and goes back to its beginning.
func countLines(r io.ReadSeeker) (lines, size int, err error) {
	lines = 1 // the last one may have no end
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		size += n
		if err == io.EOF {
			_, err = r.Seek(0, io.SeekStart)
			return lines, size, err
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// Of many bad lines and unknown keys so many are named, and the others counted.
const (
	maxBadNamed  = 100
	maxKeysNamed = 20
)

// reject notes a target that is left out.
func (l *listing) reject(f Fault) {
	if l.bad++; l.bad <= maxBadNamed {
		f.Read += "; the line is not loaded"
		l.list.warnings = append(l.list.warnings, f)
	} else if l.unnamed == 0 {
		l.unnamed = f.Line
	}
}

// conclude says what is left to say of the whole list. One that has nothing but
// bad targets is none: somebody's error page, most likely, and no wish to probe
// nothing.
func (l *listing) conclude() (*TargetList, error) {
	if l.bad > 0 && len(l.list.targets) == 0 {
		return nil, fmt.Errorf("it holds no target that can be probed, and %d bad; correct it, the first is: %s", l.bad, l.list.warnings[0])
	}
	warn := func(f Fault) {
		f.File = l.list.from
		l.list.warnings = append(l.list.warnings, f)
	}
	if l.unnamed > 0 {
		warn(Fault{Line: l.unnamed, Read: fmt.Sprintf("%d more bad lines from here on are not loaded", l.bad-maxBadNamed), Allowed: "correct those that are named, then look again"})
	}
	known := make([]string, len(listedKeys))
	for i, k := range listedKeys {
		known[i] = k.name
	}
	allowed := "allowed: " + strings.Join(known, ", ")
	for _, name := range slices.Sorted(maps.Keys(l.unknown)) {
		u := l.unknown[name]
		warn(Fault{Line: u.line, Key: joinPath([]string{name}), Read: fmt.Sprintf("not a key that is known here, ignored on %d line(s)", u.lines), Allowed: allowed})
	}
	if l.unknownMore > 0 {
		warn(Fault{Line: l.unknownMore, Read: "further keys that are not known here, from this line on, are ignored", Allowed: allowed})
	}
	return l.list, nil
}

// loadInventories reads the lists that are in files, and says of each what it
// holds.
func (d *decoder) loadInventories() {
	var lists []*TargetList
	for i := range d.cfg.Inventories {
		inv := &d.cfg.Inventories[i]
		if inv.File == nil {
			continue
		}
		l, err := d.cfg.ReadFile(inv)
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) || errors.Is(err, errPermission) {
				d.unreadable(inv.Name, "file", inv.File.Path, err)
				continue
			}
			key := "file"
			if errors.Is(err, errTooMany) {
				key = "max_targets"
			}
			d.faults = append(d.faults, d.cfg.Fault("cannot use "+oneLine(inv.File.Path)+": "+err.Error(), "", "inventories", inv.Name, key))
			continue
		}
		lists = append(lists, l)
	}
	d.cfg.own = d.cfg.Warnings
	if len(d.faults) > 0 {
		return
	}
	d.cfg = d.cfg.With(time.Now(), lists...)
	for _, l := range d.cfg.listed.lists {
		if l.Len() == 0 && len(l.warnings)+len(l.hidden) == 0 {
			d.cfg.Warnings = append(d.cfg.Warnings, d.cfg.Fault(oneLine(l.from)+" holds no target", "one JSON object on each line is a target", "inventories", l.Inventory, "file"))
		}
		d.cfg.Notices = append(d.cfg.Notices, fmt.Sprintf("inventory %s: %d targets from %s", l.Inventory, l.Len(), oneLine(l.from)))
	}
}
