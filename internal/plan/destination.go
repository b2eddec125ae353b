// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// destination is what a target's destination stands for: a masked prefix, a
// range, or addresses. A name without an address has none of them.
type destination struct {
	prefix  netip.Prefix
	span    config.Range // where spanned
	spanned bool
	addrs   []netip.Addr
}

// size returns how many addresses are probed, 1 for a name without an address:
// its probes are part of the plan, and may start at any moment.
func (d *destination) size() float64 {
	if d.prefix.IsValid() {
		return math.Ldexp(1, d.prefix.Addr().BitLen()-d.prefix.Bits())
	}
	if d.spanned {
		return float64(d.span.Size())
	}
	return float64(max(1, len(d.addrs)))
}

// destination reads what a target probes, and notes a fault where it must not.
// For a name whose address must not be probed that is a warning, since the
// fault is not the configuration's and may pass: the target is inactive.
func (b *builder) destination(t *config.Target) destination {
	if t.IsSubnet {
		return b.subnet(t)
	}
	addr, err := netip.ParseAddr(t.Destination)
	if err != nil {
		return b.named(t)
	}
	if !inFamily(addr, t.Family) {
		b.fault("destination is "+addr.String(), "allowed: an "+t.Family+" address; change destination or address_family", "targets", t.Name, "address_family")
		return destination{}
	}
	if err := CheckAddr(b.cfg.Safety, addr); err != nil {
		b.fault(err.Error(), "allowed: another address, or this one named in safety.allow_ranges", "targets", t.Name, "destination")
		return destination{}
	}
	one := b.addrs.take(1)
	one[0] = addr
	return destination{addrs: one}
}

func (b *builder) subnet(t *config.Target) destination {
	if r, err := config.ParseRange(t.Destination); err == nil {
		return b.spanOf(t, r)
	}
	p, err := netip.ParsePrefix(t.Destination)
	if addr, notAddr := netip.ParseAddr(t.Destination); notAddr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		b.fault(fmt.Sprintf("read %q", t.Destination), "allowed: a subnet such as 192.0.2.0/29, or is_subnet: false", "targets", t.Name, "destination")
		return destination{}
	}
	p = p.Masked()
	if !inFamily(p.Addr(), t.Family) {
		b.fault("destination is "+p.String(), "allowed: an "+t.Family+" subnet; change destination or address_family", "targets", t.Name, "address_family")
		return destination{}
	}
	if err := checkPrefix(b.cfg.Safety, p); err != nil {
		b.fault(err.Error(), "allowed: another subnet, or this one named in safety.allow_ranges", "targets", t.Name, "destination")
		return destination{}
	}
	return destination{prefix: p}
}

// spanOf reads a range. Each address is judged by itself, and the first that
// must not be probed is named.
func (b *builder) spanOf(t *config.Target, r config.Range) destination {
	if t.Family != "ipv4" {
		b.fault("destination is "+r.String(), "allowed: an "+t.Family+" subnet; change destination or address_family", "targets", t.Name, "address_family")
		return destination{}
	}
	for n := 0; n < r.Size(); n += r.Block() {
		if all, _ := r.At(n).Prefix(24); checkPrefix(b.cfg.Safety, all) == nil {
			continue
		}
		for i := range r.Block() {
			if err := CheckAddr(b.cfg.Safety, r.At(n+i)); err != nil {
				b.fault(err.Error(), "allowed: another range, or these addresses named in safety.allow_ranges", "targets", t.Name, "destination")
				return destination{}
			}
		}
	}
	return destination{span: r, spanned: true}
}

func (b *builder) named(t *config.Target) destination {
	addrs := b.in.Addrs[t.Name]
	for _, addr := range addrs {
		if !inFamily(addr, t.Family) {
			b.fault(fmt.Sprintf("%s is %s", t.Destination, addr), "allowed: an "+t.Family+" address; change destination or address_family", "targets", t.Name, "address_family")
			return destination{}
		}
		if err := CheckAddr(b.cfg.Safety, addr); err != nil {
			b.warn(fmt.Sprintf("%s is not probed: its address %s", t.Destination, err), "the target is inactive until the name has another address", "targets", t.Name, "destination")
			return destination{}
		}
	}
	return destination{addrs: addrs}
}

// inFamily says whether addr is sent in packets of this family. An IPv4-mapped
// IPv6 address is none of IPv4's.
func inFamily(addr netip.Addr, family string) bool {
	if family == "ipv4" {
		return addr.Is4()
	}
	return addr.Is6()
}

// addresses returns the addresses to probe: all of the subnet's or range's, network and
// broadcast address included as in netprobify, without those of this host.
func (b *builder) addresses(t *config.Target, d *destination) []netip.Addr {
	all := d.addrs
	switch {
	case d.prefix.IsValid():
		all = make([]netip.Addr, int(d.size()))
		for i := range all {
			all[i] = addrAdd(d.prefix.Addr(), uint64(i))
		}
	case d.spanned:
		all = make([]netip.Addr, d.span.Size())
		for i := range all {
			all[i] = d.span.At(i)
		}
	}
	if b.in.Self == nil {
		return all
	}
	var kept []netip.Addr // made only if it is not all of them
	var own []string
	for i, addr := range all {
		switch {
		case b.in.Self(addr):
			if len(own) == 0 {
				kept = append(make([]netip.Addr, 0, len(all)), all[:i]...)
			}
			own = append(own, addr.String())
		case len(own) > 0:
			kept = append(kept, addr)
		}
	}
	if len(own) == 0 {
		return all
	}
	what := "the target is inactive while this host has the address"
	if len(kept) > 0 {
		what = fmt.Sprintf("the other %d addresses are probed", len(kept))
	}
	const named = 3 // of many addresses, enough to recognise them
	list := strings.Join(own[:min(len(own), named)], ", ")
	if len(own) > named {
		list += fmt.Sprintf(" and %d more", len(own)-named)
	}
	b.warn(list+" belongs to this host and is not probed", what, "targets", t.Name, "destination")
	return kept
}
