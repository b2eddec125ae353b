// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// listing is an inventory being read. Plain lines are judged at a glance; all
// others, and those that have a fault, by the rules and in the words that hold
// for the section targets.
type listing struct {
	d       *decoder
	inv     *inventoryDraft
	names   map[string]bool // of all targets so far
	base    Target          // what a target is without being told
	prefix  string          // of names
	groups  map[string][]int
	scratch []byte
	latency *float64 // the last thresholds
	loss    *float64

	bad, unnamed int // lines not loaded, the first that is not named
	unknown      map[string]*unknownKey
	unknownMore  int // line of the first unknown key that is not in unknown
}

// unknownKey is a key that lines have and that nobody knows.
type unknownKey struct{ line, lines int }

func newListing(d *decoder, inv *inventoryDraft, names map[string]bool) *listing {
	l := &listing{d: d, inv: inv, names: names, base: defaultTarget, prefix: inv.name + "_", groups: map[string][]int{}, unknown: map[string]*unknownKey{}}
	l.base.Description = "from_" + inv.name // as netprobify calls them
	l.base.DNSUpdateInterval = d.cfg.Global.DNSUpdateInterval
	return l
}

// target makes a target of a line, or says what is wrong with it.
func (l *listing) target(line *inventory.Line) (Target, *Fault) {
	if line.Plain {
		if t, ok := l.plain(&line.Target); ok {
			for _, key := range line.Target.Unknown {
				l.ignore(key, line.Number)
			}
			return t, nil
		}
	}
	t, fault := l.judge(line)
	if fault == nil && line.Plain && len(l.groups) < maxLists {
		l.groups[string(line.Target.Groups)] = t.Groups
	}
	return t, fault
}

// maxLists is how many different lists of groups are known by their text.
const maxLists = 10_000

func (l *listing) ignore(key []byte, line int) {
	u := l.unknown[string(key)]
	if u == nil {
		if len(l.unknown) == maxKeysNamed {
			if l.unknownMore == 0 {
				l.unknownMore = line
			}
			return
		}
		u = &unknownKey{line: line}
		l.unknown[string(key)] = u
	}
	u.lines++
}

// plain makes a target of a line that has no fault and nothing unusual. It
// returns false for all others. What it makes is what judge would make.
func (l *listing) plain(in *inventory.Target) (t Target, ok bool) {
	const required = inventory.Hostname | inventory.Type | inventory.Destination | inventory.Groups
	t = l.base
	kind := typeNamed(in.Type)
	if in.Has&required != required || in.IsSubnet || kind == nil || !hostnameFits(in.Hostname) {
		return t, false
	}
	t.Type = kind.Name
	if t.Groups, ok = l.groups[string(in.Groups)]; !ok {
		return t, false
	}
	if in.Has&inventory.DstPort == 0 && kind.NeedsPort || !l.plainNumbers(&t, in) {
		return t, false
	}
	if !oneOfInto(&t.AlertLevel, in.AlertLevel, alertLevels) || !oneOfInto(&t.State, in.State, states) || !oneOfInto(&t.Family, in.Family, families) {
		return t, false
	}
	l.name(&t, in)
	return t, plainDestination(&t)
}

func typeNamed(name []byte) *probe.Type {
	for _, k := range probe.Types() {
		if string(name) == k.Name {
			return k
		}
	}
	return nil
}

// oneOfInto stores the one of names that was read; nothing where the key is not
// there.
func oneOfInto(to *string, read []byte, names []string) bool {
	if read == nil {
		return true
	}
	for _, name := range names {
		if string(read) == name {
			*to = name
			return true
		}
	}
	return false
}

func (l *listing) plainNumbers(t *Target, in *inventory.Target) bool {
	within := func(key inventory.Keys, n, low, high int64) bool { return in.Has&key == 0 || n >= low && n <= high }
	if !within(inventory.DstPort, in.DstPort, 1, 1<<16-1) || !within(inventory.NbPackets, in.NbPackets, 1, maxCount) ||
		!within(inventory.IPPayloadSize, in.IPPayloadSize, 0, maxIPPayload) || !within(inventory.DNSUpdateInterval, in.DNSUpdateInterval, 0, maxInterval) {
		return false
	}
	t.DstPort, t.IPPayloadSize = uint16(in.DstPort), int(in.IPPayloadSize)
	if in.Has&inventory.NbPackets != 0 {
		t.NbPackets = int(in.NbPackets)
	}
	if in.Has&inventory.DNSUpdateInterval != 0 {
		t.DNSUpdateInterval = time.Duration(in.DNSUpdateInterval) * time.Second
	}
	if in.Has&inventory.Timeout != 0 {
		t.Timeout = ofSeconds(in.Timeout)
		if in.Timeout > maxTimeout || t.Timeout <= 0 {
			return false
		}
	}
	if in.Has&inventory.DontFragment != 0 {
		t.DontFragment = in.DontFragment
	}
	if in.Has&inventory.ThresholdLatency != 0 {
		t.ThresholdLatency = shared(&l.latency, in.ThresholdLatency)
	}
	if in.Has&inventory.ThresholdLoss != 0 {
		t.ThresholdLoss = shared(&l.loss, in.ThresholdLoss)
	}
	return true
}

// shared returns where f is kept: with the target before if it was the same.
func shared(last **float64, f float64) *float64 {
	if *last == nil || **last != f {
		*last = &f
	}
	return *last
}

