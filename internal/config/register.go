// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// register joins targets to groups in netprobify's order: automatically, then
// register_to, then exclude_from takes away; exclusion wins.
func (d *decoder) register() {
	d.groupIndex = make(map[string]int, len(d.cfg.Groups))
	var auto []int
	for i, g := range d.cfg.Groups {
		d.groupIndex[g.Name] = i
		if g.PermitAutoRegister {
			auto = append(auto, i)
		}
	}
	for i := range d.drafts {
		t := &d.drafts[i]
		if t.auto {
			// Shared by all targets: clipped, so that append copies it.
			t.Groups = slices.Clip(auto)
		}
		for _, name := range t.registerTo {
			g, ok := d.groupIndex[name.node.Value]
			switch {
			case !ok:
				name.noGroup()
				t.unsure = true
			case !slices.Contains(t.Groups, g):
				t.Groups = append(slices.Clip(t.Groups), g)
			}
		}
		for _, name := range t.excludeFrom {
			g, ok := d.groupIndex[name.node.Value]
			switch {
			case !ok:
				name.warn("there is no group "+name.node.Value+"; ignored", "name a group of the section groups")
			case slices.Contains(t.Groups, g):
				t.Groups = slices.DeleteFunc(slices.Clone(t.Groups), func(i int) bool { return i == g })
			}
		}
		if len(t.Groups) == 0 && !t.unsure {
			t.at.warn("in no group, and so it is not probed", whyNoGroup(t))
		}
	}
}

// noGroup records a fault at the name of a group.
func (v value) noGroup() {
	v.fault("there is no group "+v.node.Value, "allowed: a group of the section groups; add it there, or correct the name")
}

// whyNoGroup says what to change if the target is meant to be probed.
func whyNoGroup(t *targetDraft) string {
	switch {
	case len(t.excludeFrom) > 0:
		return "exclude_from takes away the last one"
	case t.auto:
		return "every group has permit_target_auto_register: false; name one in explicit_groups.register_to to probe it"
	}
	return "name one in explicit_groups.register_to, or leave out auto_register_to_groups: false, to probe it"
}

// payloadNotice says once which targets send more than they were told to,
// because their packets have to hold a token.
func (d *decoder) payloadNotice() {
	raised := map[*probe.Type]int{}
	for i := range d.cfg.Targets {
		t := &d.cfg.Targets[i]
		kind, _ := probe.Lookup(t.Type)
		for _, g := range t.Groups {
			size := t.IPPayloadSize
			if size == 0 && kind.GroupPayload {
				size = d.cfg.Groups[g].IPPayloadSize
			}
			if max(size, kind.HeaderLen) < kind.HeaderLen+kind.MinPayload {
				raised[kind]++
				break
			}
		}
	}
	if len(raised) == 0 {
		return
	}
	var parts []string
	for kind, n := range raised {
		parts = append(parts, fmt.Sprintf("%s at least %d (raised for %d)", kind.Name, kind.HeaderLen+kind.MinPayload, n))
	}
	sort.Strings(parts)
	d.cfg.Notices = append(d.cfg.Notices, "ip_payload_size is raised where it is too small for the header and the token that tells our probes apart: "+strings.Join(parts, ", "))
}
