// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
)

// Sockets have memory of their own, which is taken as a whole when they are
// opened. A control group that does not allow it would have the process killed
// then: better not to start, and to say how much it takes.

// kernelShare is what the kernel charges a process for besides: its rings, and the
// XDP program with its maps.
const kernelShare = 8 << 20

// memory is what the sockets of a number of queues take, in bytes.
func (o *socketOptions) memory(queues int) uint64 {
	return uint64(queues) * uint64(o.rxFrames+txFrames) * uint64(o.frameSize)
}

// fits says whether the control group allows the sockets of so many queues.
func (t *port) fits(queues int) error {
	m, err := host.ReadMemory()
	if err != nil || m.Limit == host.Unlimited {
		return err
	}
	need := t.options.memory(queues) + kernelShare
	if m.InUse+need <= m.Limit {
		return nil
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("open AF_XDP sockets on %d queues: they need %d MiB beside the %d MiB in use, and the control group allows %d MiB; raise memory.max (MemoryMax=) to %d MiB at least",
		queues, need>>20, m.InUse>>20, m.Limit>>20, (m.InUse+need)>>20+1))
}

// boundHeap has the garbage collector keep the heap within what the control
// group leaves, unless GOMEMLIMIT says otherwise: it works harder then, where it
// would let the process be killed.
func (p *prober) boundHeap() error {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	m, err := host.ReadMemory()
	if err != nil || m.Limit == host.Unlimited {
		return err
	}
	left := int64(m.Limit) - kernelShare
	for _, t := range p.ports {
		left -= int64(t.options.memory(len(t.sockets)))
	}
	left = max(left*9/10, 8<<20)
	debug.SetMemoryLimit(left)
	p.Log.Info("the heap is bounded by what the control group allows", "limit_mib", m.Limit>>20, "heap_mib", left>>20)
	return nil
}
