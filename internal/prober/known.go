// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// known is what is known of the names of a configuration, by target. One
// goroutine uses it.
type known struct {
	hosts   map[string]resolve.Name
	addrs   map[string][]netip.Addr // none: it has no address
	refused map[string][]netip.Addr // addresses that could not be carried out, until a reload
	waiting map[string]bool         // whose first answer is not in
	failing map[string]bool         // whose last question had no answer; they may have an address all the same
	changes map[string]uint64
	places  map[string]plan.Place // once there is a plan; Planned is -1 where a target is in no group
}

// carry returns what of it is known of the names of another configuration.
func (k *known) carry(next *config.Config) known {
	out := known{
		hosts: map[string]resolve.Name{}, addrs: map[string][]netip.Addr{}, refused: map[string][]netip.Addr{}, waiting: map[string]bool{},
		failing: map[string]bool{}, changes: map[string]uint64{}, places: map[string]plan.Place{},
	}
	for _, name := range resolve.Names(next) {
		out.hosts[name.Target] = name
		old, had := k.hosts[name.Target]
		if !had || old.Host != name.Host || old.Family != name.Family {
			out.waiting[name.Target] = true
			continue
		}
		if addrs, ok := k.addrs[name.Target]; ok {
			out.addrs[name.Target] = addrs
		}
		if addrs, ok := k.refused[name.Target]; ok {
			out.refused[name.Target] = addrs
		}
		if k.waiting[name.Target] {
			out.waiting[name.Target] = true
		}
		if k.failing[name.Target] {
			out.failing[name.Target] = true
		}
		if n, ok := k.changes[name.Target]; ok {
			out.changes[name.Target] = n
		}
	}
	return out
}

// find notes where the targets with names are.
func (k *known) find(cfg *config.Config, pl *plan.Plan) {
	if len(k.hosts) == 0 {
		return
	}
	for i, t := range targetsOf(cfg, pl) {
		if _, named := k.hosts[t.cfg.Name]; named {
			at := plan.Place{Listed: i, Planned: -1}
			if t.plan != nil {
				at.Planned = t.at
			}
			k.places[t.cfg.Name] = at
		}
	}
}
