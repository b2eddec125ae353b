// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxIPPayload is the largest IPv4 payload in bytes (RFC 791: 65535 less the
// header).
const maxIPPayload = 65515

// key is one key of a group, a target or a map in one, and how it is read into T.
type key[T any] struct {
	name   string
	doc    string // what it is, for people
	read   func(*T, value)
	absent func(*T) any // the value without the key, of a draft as it begins; nil: none, or doc says
	strict bool         // null is a fault, not the same as no key
}

// readMap reads the entries of a closed map. It returns the entries that are
// there and not null.
func readMap[T any](v value, t *T, keys []key[T], allowed string) map[string]value {
	entries, ok := v.entries(allowed, maxKeys)
	if !ok {
		return nil
	}
	there := make(map[string]value, len(entries))
	for _, e := range entries {
		i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == e.name() })
		if i < 0 {
			names := make([]string, len(keys))
			for i, k := range keys {
				names[i] = k.name
			}
			e.unknown(names)
			continue
		}
		if e.null() && !keys[i].strict {
			continue
		}
		there[e.name()] = e
		keys[i].read(t, e)
	}
	return there
}

// keep stores what was read, and leaves the default where a fault was.
func keep[T any](p *T) func(T, bool) {
	return func(t T, ok bool) {
		if ok {
			*p = t
		}
	}
}

// groupDraft is a group being read.
type groupDraft struct {
	Group
	deprecated netip.Addr // src_ip
}

var groupKeys = []key[groupDraft]{
	{name: "src_ip", doc: "the old name of src_ipv4",
		read: func(g *groupDraft, v value) { g.deprecated = v.source(false) }},
	{name: "src_ipv4", doc: "source address; without it the kernel chooses",
		read: func(g *groupDraft, v value) { g.SrcIPv4 = v.source(false) }},
	{name: "src_ipv6", doc: "the same for IPv6",
		read: func(g *groupDraft, v value) { g.SrcIPv6 = v.source(true) }},
	{name: "src_subnet_ipv4", doc: "source addresses that take turns; wins over src_ipv4",
		read: func(g *groupDraft, v value) { g.SrcSubnetIPv4 = v.sourceSubnet(false) }},
	{name: "src_subnet_ipv6", doc: "the same for IPv6",
		read: func(g *groupDraft, v value) { g.SrcSubnetIPv6 = v.sourceSubnet(true) }},
	{name: "src_port_a", doc: "first source port of TCPsyn and UDPunreachable; each port is a path of its own where routers balance by port",
		absent: func(x *groupDraft) any { return x.SrcPortA },
		read:   func(g *groupDraft, v value) { v.port(&g.SrcPortA) }},
	{name: "src_port_z", doc: "last source port",
		absent: func(x *groupDraft) any { return x.SrcPortZ },
		read:   func(g *groupDraft, v value) { v.port(&g.SrcPortZ) }},
	{name: "ip_payload_size", doc: "bytes of IP payload for ICMPping targets that do not say themselves",
		absent: func(x *groupDraft) any { return x.IPPayloadSize },
		read:   func(g *groupDraft, v value) { keep(&g.IPPayloadSize)(v.integer(0, maxIPPayload)) }},
	{name: "dscp", doc: "DSCP of the packets",
		absent: func(x *groupDraft) any { return x.DSCP },
		read: func(g *groupDraft, v value) {
			dscp, _ := v.integer(0, 63)
			g.DSCP = uint8(dscp)
		}},
	{name: "permit_target_auto_register", doc: "whether targets join by themselves, without naming the group",
		absent: func(x *groupDraft) any { return x.PermitAutoRegister },
		read:   func(g *groupDraft, v value) { keep(&g.PermitAutoRegister)(v.boolean()) }},
}

// groups reads the section groups.
func (d *decoder) groups(v value) {
	before := len(d.faults)
	entries, ok := v.entries("a map with at least one group", math.MaxInt)
	if !ok {
		return
	}
	if len(entries) == 0 && len(d.faults) == before { // else it has entries, with names that are none
		v.wrong("a map with at least one group, such as default: {}")
	}
	for _, e := range entries {
		if !e.checkName() {
			// The group is there, so a target that registers to it has no fault of its own.
			d.cfg.Groups = append(d.cfg.Groups, Group{Name: e.name(), PermitAutoRegister: true})
			continue
		}
		d.cfg.Groups = append(d.cfg.Groups, readGroup(e))
	}
}

// defaultGroup has what a group is without being told.
var defaultGroup = Group{SrcPortA: 65000, SrcPortZ: 65001, PermitAutoRegister: true}

func readGroup(v value) Group {
	g := groupDraft{Group: defaultGroup}
	g.Name = v.name()
	there := readMap(v, &g, groupKeys, "a map; write {} for a group with defaults only")
	if old, ok := there["src_ip"]; ok {
		if _, both := there["src_ipv4"]; both {
			old.warn("is deprecated, and src_ipv4 is used instead of it", "remove it")
		} else {
			old.warn("is deprecated", "rename it to src_ipv4")
			g.SrcIPv4 = g.deprecated
		}
	}
	if g.SrcPortA > g.SrcPortZ && g.SrcPortA > 0 && g.SrcPortZ > 0 {
		at, ok := there["src_port_z"]
		if !ok {
			at = there["src_port_a"]
		}
		at.fault(fmt.Sprintf("read the source ports %d to %d", g.SrcPortA, g.SrcPortZ),
			"allowed: src_port_a at most src_port_z; without them they are 65000 and 65001")
	}
	return g.Group
}

// source reads a source address.
func (v value) source(six bool) netip.Addr {
	allowed := "an IPv4 unicast address of this machine"
	if six {
		allowed = "an IPv6 unicast address of this machine, without a zone"
	}
	s, ok := v.text(allowed)
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is4() == six || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		v.wrong(allowed)
		return netip.Addr{}
	}
	return a
}

// sourceSubnet reads a subnet whose addresses take turns as the source.
func (v value) sourceSubnet(six bool) netip.Prefix {
	allowed := "an IPv4 prefix such as 192.0.2.0/29"
	if six {
		allowed = "an IPv6 prefix such as 2001:db8::/120"
	}
	s, ok := v.text(allowed)
	if !ok {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4() == six || p.Addr().Is4In6() {
		v.wrong(allowed)
		return netip.Prefix{}
	}
	if p != p.Masked() {
		v.wrong("a prefix without host bits; write " + p.Masked().String())
		return netip.Prefix{}
	}
	return p
}

// port reads a port; a faulty one becomes 0, which no valid one is.
func (v value) port(p *uint16) {
	n, _ := v.integer(1, math.MaxUint16)
	*p = uint16(n)
}

// checkName checks the name of a group or target.
func (v value) checkName() bool {
	if namePattern.MatchString(v.name()) {
		return true
	}
	v.fault("read the name "+strconv.Quote(shorten(v.name(), maxShown)), "allowed: "+nameAllowed)
	return false
}

// unknown records a key that does not belong where it is.
func (v value) unknown(known []string) {
	v.fault("not a key that is known here", "allowed: "+strings.Join(known, ", "))
}

// warn records something that is probably not meant.
func (v value) warn(read, advice string) {
	v.d.cfg.Warnings = append(v.d.cfg.Warnings, Fault{File: v.file, Line: v.line, Key: joinPath(v.path), Read: read, Allowed: advice})
}
