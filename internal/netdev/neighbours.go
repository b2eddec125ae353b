// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// kernelEntry is what the kernel's neighbour table says of an address.
type kernelEntry struct {
	mac       [6]byte
	permanent bool // NUD_PERMANENT or NUD_NOARP: a person's word, never asked
	reachable bool // NUD_REACHABLE: the kernel had it confirmed
}

// neighbour is a next hop in use.
type neighbour struct {
	hop    *NextHop
	src    netip.Addr // whom to ask as; zero: to be found out
	state  HopState
	mac    [6]byte // known in HopReady, and the last one known in HopFailed
	pinned bool    // the kernel's entry is permanent

	asks   int       // unanswered questions since the last answer
	asked  time.Time // when the last question left
	looked bool      // its answer was given more time, because we were late
	due    time.Time // when to act next
	lane   int       // lane* below, or laneNone
	at     int       // position in the lane's heap
	warned time.Time // when a change of MAC was logged last
}

// neighbours decides whom to ask when, and what each answer means. It does no
// I/O and reads no clock. Only the Link's neighbour goroutine uses it.
type neighbours struct {
	log    *slog.Logger
	up     bool
	inUse  map[netip.Addr]*neighbour
	kernel map[netip.Addr]kernelEntry
	lane   [lanes]askQueue
	free   time.Time // when the next question may leave
	turn   bool      // the next question is for one that does not answer
}

func newNeighbours(log *slog.Logger, up bool) *neighbours {
	return &neighbours{log: log, up: up, inUse: map[netip.Addr]*neighbour{}, kernel: map[netip.Addr]kernelEntry{}}
}

// add starts to watch h. A valid entry of the kernel serves until our own
// questions are answered.
func (t *neighbours) add(h *NextHop, now time.Time) {
	n := &neighbour{hop: h, lane: laneNone}
	t.inUse[h.Addr] = n
	if t.up {
		t.start(n, now)
	} else {
		t.set(n, HopDown)
	}
}

func (t *neighbours) remove(h *NextHop) {
	if n := t.inUse[h.Addr]; n != nil && n.hop == h {
		t.leave(n)
		delete(t.inUse, h.Addr)
	}
}

// start begins from what the kernel knows.
func (t *neighbours) start(n *neighbour, now time.Time) {
	n.asks = 0
	e, known := t.kernel[n.hop.Addr]
	n.pinned = known && e.permanent
	if known {
		n.mac = e.mac
		t.set(n, HopReady)
	} else {
		t.set(n, HopPending)
	}
	t.wait(n, now)
}

// linkDown marks every next hop down.
func (t *neighbours) linkDown() {
	t.up = false
	for _, n := range t.inUse {
		t.leave(n)
		t.set(n, HopDown)
	}
}

// linkUp starts every next hop anew: what answered before may be another
// station now.
func (t *neighbours) linkUp(now time.Time) {
	if t.up {
		return
	}
	t.up = true
	for _, n := range t.inUse {
		n.pinned, n.asks = false, 0
		if e, known := t.kernel[n.hop.Addr]; known && e.permanent {
			n.pinned, n.mac = true, e.mac
			t.set(n, HopReady)
		} else {
			t.set(n, HopPending)
		}
		t.wait(n, now)
	}
}

// kernelSays takes over one entry of the kernel's table; known is false when it
// has none or no MAC. It returns whether a next hop in use became known or
// unknown to the kernel: the kernel may choose routes by that.
func (t *neighbours) kernelSays(addr netip.Addr, e kernelEntry, known bool, now time.Time) bool {
	_, was := t.kernel[addr]
	if known {
		t.kernel[addr] = e
	} else {
		delete(t.kernel, addr)
	}
	n := t.inUse[addr]
	if n == nil {
		return false
	}
	changed := was != known
	switch {
	case !t.up:
	case known && e.permanent:
		n.pinned, n.asks = true, 0
		t.learn(n, e.mac, now)
		t.leave(n)
	case n.pinned:
		t.start(n, now)
	case !known:
	case n.state != HopReady:
		// Only a confirmed entry: a stale one may be the MAC that just failed.
		if e.reachable {
			n.asks = 0
			t.learn(n, e.mac, now)
			t.wait(n, now)
		}
	case e.mac != n.mac:
		t.doubt(n, now)
	}
	return changed
}

// kernelTable replaces everything known of the kernel's table, after events were
// missed. It returns what kernelSays does.
func (t *neighbours) kernelTable(all map[netip.Addr]kernelEntry, now time.Time) bool {
	changed := false
	for addr := range t.kernel {
		if _, still := all[addr]; !still {
			changed = t.kernelSays(addr, kernelEntry{}, false, now) || changed
		}
	}
	for addr, e := range all {
		changed = t.kernelSays(addr, e, true, now) || changed
	}
	return changed
}

// heard takes an answer or announcement that arrived in a frame sent by
// sender.
func (t *neighbours) heard(a packet.Neighbour, sender [6]byte, now time.Time) {
	n := t.inUse[a.Addr]
	if n == nil || n.pinned || !t.up {
		return
	}
	if a.MAC == ([6]byte{}) {
		// Asked by unicast, Linux leaves its MAC out (RFC 4861 section 4.4).
		if n.state != HopReady || sender != n.mac {
			return
		}
		a.MAC = n.mac
	}
	switch {
	case n.state == HopReady && a.MAC == n.mac:
		// An announcement does not show that our frames reach the station.
		if a.Solicited {
			n.asks = 0
			t.wait(n, n.asked.Add(askEvery))
		}
	case n.state == HopReady && !a.Override:
		t.doubt(n, now) // RFC 4861 section 7.2.5
	default:
		n.asks = 0
		t.learn(n, a.MAC, now)
		if a.Solicited {
			t.wait(n, n.asked.Add(askEvery))
		} else {
			t.wait(n, now)
		}
	}
}

// learn makes mac the address to send to.
func (t *neighbours) learn(n *neighbour, mac [6]byte, now time.Time) {
	if n.mac != ([6]byte{}) && n.mac != mac && now.Sub(n.warned) >= 10*time.Second {
		n.warned = now
		t.log.Info("next hop has a new MAC address", "address", n.hop.Addr, "was", hardwareAddr(n.mac).String(), "is", hardwareAddr(mac).String())
	}
	if n.state == HopFailed {
		t.log.Info("next hop answers again", "address", n.hop.Addr)
	}
	n.mac = mac
	t.set(n, HopReady)
}

func (t *neighbours) set(n *neighbour, s HopState) {
	n.state = s
	if s == HopReady {
		n.hop.store(s, n.mac)
	} else {
		n.hop.store(s, [6]byte{})
	}
}

// forgetSources has every source address looked up again.
func (t *neighbours) forgetSources() {
	for _, n := range t.inUse {
		n.src = netip.Addr{}
	}
}
