// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/bits"
	"sync/atomic"

	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// flow is one path, and the probes under way on it. The control goroutine
// makes and retires it, one worker sends on it, any worker looks it up.
type flow struct {
	packet.Flow
	hash  uint64
	owner *worker
	hop   atomic.Pointer[netdev.NextHop] // control stores, workers load

	slots []slot        // a power of two; probe n uses slots[n mod len]
	last  atomic.Uint32 // number of the newest probe; the owner stores

	offset uint32      // TCP: where the next sequence number stands in its window. Owner only
	closed atomic.Bool // TCP: the newest probe was answered by RST+ACK, so the peer holds nothing of it
	dscp   uint8       // of the resets

	ttl atomic.Uint32 // of the last answer, 0: none came. Any worker

	// Owner only: the highest number that was answered, and when.
	newest     uint32
	newestTime int64

	users int // legs that send on it. Control only
	needs int // slots the users need together. Control only
}

func (f *flow) at(n uint32) *slot { return &f.slots[n&uint32(len(f.slots)-1)] }

// ttlChanged says whether an answer came with another TTL or hop limit than the
// one before: its way back, or what answers, changed. Any worker may call it.
func (f *flow) ttlChanged(ttl uint8) bool {
	if before := f.ttl.Load(); before != uint32(ttl) {
		return f.ttl.CompareAndSwap(before, uint32(ttl)) && before != 0
	}
	return false
}

// reordered says whether an answer received at rx came after that of a probe
// sent later (RFC 4737 section 3.3). Only the owner calls it.
func (f *flow) reordered(number uint32, rx int64) bool {
	if int32(number-f.newest) > 0 || f.newestTime == 0 {
		f.newest, f.newestTime = number, rx
		return false
	}
	return rx > f.newestTime
}

// waits says whether the newest probe is owed an answer.
func (f *flow) waits() bool { return stateOf(f.at(f.last.Load()).word.Load()) == inFlight }

// index finds flows by their hash. It is immutable: when flows come or go, a
// new one takes its place.
type index struct {
	entries []*flow // open addressing, a power of two, at most half full
}

func newIndex(flows map[packet.Flow]*flow) *index {
	size := 1 << bits.Len(uint(2*len(flows)))
	ix := &index{entries: make([]*flow, size)}
	for _, f := range flows {
		i := int(f.hash) & (size - 1)
		for ix.entries[i] != nil {
			i = (i + 1) & (size - 1)
		}
		ix.entries[i] = f
	}
	return ix
}

// lookup returns the flow with this hash and exactly this identity, or nil.
func (ix *index) lookup(hash uint64, key *packet.Flow) *flow {
	mask := len(ix.entries) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		f := ix.entries[i]
		if f == nil {
			return nil
		}
		if f.hash == hash && f.Flow == *key {
			return f
		}
	}
}

// slotsFor rounds what a flow needs up to a power of two, at most half of the
// numbers that its replies can name: the newest and the oldest must be told
// apart.
func slotsFor(proto packet.Proto, needs int) int {
	numbers := packet.ICMPNumbers
	if proto == packet.UDP {
		numbers = packet.UDPNumbers
	}
	return min(numbers/2, 1<<bits.Len(uint(max(needs, 2)-1)))
}

// filterOf is what the XDP program and the parser have to let through for these
// flows.
func filterOf(flows map[packet.Flow]*flow) *packet.Filter {
	ft := new(packet.Filter)
	for k := range flows {
		ft.AddLocal(k.Local)
		switch k.Proto {
		case packet.TCP:
			ft.LocalTCP.Add(k.LocalPort)
			ft.RemoteTCP.Add(k.RemotePort)
		case packet.UDP:
			ft.LocalUDP.Add(k.LocalPort)
		}
	}
	return ft
}
