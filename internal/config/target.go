// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// targetDraft is a target being read, with what is needed until its groups and
// defaults are known.
type targetDraft struct {
	Target
	at          value
	kind        *probe.Type // nil when unknown
	auto        bool
	registerTo  []value // names of groups
	excludeFrom []value
	unsure      bool // a fault hides which groups are meant
	ownDNS      bool // has its own dns_update_interval

	created  time.Time     // of a target of an inventory; zero: it does not say
	lifetime time.Duration // likewise
}

var (
	alertLevels = []string{"paging", "paging_validation", "sandbox", "no_alert"}
	states      = []string{"in production", "validation"}
)

var targetKeys = []key[targetDraft]{
	{name: "description", doc: "for people; without it the name",
		read: func(t *targetDraft, v value) { keep(&t.Description)(v.text("text")) }},
	{name: "type", doc: "how it is probed",
		read: func(t *targetDraft, v value) {
			name, ok := v.oneOf(typeNames()...)
			if t.kind = nil; ok {
				t.Type = name
				t.kind, _ = probe.Lookup(name)
			}
		}},
	{name: "destination", doc: "what is probed",
		read: func(t *targetDraft, v value) { keep(&t.Destination)(v.text(destinationAllowed)) }},
	{name: "address_family", doc: "family of a host name, ipv4 without it; an address says its own",
		read: func(t *targetDraft, v value) { keep(&t.Family)(v.oneOf("ipv4", "ipv6")) }},
	{name: "dont_fragment", doc: "whether IPv4 packets forbid fragmentation",
		absent: func(x *targetDraft) any { return x.DontFragment },
		read:   func(t *targetDraft, v value) { keep(&t.DontFragment)(v.boolean()) }},
	{name: "is_subnet", doc: "whether destination is a prefix, of which every address is probed",
		absent: func(x *targetDraft) any { return x.IsSubnet },
		read:   func(t *targetDraft, v value) { keep(&t.IsSubnet)(v.boolean()) }},
	{name: "dst_port", doc: "port to probe; TCPsyn and UDPunreachable need it",
		read: func(t *targetDraft, v value) { v.port(&t.DstPort) }},
	{name: "nb_packets", doc: "packets for each group and interval",
		absent: func(x *targetDraft) any { return x.NbPackets },
		read:   func(t *targetDraft, v value) { keep(&t.NbPackets)(v.integer(1, maxCount)) }},
	{name: "ip_payload_size", doc: "bytes of IP payload, the header of TCP, UDP or ICMP included; raised where the token needs more",
		absent: func(x *targetDraft) any { return x.IPPayloadSize },
		read:   func(t *targetDraft, v value) { keep(&t.IPPayloadSize)(v.integer(0, maxIPPayload)) }},
	{name: "threshold", doc: "what alert rules compare with",
		read: func(t *targetDraft, v value) {
			if there := readMap(v, t, thresholdKeys, thresholdAllowed); there != nil && len(v.node.Content) == 0 {
				v.wrong(thresholdAllowed)
			}
		}, strict: true},
	{name: "alert_level", doc: "label of the thresholds",
		absent: func(x *targetDraft) any { return x.AlertLevel },
		read: func(t *targetDraft, v value) {
			keep(&t.AlertLevel)(v.oneOf(alertLevels...))
		}},
	{name: "state", doc: "label state of the series",
		absent: func(x *targetDraft) any { return x.State },
		read:   func(t *targetDraft, v value) { keep(&t.State)(v.oneOf(states...)) }},
	{name: "timeout", doc: "seconds to wait for an answer",
		absent: func(x *targetDraft) any { return x.Timeout },
		read:   func(t *targetDraft, v value) { keep(&t.Timeout)(v.seconds(maxTimeout, true)) }},
	{name: "dns_update_interval", doc: "as global.dns_update_interval, which holds without it",
		read: func(t *targetDraft, v value) { t.DNSUpdateInterval, t.ownDNS = v.wholeSeconds(0) }},
	{name: "auto_register_to_groups", doc: "whether it joins every group that permits it",
		absent: func(x *targetDraft) any { return x.auto },
		read: func(t *targetDraft, v value) {
			var ok bool
			t.auto, ok = v.boolean()
			t.unsure = t.unsure || !ok
		}},
	{name: "explicit_groups", doc: "groups by name",
		read: func(t *targetDraft, v value) {
			readMap(v, t, explicitKeys, "a map with register_to, exclude_from or both")
		}},
}

