// SPDX-License-Identifier: Apache-2.0

// Package netdev knows the host's links, queues, routes, source addresses and
// neighbours. It is the only user of netlink, and is never asked per packet:
// the packet path reads a NextHop.
package netdev

import (
	"net/netip"
	"sync/atomic"
)

// HopState says whether a next hop can be sent to.
type HopState uint8

const (
	HopPending HopState = iota // asked for, never answered yet
	HopReady                   // MAC known and fresh
	HopFailed                  // does not answer ARP or ND: probes are lost, cause no_neighbour
	HopDown                    // link down or gone: probes are not sent, reason link_down
)

// String returns the state in one word.
func (s HopState) String() string {
	return [...]string{"pending", "ready", "failed", "down"}[s]
}

// NextHop is a neighbour on a link, kept fresh by its Link's neighbour watcher. One
// goroutine writes; any may Load.
type NextHop struct {
	Addr netip.Addr
	word atomic.Uint64 // state<<48 | MAC

	watch *watchList
	refs  int // guarded by watch.mu
}

// Load returns the state and, for HopReady, the MAC address. It does not
// allocate or lock.
func (h *NextHop) Load() (HopState, [6]byte) {
	w := h.word.Load()
	return HopState(w >> 48), [6]byte{byte(w >> 40), byte(w >> 32), byte(w >> 24), byte(w >> 16), byte(w >> 8), byte(w)}
}

func (h *NextHop) store(s HopState, mac [6]byte) {
	h.word.Store(uint64(s)<<48 | uint64(mac[0])<<40 | uint64(mac[1])<<32 | uint64(mac[2])<<24 |
		uint64(mac[3])<<16 | uint64(mac[4])<<8 | uint64(mac[5]))
}

// Release gives up one use of the next hop. After the last one it is no longer
// kept fresh: its state must not be read any more.
func (h *NextHop) Release() { h.watch.release(h) }

// Route is where a packet to one destination leaves.
type Route struct {
	Local     netip.Addr   // the source address: the one asked for, or the kernel's choice
	NextHop   netip.Addr   // the gateway, or the destination itself when on-link
	MTU       int          // bytes of IP packet
	EqualCost []netip.Addr // all next hops when there are several, sorted, not to be changed; NextHop is the one taken
}
