// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// Inventory is one entry of `inventories` that is not disabled.
type Inventory struct {
	Name string

	// One of these is not nil: where the list comes from. What File.Last is, is
	// for whoever runs it to say.
	File    *inventory.File
	HTTP    *inventory.HTTP
	Command *inventory.Command

	Format     string // jsonl, json or yaml; "": the list's beginning says
	MaxTargets int

	base      Target        // what a target is without being told
	lifetime  time.Duration // of a target that does not say
	hasType   bool          // base has a type
	hasGroups bool          // base has groups
}

// inventoryDraft is one entry of the section inventories.
type inventoryDraft struct {
	at       value
	there    map[string]value
	name     string
	file     string
	url      string
	command  []string
	format   string
	interval time.Duration
	timeout  time.Duration
	stream   bool
	environ  []string

	maxTargets int
	maxBytes   int

	username                    string
	password, token             secret.Text
	caFile, certFile, clientKey string

	defaults targetDraft
}

// inventoryName: netprobify's are names of Python modules.
var inventoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

const (
	inventoryAllowed    = "a map with file, url or command"
	defaultMaxTargets   = 1_000_000
	maxInventoryTargets = maxCount

	defaultPoll      = 60 * time.Second
	defaultListTime  = 10 * time.Second
	maxListBytes     = 1 << 30
	defaultListBytes = 64 << 20
)