const thresholdAllowed = "a map with latency, loss or both"

var thresholdKeys = []key[targetDraft]{
	{name: "latency", doc: "seconds",
		read: func(t *targetDraft, v value) { t.ThresholdLatency = v.threshold() }},
	{name: "loss", doc: "percent",
		read: func(t *targetDraft, v value) { t.ThresholdLoss = v.threshold() }},
}

var explicitKeys = []key[targetDraft]{
	{name: "register_to", doc: "groups to be in besides",
		read: func(t *targetDraft, v value) { t.registerTo = t.groupNames(v) }},
	{name: "exclude_from", doc: "groups not to be in; wins",
		read: func(t *targetDraft, v value) { t.excludeFrom = t.groupNames(v) }},
}

func typeNames() []string {
	var names []string
	for _, t := range probe.Types() {
		names = append(names, t.Name)
	}
	return names
}

// threshold reads a threshold; an alert rule compares, so any number will do.
func (v value) threshold() *float64 {
	f, ok := v.number(math.Inf(-1), math.Inf(1), false)
	if !ok {
		return nil
	}
	return &f
}

func (t *targetDraft) groupNames(v value) []value {
	items, ok := v.items("a list of names of groups")
	t.unsure = t.unsure || !ok
	var names []value
	for _, it := range items {
		if _, ok := it.label(); ok {
			names = append(names, it)
		} else {
			t.unsure = true
		}
	}
	return names
}

// targets reads the section targets. Groups are joined later, when all are
// known.
func (d *decoder) targets(v value) {
	const allowed = "a map with at least one target; remove the key when there is none"
	before := len(d.faults)
	entries, ok := v.entries(allowed, math.MaxInt)
	if !ok {
		return
	}
	if len(entries) == 0 && len(d.faults) == before { // else it has entries, with names that are none
		v.wrong(allowed)
	}
	d.drafts = make([]targetDraft, 0, len(entries))
	for _, e := range entries {
		if !e.checkName() {
			continue
		}
		d.drafts = append(d.drafts, targetDraft{at: e, auto: true, Target: defaultTarget})
		t := &d.drafts[len(d.drafts)-1]
		t.Name, t.Description = e.name(), e.name()
		readTarget(t, targetKeys, "a map with at least type and destination")
	}
}

// defaultTarget has what a target is without being told.
var defaultTarget = Target{DontFragment: true, NbPackets: 1, AlertLevel: "no_alert", State: "None", Timeout: defaultTimeout}

// readTarget reads one target and checks its keys against one another. It
// returns the entries that are there and not null.
func readTarget(t *targetDraft, keys []key[targetDraft], allowed string) map[string]value {
	v := t.at
	there := readMap(v, t, keys, allowed)
	if there == nil {
		return nil
	}
	if _, ok := there["type"]; !ok && t.kind == nil {
		v.missing("type", strings.Join(typeNames(), ", "))
	}
	if dst, ok := there["destination"]; !ok {
		v.missing("destination", destinationAllowed)
	} else if dst.node.Kind == yaml.ScalarNode && classify(dst.node) == kindText {
		checkDestination(t, dst, there["address_family"])
	}
	if _, ok := there["dst_port"]; !ok && t.DstPort == 0 && t.kind != nil && t.kind.NeedsPort {
		v.missing("dst_port", "the port to probe, 1 to 65535; "+t.Type+" needs one")
	}
	return there
}