// name sets name and destination, in one piece of memory.
func (l *listing) name(t *Target, in *inventory.Target) {
	l.scratch = append(append(l.scratch[:0], l.prefix...), in.Hostname...)
	n := len(l.scratch)
	if bytes.Equal(in.Hostname, in.Destination) {
		t.Name = string(l.scratch)
		t.Destination = t.Name[len(l.prefix):]
		return
	}
	both := string(append(l.scratch, in.Destination...))
	t.Name, t.Destination = both[:n], both[n:]
}

// plainDestination settles the family of an address or a name.
func plainDestination(t *Target) bool {
	found := t.Family
	if a, err := netip.ParseAddr(t.Destination); err == nil {
		found = familyOf(a)
	} else if strings.Trim(t.Destination, "0123456789.*/-") == "" || !validHostName(t.Destination) { // a range, or a fault
		return false
	}
	if t.Family == "" {
		t.Family = found
		if found == "" {
			t.Family = families[0]
		}
	}
	return found == "" || t.Family == found
}

var families = []string{"ipv4", "ipv6"}

// maxHostname is how many bytes a hostname may have: it is a label, not a name
// that DNS has to know.
const maxHostname = 512

func hostnameFits(b []byte) bool {
	if len(b) == 0 || len(b) > maxHostname || len(bytes.TrimSpace(b)) != len(b) || !utf8.Valid(b) {
		return false
	}
	return bytes.IndexFunc(b, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

const (
	lineAllowed     = `allowed: one JSON object on each line, such as {"hostname": "web1", "type": "ICMPping", "destination": "192.0.2.1", "groups": ["standard"]}`
	hostnameAllowed = "printable text of at most 512 bytes that neither begins nor ends with a space"
)

// listedKeys are the keys of a line.
var listedKeys = append([]key[targetDraft]{
	{name: "hostname", read: func(t *targetDraft, v value) {
		if s, ok := v.text(hostnameAllowed); ok && !hostnameFits([]byte(s)) {
			v.wrong(hostnameAllowed)
		}
	}},
	{name: "groups", read: func(t *targetDraft, v value) {
		if t.registerTo = t.groupNames(v); v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
			v.wrong("a list of at least one group")
		}
	}},
}, slices.DeleteFunc(slices.Clone(targetKeys), func(k key[targetDraft]) bool {
	return slices.Contains([]string{"description", "auto_register_to_groups", "explicit_groups"}, k.name)
})...)

// judge reads a line as if it stood in the section targets.
func (l *listing) judge(line *inventory.Line) (Target, *Fault) {
	bad := func(read, allowed string) (Target, *Fault) {
		return Target{}, &Fault{File: l.inv.file, Line: line.Number, Key: joinPath([]string{"inventories", l.inv.name}), Read: read, Allowed: allowed}
	}
	if line.Long {
		return bad(fmt.Sprintf("a line of more than %d bytes that begins with %s", inventory.MaxLine, strconv.Quote(shorten(string(line.Text), maxShown))), lineAllowed)
	}
	if !utf8.Valid(line.Text) {
		return bad("not UTF-8", "allowed: UTF-8; write the file in it")
	}
	if err := json.Unmarshal(line.Text, new(json.RawMessage)); err != nil {
		return bad("not JSON: "+oneLine(err.Error()), lineAllowed)
	}
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(line.Text)), above: line.Number - 1}
	r.dec.UseNumber()
	root, err := r.node(0)
	if err != nil {
		return bad("not JSON: "+oneLine(err.Error()), lineAllowed)
	}
	d := newDecoder(Options{File: l.inv.file})
	v := value{d: d, file: l.inv.file, line: line.Number, path: []string{"inventories", l.inv.name}, node: root}
	if root.Kind != yaml.MappingNode {
		return bad("read "+v.show(), lineAllowed)
	}
	t := targetDraft{Target: l.base}
	if host, ok := l.known(root, line.Number); ok {
		t.Name = l.prefix + host
		v.path = []string{"targets", t.Name}
	}
	d.cfg.positions.set(v.path, origin{file: l.inv.file}, line.Number)
	t.at = v
	l.check(&t)
	if len(d.faults) > 0 {
		return Target{}, &d.faults[0]
	}
	return t.Target, nil
}

// check reads the keys of a line.
func (l *listing) check(t *targetDraft) {
	there := readTarget(t, listedKeys, "a map")
	if _, ok := there["hostname"]; !ok {
		t.at.missing("hostname", hostnameAllowed)
	}
	if _, ok := there["groups"]; !ok {
		t.at.missing("groups", "a list of names of groups")
	}
	for _, name := range t.registerTo {
		g, ok := l.d.groupIndex[name.node.Value]
		if !ok {
			name.noGroup()
			continue
		}
		if !slices.Contains(t.Groups, g) {
			t.Groups = append(t.Groups, g)
		}
	}
}

// known takes keys that nobody knows out of a line, and returns its hostname if
// it has one to call it by.
func (l *listing) known(root *yaml.Node, line int) (hostname string, ok bool) {
	content := root.Content
	root.Content = nil
	for i := 0; i+1 < len(content); i += 2 {
		name, val := content[i].Value, content[i+1]
		if !slices.ContainsFunc(listedKeys, func(k key[targetDraft]) bool { return k.name == name }) {
			l.ignore([]byte(name), line)
			continue
		}
		if name == "hostname" && val.Kind == yaml.ScalarNode && classify(val) == kindText && hostnameFits([]byte(val.Value)) {
			hostname, ok = val.Value, true
		}
		root.Content = append(root.Content, content[i], val)
	}
	return hostname, ok
}
