// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

const defaultTimeout = time.Second

// Options say where a configuration comes from. What is named later here wins.
type Options struct {
	File     string         // netprobify's file; "": the one that Search finds
	Settings string         // a file with our own sections only; "": none
	Env      []string       // as os.Environ returns it
	Flags    *pflag.FlagSet // --xdp-mode and --bind where they were given; may be nil
}

// searched are the files that are looked for when none is named.
var searched = []string{"./netprobe.yaml", "/etc/netprobe-xdp/netprobe.yaml"}

// Search returns the file to load when none is named, "" when there is none
// and Default is to be used.
func Search() string {
	for _, name := range searched {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return ""
}

// Load reads and checks a whole configuration. What is wrong with it comes as
// Faults, all of them, with exitcode.Config (exitcode.Usage if only flags are
// at fault); a file that cannot be read as an error with exitcode.NoInput.
func Load(opts Options) (*Config, error) {
	if opts.File == "" {
		opts.File = Search()
	}
	if opts.File == "" {
		return nil, exitcode.With(exitcode.NoInput, fmt.Errorf("there is no configuration: neither %s exists; name one with --config", strings.Join(searched, " nor ")))
	}
	file, err := readSource(opts.File)
	if err != nil {
		return nil, err
	}
	settings, err := opts.readSettings()
	if err != nil {
		return nil, err
	}
	return decode(file, settings, opts)
}

func (o Options) readSettings() (*source, error) {
	if o.Settings == "" {
		return nil, nil
	}
	return readSource(o.Settings)
}

// decode makes a Config of what was read. settings may be nil.
func decode(file, settings *source, opts Options) (*Config, error) {
	d := newDecoder(opts)
	root, ok := d.parse(file)
	own, ownOK := d.parse(settings)
	if !ok || !ownOK {
		return nil, d.failed()
	}
	if !d.file(root, file.name) {
		return nil, d.failed()
	}
	if settings != nil {
		d.settings(own, settings.name)
	}
	return d.finish()
}

// decoder collects a configuration and all that is wrong with it. One goroutine
// uses it, once.
type decoder struct {
	cfg    *Config
	opts   Options
	faults Faults
	values map[string]any // what the files set: "section.key"
	drafts []targetDraft

	groupIndex  map[string]int // by name, once groups are registered
	inventories []inventoryDraft
	unread      int      // faults that say that a file cannot be read
	histograms  []value  // the targets named in metrics.histograms
	strangers   []string // variables with our prefix that are nobody's keys

	flat    map[*yaml.Node][]pair // maps whose merge keys were applied
	merging map[*yaml.Node]bool
	merged  int // keys that came from merge keys so far
	fatal   *Fault

	maxMerged int
}

func newDecoder(opts Options) *decoder {
	return &decoder{
		cfg:     &Config{File: opts.File, Settings: opts.Settings, positions: newPositions()},
		opts:    opts,
		values:  map[string]any{},
		flat:    map[*yaml.Node][]pair{},
		merging: map[*yaml.Node]bool{},
	}
}

func (d *decoder) parse(s *source) (*yaml.Node, bool) {
	if s == nil {
		return nil, true
	}
	d.maxMerged += maxMerged(len(s.data))
	root, fault := s.parse()
	if fault != nil {
		d.faults = append(d.faults, *fault)
		return nil, false
	}
	return root, true
}

// file reads netprobify's file, which may hold our sections too. It returns
// false when it is no map at all.
func (d *decoder) file(root *yaml.Node, name string) bool {
	top := value{d: d, file: name, line: root.Line, node: target(root)}
	const allowed = "a map with the keys global, groups and targets"
	entries, ok := top.entries(allowed, maxKeys)
	if !ok {
		return false
	}
	var groups bool
	ours := len(entries) > 0 // nothing but sections of our own
	for _, e := range entries {
		s, known := sectionNamed(e.name())
		ours = ours && (known && s.ours || e.name() == "inventories")
		switch {
		case e.name() == "groups":
			groups = true
			d.groups(e)
		case e.name() == "targets":
			d.targets(e)
		case e.name() == "inventories":
			d.inventorySection(e)
		case known:
			d.section(s, e)
		default:
			e.unknown(slices.Concat([]string{"global", "groups", "targets"}, sectionNames(true), []string{"inventories"}))
		}
	}
	if !groups {
		need := "a map with at least one group, such as default: {}"
		if ours {
			need += "; a file with sections of our own only is named with --settings, beside one with global, groups and targets"
		}
		top.missing("groups", need)
	}
	if len(d.cfg.Groups) > 0 {
		d.register()
	}
	return true
}

// settings reads the file that holds only our own sections.
func (d *decoder) settings(root *yaml.Node, name string) {
	top := value{d: d, file: name, line: root.Line, node: target(root)}
	// The other file's positions are needed to tell what both set.
	before := d.cfg.positions
	d.cfg.positions = newPositions()
	entries, ok := top.entries("a map with the keys "+andList(append(sectionNames(true), "inventories")), maxKeys)
	d.cfg.positions = before
	if !ok {
		return
	}
	for _, e := range entries {
		switch s, known := sectionNamed(e.name()); {
		case e.name() == "inventories":
			d.inventorySection(e)
		case known && s.ours:
			d.section(s, e)
		default:
			e.unknown(append(sectionNames(true), "inventories"))
		}
	}
}

// section reads a section of plain keys.
func (d *decoder) section(s *section, v value) {
	if s.ours && v.null() { // everything in it commented out
		return
	}
	before := map[string]string{} // where the other file set a key
	for _, f := range s.fields {
		if from, line, ok := d.cfg.positions.get([]string{s.name, f.name}); ok {
			before[f.name] = fmt.Sprintf("%s:%d", oneLine(from.file), line)
		}
	}
	entries, ok := v.entries("a map", maxKeys)
	if !ok {
		return
	}
	for _, e := range entries {
		f, known := s.field(e.name())
		if !known {
			e.unknown(s.names())
			continue
		}
		if first, both := before[f.name]; both {
			e.fault("is set here and in "+first, "allowed: one of the two; remove the other")
			continue
		}
		if e.null() {
			continue
		}
		if got, ok := f.read(e); ok {
			d.values[s.name+"."+f.name] = got
		}
	}
}

// failed returns everything that is wrong.
func (d *decoder) failed() error {
	if d.fatal != nil { // what else was found may only follow from it
		d.faults = Faults{*d.fatal}
	}
	d.inOrder(d.faults)
	code := exitcode.Config
	switch {
	case d.faults[0].File == fromFlags:
		code = exitcode.Usage
	case d.fatal == nil && d.unread == len(d.faults):
		code = exitcode.NoInput
	}
	return exitcode.With(code, d.faults)
}

// inOrder sorts by file, in the order in which they are laid over one another,
// and by line.
func (d *decoder) inOrder(fs []Fault) {
	order := []string{d.cfg.File, d.cfg.Settings, fromEnvironment, fromFlags}
	for i := range d.cfg.Inventories {
		if f := d.cfg.Inventories[i].File; f != nil {
			order = append(order, f.Path)
		}
	}
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.File), slices.Index(order, b.File)), cmp.Compare(a.Line, b.Line))
	})
}
