// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
)

// Inputs is what a plan needs to know beyond the configuration.
type Inputs struct {
	// Addrs holds the addresses of targets whose destination is a name, distinct,
	// by target name. A target that is missing here is inactive.
	Addrs map[string][]netip.Addr
	// Self says whether an address is this host's own; nil: none is known to be.
	Self func(netip.Addr) bool
	// Local says whether the kernel accepts a source address as local; nil: all
	// are taken to be.
	Local func(netip.Addr) bool
	// Reserved says whether the kernel keeps its own connections off a port; nil:
	// it is not known, and nothing is said of it.
	Reserved func(port uint16) bool
}

// maxSources bounds the distinct sources of a group: each is a flow to every
// address, and the engine keeps state for every flow.
const maxSources = 1 << 20

// builder collects what is wrong while a plan is made. One goroutine uses it.
type builder struct {
	cfg      *config.Config
	in       Inputs
	faults   config.Faults
	seen     map[config.Fault]bool
	warnings []config.Fault
	unfit    int // targets of inventories that are left out

	planned []int         // indices into cfg.Targets of those that are in a group
	types   []*probe.Type // by index of cfg.Targets, as are:
	dests   []destination

	// What targets share, and where they are laid out.
	cache   map[sourceKey][]Source
	order   []uint32
	series  map[groupsKey][]Group
	listed  []byte // scratch, for groupsKey
	addrs   slab[netip.Addr]
	targets slab[Target]
}

// groupsKey tells apart what the groups of a target are made of.
type groupsKey struct {
	groups  string // indices into cfg.Groups, as bytes
	typ     *probe.Type
	v6      bool
	packets int
	payload int
}

// sourceKey tells apart the rotations of one configuration.
type sourceKey struct {
	group int
	v6    bool
	ports bool
}

func newBuilder(cfg *config.Config, in Inputs) *builder {
	return &builder{
		cfg:   cfg,
		in:    in,
		seen:  make(map[config.Fault]bool),
		types: make([]*probe.Type, len(cfg.Targets)),
		dests: make([]destination, len(cfg.Targets)),
		cache: make(map[sourceKey][]Source),

		series: make(map[groupsKey][]Group),
	}
}

// Build makes the plan of a configuration. Everything that cannot be carried
// out is a fault: the error is then config.Faults with exit code 65, one entry
// per fault. What it reads is not changed and not kept, apart from the slices
// of in.Addrs.
func Build(cfg *config.Config, in Inputs) (*Plan, error) {
	b := newBuilder(cfg, in)
	for i := range cfg.Targets {
		if len(cfg.Targets[i].Groups) > 0 {
			b.judgeListed(i)
		}
	}
	b.judgeSources()
	pps := b.judgeRates()
	if len(b.faults) > 0 {
		return nil, exitcode.With(exitcode.Config, b.faults)
	}

	// Only now is anything laid out in full: what was judged is bounded.
	p := &Plan{
		ProbeName:   cfg.Global.ProbeName,
		Interval:    cfg.Global.Interval,
		Percentiles: cfg.Global.Percentiles,
		Targets:     make([]*Target, len(b.planned)),
		PPS:         pps,
	}
	for n, i := range b.planned {
		p.Targets[n] = b.target(i)
	}
	if b.unfit > maxUnfit {
		b.warn(fmt.Sprintf("%d more targets of inventories are not probed", b.unfit-maxUnfit), "correct those that are named, then look again", "inventories")
	}
	b.warnBursts()
	b.warnReuse(p.Targets)
	b.warnShared(p.Targets)
	b.warnUnreserved()
	p.Warnings = b.warnings
	return p, nil
}

// fault notes a fault once, however many targets share it.
func (b *builder) fault(read, allowed string, path ...string) {
	f := b.cfg.Fault(read, allowed, path...)
	if !b.seen[f] {
		b.seen[f] = true
		b.faults = append(b.faults, f)
	}
}

func (b *builder) warn(read, allowed string, path ...string) {
	b.warnings = append(b.warnings, b.cfg.Fault(read, allowed, path...))
}

