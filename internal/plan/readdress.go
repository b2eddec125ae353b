// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// Place is where a target is.
type Place struct {
	Listed  int // in Config.Targets
	Planned int // in Plan.Targets
}

// Readdress plans targets anew whose names have other addresses now, and
// returns them in the order of which. It judges them as Build does, at a small
// part of its cost: p and cfg are what Build made and was given. p is not
// changed.
func (p *Plan) Readdress(cfg *config.Config, in Inputs, which []Place) (targets []*Target, warnings []config.Fault, err error) {
	b := newBuilder(cfg, in)
	for _, at := range which {
		b.planned = append(b.planned, at.Listed)
		b.judge(at.Listed)
	}
	b.judgeMoved(p, which)
	if len(b.faults) > 0 {
		return nil, nil, exitcode.With(exitcode.Config, b.faults)
	}
	for _, i := range b.planned {
		targets = append(targets, b.target(i))
	}
	return targets, b.warnings, nil
}

// judgeMoved compares the mean rates into the blocks that the planned targets
// reach with the cap, as they and all other targets of p load them. The total
// is what it was: a name is one address, whether it has one or not.
func (b *builder) judgeMoved(p *Plan, which []Place) {
	loads := make(map[netip.Prefix]load)
	for _, i := range b.planned {
		if b.types[i] == nil {
			continue
		}
		d := &b.dests[i]
		each := b.probes(i) / d.size()
		d.blocks(func(block netip.Prefix, addrs float64) {
			loads[block] = loads[block].with(b.cfg.Targets[i].Name, each*addrs)
		})
	}
	moved := make(map[int]bool, len(which))
	for _, at := range which {
		moved[at.Planned] = true
	}
	for n, t := range p.Targets {
		if len(t.Addrs) == 0 || len(moved) > 0 && moved[n] {
			continue
		}
		each := float64(t.Probes()) / float64(len(t.Addrs))
		for from := 0; from < len(t.Addrs); {
			block, _ := t.Addrs[from].Prefix(blockBits(t.Addrs[from]))
			to := from + 1
			for to < len(t.Addrs) && block.Contains(t.Addrs[to]) {
				to++
			}
			if l, ok := loads[block]; ok {
				loads[block] = l.with(t.Name, each*float64(to-from))
			}
			from = to
		}
	}
	b.judgeBlocks(loads, b.cfg.Global.Interval.Seconds())
}
