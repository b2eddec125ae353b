// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// warnUnreserved says which source ports the kernel may give to connections of
// its own: those within net.ipv4.ip_local_port_range, which many hosts widen, that
// net.ipv4.ip_local_reserved_ports does not hold.
func (b *builder) warnUnreserved() {
	if b.in.Reserved == nil {
		return
	}
	inUse := make([]bool, len(b.cfg.Groups))
	for n, i := range b.planned {
		if b.types[i].SourcePorts {
			for _, gi := range b.groupsOf(n) {
				inUse[gi] = true
			}
		}
	}
	var missing, all [1 << 16]bool // all: what is reserved as well, since setting replaces it
	for gi, g := range b.cfg.Groups {
		for p := int(g.SrcPortA); inUse[gi] && p <= int(g.SrcPortZ); p++ {
			missing[p] = !b.in.Reserved(uint16(p))
		}
	}
	for p := range all {
		all[p] = missing[p] || b.in.Reserved(uint16(p))
	}
	if ports := listPorts(&missing); ports != "" {
		b.warn("net.ipv4.ip_local_reserved_ports does not hold the source ports "+ports+": the kernel may take one of them for a connection of its own, as far as net.ipv4.ip_local_port_range holds it, and probes are lost then",
			"in the network namespace that is probed from: sysctl -w net.ipv4.ip_local_reserved_ports="+listPorts(&all), "groups")
	}
}

// listPorts writes ports as the kernel does: 22,8080-8089.
func listPorts(set *[1 << 16]bool) string {
	var parts []string
	for p := 0; p < len(set); p++ {
		if !set[p] {
			continue
		}
		from := p
		for p+1 < len(set) && set[p+1] {
			p++
		}
		part := strconv.Itoa(from)
		if p > from {
			part = fmt.Sprintf("%d-%d", from, p)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