// Formats of lists.
const (
	formatLines = "jsonl"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

var formatOf = map[string]string{".jsonl": formatLines, ".json": formatJSON, ".yaml": formatYAML, ".yml": formatYAML}

var inventoryKeys = []key[inventoryDraft]{
	{name: "file", doc: "the list is in this file, which is looked at once a second",
		read: func(inv *inventoryDraft, v value) { keep(&inv.file)(v.fileName()) }},
	{name: "url", doc: "the list is at this address",
		read: func(inv *inventoryDraft, v value) { keep(&inv.url)(v.webAddress()) }},
	{name: "command", doc: "this command writes the list on its standard output",
		read: func(inv *inventoryDraft, v value) { keep(&inv.command)(v.commandLine()) }},
	{name: "format", doc: "what the list is written in; without it the ending of the file or the beginning of the list says",
		read: func(inv *inventoryDraft, v value) {
			keep(&inv.format)(v.oneOf(formatLines, formatJSON, formatYAML))
		}},
	{name: "max_targets", doc: "a list with more is refused as a whole",
		absent: func(x *inventoryDraft) any { return x.maxTargets },
		read: func(inv *inventoryDraft, v value) {
			keep(&inv.maxTargets)(v.integer(1, maxInventoryTargets))
		}},
	{name: "max_bytes", doc: "bytes of a list, unpacked; more is refused",
		absent: func(x *inventoryDraft) any { return x.maxBytes },
		read:   func(inv *inventoryDraft, v value) { keep(&inv.maxBytes)(v.integer(1, maxListBytes)) }},
	{name: "interval", doc: "how often url is asked or command is run",
		absent: func(*inventoryDraft) any { return defaultPoll },
		read: func(inv *inventoryDraft, v value) {
			keep(&inv.interval)(v.span(time.Second, maxInterval*time.Second))
		}},
	{name: "timeout", doc: "for one answer; with streaming how long the command may write none, for ever without it",
		absent: func(*inventoryDraft) any { return defaultListTime },
		read: func(inv *inventoryDraft, v value) {
			keep(&inv.timeout)(v.span(time.Second, maxInterval*time.Second))
		}},
	{name: "streaming", doc: "the command goes on running, and each line it writes is a whole list",
		absent: func(x *inventoryDraft) any { return x.stream },
		read:   func(inv *inventoryDraft, v value) { keep(&inv.stream)(v.boolean()) }},
	{name: "environment", doc: "variables of the command",
		read: func(inv *inventoryDraft, v value) { keep(&inv.environ)(v.environment()) }},
	{name: "user", doc: "user of basic auth",
		read: func(inv *inventoryDraft, v value) { keep(&inv.username)(v.text("a user's name, without :")) }},
	{name: "password", doc: "its password",
		read: func(inv *inventoryDraft, v value) { v.secretInto(&inv.password) }},
	{name: "password_file", doc: "file with the password, read each time",
		read: func(inv *inventoryDraft, v value) { v.secretFileInto(&inv.password) }},
	{name: "bearer_token", doc: "bearer token",
		read: func(inv *inventoryDraft, v value) { v.secretInto(&inv.token) }},
	{name: "bearer_token_file", doc: "file with the token, read each time",
		read: func(inv *inventoryDraft, v value) { v.secretFileInto(&inv.token) }},
	{name: "ca_file", doc: "authorities to trust instead of the system's",
		read: func(inv *inventoryDraft, v value) { keep(&inv.caFile)(v.fileName()) }},
	{name: "cert_file", doc: "client certificate",
		read: func(inv *inventoryDraft, v value) { keep(&inv.certFile)(v.fileName()) }},
	{name: "key_file", doc: "its key",
		read: func(inv *inventoryDraft, v value) { keep(&inv.clientKey)(v.fileName()) }},
	{name: "defaults", doc: "what targets of the list have unless they say otherwise: the keys of a list below, but for hostname, destination and creation_date",
		read: func(inv *inventoryDraft, v value) {
			inv.defaults.at = v
			readMap(v, &inv.defaults, defaultsKeys, "a map of keys that targets of the list have unless they say otherwise")
		}},
}

// belongs says which keys are for lists of one origin only.
var belongs = []struct {
	origin string
	names  []string
}{
	{"url", []string{"user", "password", "password_file", "bearer_token", "bearer_token_file", "ca_file", "cert_file", "key_file"}},
	{"command", []string{"streaming", "environment"}},
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

// defaultInventory has what an inventory is without being told.
var defaultInventory = inventoryDraft{maxTargets: defaultMaxTargets, maxBytes: defaultListBytes, defaults: targetDraft{Target: defaultTarget}}

func (d *decoder) inventory(e value) {
	inv := defaultInventory
	inv.at, inv.name = e, e.name()
	before := len(d.faults)
	if inv.there = readMap(e, &inv, inventoryKeys, inventoryAllowed); inv.there == nil {
		return
	}
	if inv.origin(); len(d.faults) == before {
		d.inventories = append(d.inventories, inv)
	}
}

// origin checks the keys against one another.
func (inv *inventoryDraft) origin() {
	e := inv.at
	var origins []string
	for _, name := range []string{"file", "url", "command"} {
		if _, ok := inv.there[name]; ok {
			origins = append(origins, name)
		}
	}
	switch len(origins) {
	case 0:
		e.fault("no file, url or command", "allowed: "+inventoryAllowed)
		return
	case 1:
	default:
		inv.there[origins[1]].fault("beside "+origins[0], "allowed: one of file, url and command; make the other an inventory of its own")
		return
	}
	for _, b := range belongs {
		for _, name := range b.names {
			if v, ok := inv.there[name]; ok && b.origin != origins[0] {
				v.fault("beside "+origins[0], "allowed: with "+b.origin+" only; remove it")
			}
		}
	}
	for _, name := range []string{"interval", "timeout", "max_bytes"} {
		if v, ok := inv.there[name]; ok && origins[0] == "file" {
			v.fault("beside file", "allowed: with url or command only; a file is looked at once a second; remove it")
		}
	}
	if v, ok := inv.there["interval"]; ok && inv.stream {
		v.fault("beside streaming: true", "allowed: without streaming, which never runs it anew while it runs; remove one of the two")
	}
	for _, pair := range [][2]string{{"password", "password_file"}, {"bearer_token", "bearer_token_file"}, {"user", "bearer_token"}, {"user", "bearer_token_file"}} {
		if v, ok := inv.there[pair[1]]; ok {
			if _, both := inv.there[pair[0]]; both {
				v.fault("beside "+pair[0], "allowed: one of the two; remove the other")
			}
		}
	}
	if _, ok := inv.there["cert_file"]; ok != (inv.clientKey != "") {
		e.fault("one of cert_file and key_file", "allowed: both or neither")
	}
	if v, ok := inv.there["user"]; ok && strings.Contains(inv.username, ":") {
		v.wrong("a user's name, without :")
	}
	if origins[0] == "file" {
		if inv.format == "" {
			inv.format = formatOf[filepath.Ext(inv.file)]
		}
		if v := inv.there["file"]; inv.format == "" && v.node.Kind == yaml.ScalarNode {
			v.wrong("a name that ends in .jsonl, .json, .yaml or .yml, or any with format")
		}
	}
}

// settle drops disabled inventories and makes of the others what Config has.
func (d *decoder) settle(k *koanf.Koanf) {
	disabled := get[[]string](k, "global.disable_dynamic_inventories")
	for i := range d.inventories {
		inv := &d.inventories[i]
		if slices.Contains(disabled, inv.name) {
			d.cfg.Notices = append(d.cfg.Notices, "inventory "+inv.name+" is not loaded: global.disable_dynamic_inventories names it")
			continue
		}
		made := Inventory{Name: inv.name, Format: inv.format, MaxTargets: inv.maxTargets}
		switch {
		case inv.file != "":
			made.File = &inventory.File{Path: inv.file}
		case inv.url != "":
			if inv.password.Set() != (inv.username != "") {
				inv.at.fault("one of user and password", "allowed: both or neither")
			}
			made.HTTP = inv.http()
		default:
			made.Command = inv.process()
			if _, err := made.Command.Executable(); err != nil {
				inv.there["command"].fault(err.Error(), "")
			}
		}
		made.base = inv.defaults.Target
		made.lifetime, made.hasType, made.hasGroups = inv.defaults.lifetime, inv.defaults.kind != nil, len(inv.defaults.registerTo) > 0
		made.base.Groups = d.registered(inv.defaults.registerTo)
		made.base.Description = "from_" + inv.name // as netprobify calls them
		if !inv.defaults.ownDNS {
			made.base.DNSUpdateInterval = get[time.Duration](k, "global.dns_update_interval")
		}
		d.cfg.Inventories = append(d.cfg.Inventories, made)
		for _, needed := range [][2]string{{"file", inv.file}, {"password_file", inv.password.File()}, {"bearer_token_file", inv.token.File()},
			{"ca_file", inv.caFile}, {"cert_file", inv.certFile}, {"key_file", inv.clientKey}} {
			if needed[1] == "" {
				continue
			}
			f, _, err := openRegular(needed[1])
			if err != nil {
				d.unreadable(inv.name, needed[0], needed[1], err)
				continue
			}
			f.Close()
		}
	}
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (inv *inventoryDraft) http() *inventory.HTTP {
	return &inventory.HTTP{
		URL: inv.url, Interval: orElse(inv.interval, defaultPoll), Timeout: orElse(inv.timeout, defaultListTime), MaxBytes: int64(inv.maxBytes),
		Username: inv.username, Password: inv.password, Token: inv.token,
		CAFile: inv.caFile, CertFile: inv.certFile, KeyFile: inv.clientKey, UserAgent: "netprobe-xdp",
	}
}

func (inv *inventoryDraft) process() *inventory.Command {
	c := &inventory.Command{
		Args: inv.command, Environment: inv.environ, MaxBytes: int64(inv.maxBytes),
		Streaming: inv.stream, Interval: orElse(inv.interval, defaultPoll), Timeout: inv.timeout,
	}
	if c.Dir = filepath.Dir(inv.at.file); !inv.stream {
		c.Timeout = orElse(inv.timeout, defaultListTime)
	}
	if dir, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = dir
	}
	return c
}

// registered returns the groups of these names.
func (d *decoder) registered(names []value) (groups []int) {
	for _, name := range names {
		g, ok := d.groupIndex[name.node.Value]
		if !ok {
			name.noGroup()
			continue
		}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

func (d *decoder) unreadable(inventory, key, file string, err error) {
	d.unread++
	d.faults = append(d.faults, d.cfg.Fault("cannot read "+oneLine(file)+": "+err.Error(), "", "inventories", inventory, key))
}