// maxUnfit is how many unfit targets of inventories are named.
const maxUnfit = 100

// judgeListed looks at one target. One of an inventory that is unfit spoils none
// of the others: it is left out, and the fault is a warning.
func (b *builder) judgeListed(i int) {
	before := len(b.faults)
	b.judge(i)
	if len(b.faults) == before || !b.cfg.Listed(i) {
		b.planned = append(b.planned, i)
		return
	}
	if b.unfit++; b.unfit <= maxUnfit {
		f := b.faults[before]
		f.Read += "; the target is not probed"
		b.warnings = append(b.warnings, f)
	}
	b.faults = b.faults[:before]
}

// judge looks at one target by itself.
func (b *builder) judge(i int) {
	t := &b.cfg.Targets[i]
	typ, ok := probe.Lookup(t.Type)
	if !ok {
		b.fault(fmt.Sprintf("read %q", t.Type), "allowed: a known probe type", "targets", t.Name, "type")
		return
	}
	b.types[i] = typ
	b.dests[i] = b.destination(t)
	gap, interval := b.cfg.Global.IntervalPackets, b.cfg.Global.Interval
	if n := b.probes(i); n*float64(gap) > float64(interval) {
		b.fault(fmt.Sprintf("%.0f probes per interval (nb_packets %d × %d groups × %.0f addresses), %s apart", n, t.NbPackets, len(t.Groups), b.dests[i].size(), gap),
			fmt.Sprintf("allowed: at most %d in global.interval %s; lower nb_packets or global.interval_packets, or raise global.interval", interval/gap, interval),
			"targets", t.Name, "nb_packets")
	}
}

// probes returns how many probes an interval holds for a target. It is exact
// up to 2^53; whatever is more is above every cap.
func (b *builder) probes(i int) float64 {
	t := &b.cfg.Targets[i]
	return float64(t.NbPackets) * float64(len(t.Groups)) * b.dests[i].size()
}

// payloadLen returns the bytes after the L4 header. ip_payload_size counts that
// header; the target's wins, and what the type's token needs is always there.
func payloadLen(t *config.Target, typ *probe.Type, g *config.Group) int {
	size := t.IPPayloadSize
	if size == 0 && typ.GroupPayload {
		size = g.IPPayloadSize
	}
	return max(size-typ.HeaderLen, typ.MinPayload)
}

// target lays one target out in full.
func (b *builder) target(i int) *Target {
	t, typ := &b.cfg.Targets[i], b.types[i]
	out := &b.targets.take(1)[0]
	*out = Target{
		Name:         t.Name,
		Type:         typ,
		Family:       t.Family,
		State:        t.State,
		Addrs:        b.addresses(t, &b.dests[i]),
		DstPort:      t.DstPort,
		Timeout:      t.Timeout,
		DontFragment: t.DontFragment,
		Phase:        phase(b.cfg.Global.ProbeName, t.Name, b.cfg.Global.Interval),
		Groups:       b.groups(t, typ),
	}
	out.Gap = b.gap(out)
	return out
}

// groups returns the groups of a target. Targets with the same settings share
// them.
func (b *builder) groups(t *config.Target, typ *probe.Type) []Group {
	b.listed = b.listed[:0]
	for _, gi := range t.Groups {
		b.listed = binary.AppendUvarint(b.listed, uint64(gi))
	}
	v6 := t.Family == "ipv6"
	if all, ok := b.series[groupsKey{string(b.listed), typ, v6, t.NbPackets, t.IPPayloadSize}]; ok {
		return all
	}
	all := make([]Group, len(t.Groups))
	for j, gi := range t.Groups {
		g := &b.cfg.Groups[gi]
		sources := b.sources(gi, t, typ)
		all[j] = Group{
			Name:       g.Name,
			DSCP:       g.DSCP,
			NbPackets:  t.NbPackets,
			PayloadLen: payloadLen(t, typ, g),
			Sources:    sources,
			Order:      b.inOrder(len(sources)),
		}
	}
	b.series[groupsKey{string(b.listed), typ, v6, t.NbPackets, t.IPPayloadSize}] = all
	return all
}

