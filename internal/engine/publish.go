// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/netprobe-xdp/netprobe-xdp/internal/packet"

// publish lets the kernel and all workers know the flows of now, and then the
// legs use them: an answer on a flow that was not published would be lost.
func (e *Engine) publish() error {
	e.Blocks.publish(e.clock.now())
	for n, needs := range e.fresh {
		f := e.flows.at(n)
		f.bits = slotBits(f.proto, needs)
		f.slots.Store(e.slots.take(1 << f.bits))
	}
	e.fresh = map[uint32]int{} // not cleared: it may have been large
	filter := e.filter()
	if err := e.Program.SetFilter(filter); err != nil {
		return err
	}
	e.verifier.SetFilter(filter)
	e.commit()
	return nil
}

// filter is what the XDP program and the parser have to let through.
func (e *Engine) filter() *packet.Filter {
	ft := new(packet.Filter)
	used := make([]bool, len(*e.locals.Load()))
	ix := e.index.Load()
	for i := range ix.entries {
		n := ix.entries[i].Load()
		if n == 0 {
			continue
		}
		f := e.flows.at(n)
		used[f.local] = true
		switch f.proto {
		case packet.TCP:
			ft.LocalTCP.Add(f.localPort)
			ft.RemoteTCP.Add(f.remotePort)
		case packet.UDP:
			ft.LocalUDP.Add(f.localPort)
		}
	}
	for i, a := range *e.locals.Load() {
		if used[i] {
			ft.AddLocal(a)
		}
	}
	return ft
}
