// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"net/netip"
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
	cfg        *Config
	groupIndex map[string]int
	inv        *Inventory
	list       *TargetList
	prefix     string // of names
	groups     map[string][]int
	scratch    []byte
	latency    *float64 // the last thresholds
	loss       *float64

	merged, maxMerged int // keys that came from merge keys of YAML

	bad, unnamed int // lines not loaded, the first that is not named
	unknown      map[string]*unknownKey
	unknownMore  int // line of the first unknown key that is not in unknown
}

// unknownKey is a key that lines have and that nobody knows.
type unknownKey struct{ line, lines int }

func newListing(c *Config, inv *Inventory, from string) *listing {
	l := &listing{
		cfg: c, inv: inv, list: &TargetList{Inventory: inv.Name, from: from}, prefix: inv.Name + "_",
		groupIndex: make(map[string]int, len(c.Groups)), groups: map[string][]int{}, unknown: map[string]*unknownKey{},
	}
	for i := range c.Groups {
		l.groupIndex[c.Groups[i].Name] = i
	}
	return l
}

// take adds the targets of a line, or notes what is wrong with it. It returns
// false when there are too many.
func (l *listing) take(line *inventory.Line) bool {
	if line.Plain {
		if t, ok := l.plain(&line.Target); ok {
			for _, key := range line.Target.Unknown {
				l.ignore(key, line.Number)
			}
			return l.keep(t, line.Number, time.Time{})
		}
	}
	root, fault := l.parse(line)
	if fault != nil {
		l.reject(*fault)
		return true
	}
	var groups []byte
	if line.Plain && line.Target.Has&inventory.Groups != 0 {
		groups = line.Target.Groups
	}
	return l.element(root, line.Number, groups)
}

// element adds the targets of one item of a list. groups is the text of its
// groups where the next plain line may look for it.
func (l *listing) element(root *yaml.Node, line int, groups []byte) bool {
	if isDiscovered(root) {
		return l.discovered(root, line)
	}
	t, fault := l.judge(root, line)
	if fault != nil {
		l.reject(*fault)
		return true
	}
	if groups != nil && len(l.groups) < maxLists {
		l.groups[string(groups)] = t.Groups
	}
	return l.keep(t.Target, line, t.expires())
}

// keep adds a target. It returns false when it is one too many.
func (l *listing) keep(t Target, line int, expires time.Time) bool {
	n := len(l.list.targets)
	if n == l.inv.MaxTargets {
		return false
	}
	l.list.add(n, line)
	l.list.targets = append(l.list.targets, t)
	if !expires.IsZero() {
		l.list.expires = append(append(l.list.expires, make([]int64, n-len(l.list.expires))...), max(1, expires.UnixNano()))
	}
	return true
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
	required := inventory.Hostname | inventory.Destination
	t = l.inv.base
	if !l.inv.hasType {
		required |= inventory.Type
	}
	if !l.inv.hasGroups {
		required |= inventory.Groups
	}
	kind := typeNamed(t.Type)
	if in.Has&inventory.Type != 0 {
		kind = typeNamed(string(in.Type))
	}
	if in.Has&required != required || in.IsSubnet || t.IsSubnet || kind == nil || !hostnameFits(in.Hostname) {
		return t, false
	}
	t.Type = kind.Name
	if in.Has&inventory.Groups != 0 {
		if t.Groups, ok = l.groups[string(in.Groups)]; !ok {
			return t, false
		}
	}
	if !l.plainNumbers(&t, in) || t.DstPort == 0 && kind.NeedsPort {
		return t, false
	}
	if !oneOfInto(&t.AlertLevel, in.AlertLevel, alertLevels) || !oneOfInto(&t.State, in.State, states) || !oneOfInto(&t.Family, in.Family, families) {
		return t, false
	}
	l.name(&t, in)
	return t, plainDestination(&t)
}

func typeNamed(name string) *probe.Type {
	for _, k := range probe.Types() {
		if name == k.Name {
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
	if in.Has&inventory.DstPort != 0 {
		t.DstPort = uint16(in.DstPort)
	}
	if in.Has&inventory.IPPayloadSize != 0 {
		t.IPPayloadSize = int(in.IPPayloadSize)
	}
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