// slab hands out memory from pieces of some 8 KiB: a target that outlives its
// plan keeps no more than such a piece from being freed.
type slab[T any] struct{ rest []T }

const slabBytes = 8 << 10

func (s *slab[T]) take(n int) []T {
	if n > len(s.rest) {
		s.rest = make([]T, max(n, slabBytes/int(reflect.TypeFor[T]().Size())))
	}
	taken := s.rest[:n:n]
	s.rest = s.rest[n:]
	return taken
}

// sources returns the sources of a target in a group. Targets share one array:
// every rotation starts at its first source.
func (b *builder) sources(gi int, t *config.Target, typ *probe.Type) []Source {
	key := sourceKey{gi, t.Family == "ipv6", typ.SourcePorts}
	r := rotationOf(&b.cfg.Groups[gi], t.Family, typ)
	n := r.size(t.NbPackets)
	all := b.cache[key]
	for len(all) < n {
		all = append(all, r.at(uint64(len(all))))
	}
	b.cache[key] = all
	return all[:n:n]
}

// inOrder returns 0 to n-1: a rotation uses each source once per cycle.
func (b *builder) inOrder(n int) []uint32 {
	for len(b.order) < n {
		b.order = append(b.order, uint32(len(b.order)))
	}
	return b.order[:n:n]
}

// judgeSources looks at every source address that some target uses.
func (b *builder) judgeSources() {
	packets := make(map[sourceKey]int) // most packets of any target
	for _, i := range b.planned {
		t := &b.cfg.Targets[i]
		if b.types[i] == nil {
			continue
		}
		for _, gi := range t.Groups {
			key := sourceKey{gi, t.Family == "ipv6", b.types[i].SourcePorts}
			packets[key] = max(packets[key], t.NbPackets)
			r := rotationOf(&b.cfg.Groups[gi], t.Family, b.types[i])
			if r.size(t.NbPackets) > maxSources {
				b.fault(fmt.Sprintf("%d packets go through more than %d source addresses and ports of group %s", t.NbPackets, maxSources, b.cfg.Groups[gi].Name),
					fmt.Sprintf("allowed: at most %d; lower nb_packets or give the group a smaller source subnet", maxSources), "targets", t.Name, "nb_packets")
				packets[key] = 0
			}
		}
	}
	for gi := range b.cfg.Groups {
		for _, family := range []string{"ipv4", "ipv6"} {
			v6 := family == "ipv6"
			nb := max(packets[sourceKey{gi, v6, false}], packets[sourceKey{gi, v6, true}])
			if nb > 0 {
				b.judgeAddrs(&b.cfg.Groups[gi], family, nb)
			}
		}
	}
}

// judgeAddrs refuses source addresses that no reply would come back to.
func (b *builder) judgeAddrs(g *config.Group, family string, nb int) {
	r := rotationOf(g, family, &probe.Type{})
	if !r.first.IsValid() {
		return
	}
	key := "src_" + family
	if family == "ipv4" && g.SrcSubnetIPv4.IsValid() || family == "ipv6" && g.SrcSubnetIPv6.IsValid() {
		key = "src_subnet_" + family
	}
	foreign, first := 0, netip.Addr{}
	for n := range r.used(nb) {
		addr := addrAdd(r.first, n)
		if err := CheckAddr(b.cfg.Safety, addr); err != nil {
			b.fault("source address "+err.Error(), "allowed: an address that answers come back to, or this one named in safety.allow_ranges", "groups", g.Name, key)
			return
		}
		if b.in.Local != nil && !b.cfg.Safety.ForeignSource && !b.in.Local(addr) {
			if foreign == 0 {
				first = addr
			}
			foreign++
		}
	}
	if foreign > 0 {
		b.fault(fmt.Sprintf("source address %s is not local to this host (%d of %d addresses are not)", first, foreign, r.used(nb)),
			"allowed: addresses the kernel calls local; add them to an interface or as a local route, or set safety.foreign_source: true if answers find their way back", "groups", g.Name, key)
	}
}
