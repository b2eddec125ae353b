// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// flow is one path, and the probes under way on it. The control goroutine
// makes and retires it, one worker sends on it, any worker looks it up.
type flow struct {
	hash   uint64
	remote [16]byte // IPv4 mapped into IPv6

	hop   atomic.Uint32 // in Engine.hops
	slots atomic.Uint32 // first of 1<<bits; probe n uses slots + n mod 1<<bits; 0: not published
	last  atomic.Uint32 // number of the newest probe; the owner stores
	peer  atomic.Uint32 // TTL of the last answer (8 bits, 0: none came), peerClosed

	localPort, remotePort uint16 // ICMP: the echo identifier, and 0
	proto                 packet.Proto
	bits                  uint8 // of the number of slots
	owner                 uint8 // number of the worker
	dscp                  uint8 // of the resets

	// Owner only.
	newest     uint16 // the highest number that was answered, its low bits
	users      uint16 // legs that send on it. Control only
	newestTime uint32 // when newest was answered, in units of 256 ns
	offset     uint32 // TCP: where the next sequence number stands in its window

	local uint32 // our address, in Engine.locals
}

// peerClosed says of a TCP flow that the newest probe was answered by RST+ACK,
// so that the peer holds nothing of it.
const peerClosed = 1 << 8

// at returns the number of the slot of probe n.
func (f *flow) at(n uint32) uint32 { return f.slots.Load() + n&(1<<f.bits-1) }

// holds says whether a slot is one of the flow's.
func (f *flow) holds(slot uint32) bool { return slot-f.slots.Load() < 1<<f.bits }

// identify writes what the flow is to packets, field by field: a copy of the whole
// would wait for the fields that were written just before.
func (e *Engine) identify(f *flow, key *packet.Flow) {
	key.Proto = f.proto
	key.Local = (*e.locals.Load())[f.local]
	key.Remote = netip.AddrFrom16(f.remote).Unmap()
	key.LocalPort, key.RemotePort = f.localPort, f.remotePort
}

// is says whether the flow has exactly this identity.
func (e *Engine) is(f *flow, key *packet.Flow) bool {
	return f.localPort == key.LocalPort && f.remotePort == key.RemotePort && f.proto == key.Proto &&
		f.remote == key.Remote.As16() && (*e.locals.Load())[f.local] == key.Local
}

// ttlChanged says whether an answer came with another TTL or hop limit than the
// one before: its way back, or what answers, changed. Any worker may call it.
func (f *flow) ttlChanged(ttl uint8) bool {
	before := f.peer.Load()
	if uint8(before) == ttl {
		return false
	}
	return f.peer.CompareAndSwap(before, before&^0xff|uint32(ttl)) && uint8(before) != 0
}

// close notes whether the peer holds nothing of the newest probe.
func (f *flow) close(closed bool) {
	if closed {
		f.peer.Or(peerClosed)
	} else if f.peer.Load()&peerClosed != 0 {
		f.peer.And(^uint32(peerClosed))
	}
}

// reordered says whether an answer received at rx came after that of a probe
// sent later (RFC 4737 section 3.3). Only the owner calls it.
func (f *flow) reordered(number uint16, rx int64) bool {
	at := uint32(rx >> 8)
	if int16(number-f.newest) > 0 || f.newestTime == 0 {
		f.newest, f.newestTime = number, max(at, 1)
		return false
	}
	return int32(at-f.newestTime) > 0
}

// index finds flows by their hash: open addressing. The control goroutine
// inserts; when flows go or it is full, another takes its place.
type index struct {
	entries []atomic.Uint32 // numbers of flows; a power of two
	count   int
}

func newIndex(flows int) *index {
	return &index{entries: make([]atomic.Uint32, 1<<bits.Len(uint(flows*4/3)))}
}

// full says whether another flow needs a larger index.
func (ix *index) full() bool { return ix.count >= len(ix.entries)*3/4 }

func (ix *index) insert(hash uint64, n uint32) {
	i := int(hash) & (len(ix.entries) - 1)
	for ix.entries[i].Load() != 0 {
		i = (i + 1) & (len(ix.entries) - 1)
	}
	ix.entries[i].Store(n)
	ix.count++
}

// replace puts a flow in the place of another with the same hash.
func (ix *index) replace(hash uint64, old, n uint32) {
	i := int(hash) & (len(ix.entries) - 1)
	for ix.entries[i].Load() != old {
		i = (i + 1) & (len(ix.entries) - 1)
	}
	ix.entries[i].Store(n)
}

// lookup returns the number of the flow with this hash and exactly this
// identity, or 0. Any goroutine may call it.
func (e *Engine) lookup(hash uint64, key *packet.Flow) (uint32, *flow) {
	ix := e.index.Load()
	mask := len(ix.entries) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		n := ix.entries[i].Load()
		if n == 0 {
			return 0, nil
		}
		if f := e.flows.at(n); f.hash == hash && e.is(f, key) {
			return n, f
		}
	}
}

// known is lookup by a hash that the XDP program has verified, so that no more
// than the end of the target's address is compared.
func (e *Engine) known(hash uint64, tail uint32) (uint32, *flow) {
	ix := e.index.Load()
	mask := len(ix.entries) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		n := ix.entries[i].Load()
		if n == 0 {
			return 0, nil
		}
		if f := e.flows.at(n); f.hash == hash && binary.BigEndian.Uint32(f.remote[12:]) == tail {
			return n, f
		}
	}
}

// slotBits is how many slots a flow gets, as a power of two, for what it
// needs: at most half of the numbers that its replies can name, because the
// newest and the oldest must be told apart.
func slotBits(proto packet.Proto, needs int) uint8 {
	numbers := packet.ICMPNumbers
	if proto == packet.UDP {
		numbers = packet.UDPNumbers
	}
	return uint8(bits.Len(uint(min(numbers/2, max(needs, 1)) - 1)))
}
