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

// memory is what the sockets take, in bytes.
func (o socketOptions) memory() uint64 {
	return uint64(o.queues) * uint64(o.rxFrames+txFrames) * uint64(o.frameSize)
}

// share is what the port's sockets take, or will once they are opened anew as
// they are to be. Any goroutine may call it.
func (t *port) share() uint64 {
	t.mu.Lock()
	o := t.options
	t.mu.Unlock()
	o.rxFrames = max(o.rxFrames, int(t.frames.Load()))
	return o.memory()
}

// fits says whether the control group allows these sockets, once so many bytes are
// given back.
func fits(o socketOptions, back uint64) error {
	m, err := host.ReadMemory()
	if err != nil || m.Limit == host.Unlimited {
		return err
	}
	inUse, need := m.InUse-min(back, m.InUse), o.memory()+kernelShare
	if inUse+need <= m.Limit {
		return nil
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("open AF_XDP sockets on %d queues: they need %d MiB beside the %d MiB in use, and the control group allows %d MiB; raise memory.max (MemoryMax=) to %d MiB at least",
		o.queues, need>>20, inUse>>20, m.Limit>>20, (inUse+need)>>20+1))
}

// boundHeap has the garbage collector keep the heap within what the control
// group leaves, unless GOMEMLIMIT says otherwise: it works harder then, where it
// would let the process be killed. It is called again when the interfaces or their
// receive rings may have changed.
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
		left -= int64(t.share())
	}
	left = max(left*9/10, 8<<20)
	if debug.SetMemoryLimit(left) == left {
		return nil
	}
	p.Log.Info("the heap is bounded by what the control group allows", "limit_mib", m.Limit>>20, "heap_mib", left>>20)
	return nil
}
