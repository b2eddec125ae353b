// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// register joins targets to groups in netprobify's order: automatically, then
// register_to, then exclude_from takes away; exclusion wins.
func (d *decoder) register() {
	index := make(map[string]int, len(d.cfg.Groups))
	var auto []int
	for i, g := range d.cfg.Groups {
		index[g.Name] = i
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
			if g, ok := d.groupNamed(index, name); ok && !slices.Contains(t.Groups, g) {
				t.Groups = append(slices.Clip(t.Groups), g)
			}
		}
		for _, name := range t.excludeFrom {
			if g, ok := d.groupNamed(index, name); ok && slices.Contains(t.Groups, g) {
				t.Groups = slices.DeleteFunc(slices.Clone(t.Groups), func(i int) bool { return i == g })
			}
		}
		if len(t.Groups) == 0 && !t.unsure {
			t.at.fault("in no group", d.whyNoGroup(t))
		}
	}
}

func (d *decoder) groupNamed(index map[string]int, name value) (int, bool) {
	g, ok := index[name.node.Value]
	if !ok {
		name.warn("there is no group "+name.node.Value+"; ignored", "name a group of the section groups")
	}
	return g, ok
}

// whyNoGroup says what to change so that a target is in a group.
func (d *decoder) whyNoGroup(t *targetDraft) string {
	switch {
	case len(t.excludeFrom) > 0:
		return "allowed: at least one group; exclude_from takes away the last one"
	case t.auto:
		return "allowed: at least one group; every group has permit_target_auto_register: false, so name one in explicit_groups.register_to"
	}
	return "allowed: at least one group; name one in explicit_groups.register_to, or leave out auto_register_to_groups: false"
}

// payloadNotice says once which targets send more than they were told to,
// because their packets have to hold a token.
func (d *decoder) payloadNotice() {
	raised := map[string]int{}
	for i := range d.drafts {
		t := &d.drafts[i]
		if t.kind == nil {
			continue
		}
		least := t.kind.HeaderLen + t.kind.MinPayload
		for _, g := range t.Groups {
			size := t.IPPayloadSize
			if size == 0 && t.kind.GroupPayload {
				size = d.cfg.Groups[g].IPPayloadSize
			}
			if size == 0 {
				size = t.kind.HeaderLen
			}
			if size < least {
				raised[fmt.Sprintf("%s at least %d", t.Type, least)]++
				break
			}
		}
	}
	if len(raised) == 0 {
		return
	}
	var parts []string
	for what, n := range raised {
		parts = append(parts, fmt.Sprintf("%s (raised for %d)", what, n))
	}
	sort.Strings(parts)
	d.cfg.Notices = append(d.cfg.Notices, "ip_payload_size is raised where it is too small for the header and the token that tells our probes apart: "+strings.Join(parts, ", "))
}
