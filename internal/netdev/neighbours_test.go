// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
	hopA = netip.MustParseAddr("192.0.2.1")
)

// clock drives neighbours without waiting.
type clock struct {
	t    *testing.T
	hops *neighbours
	now  time.Time
	zero time.Time
}

func newClock(t *testing.T) *clock {
	now := time.Unix(1000, 0)
	return &clock{t: t, hops: newNeighbours(slog.New(slog.DiscardHandler), true), now: now, zero: now}
}

func (c *clock) use(addr netip.Addr) *NextHop {
	h := &NextHop{Addr: addr}
	c.hops.add(h, c.now)
	return h
}

// run advances to the end of d, as the neighbour goroutine would, and tells
// each question: "0.1 unicast".
func (c *clock) run(d time.Duration) (asked []string) {
	end := c.now.Add(d)
	for {
		n, unicast, again := c.hops.next(c.now)
		switch {
		case n != nil:
			to := "all"
			if unicast {
				to = hardwareAddr(n.mac).String()[15:]
			}
			asked = append(asked, fmt.Sprintf("%.1f %s", c.now.Sub(c.zero).Seconds(), to))
		case again.IsZero() || again.After(end):
			c.now = end
			return asked
		default:
			c.now = again
		}
	}
}

func (c *clock) want(h *NextHop, s HopState, mac [6]byte) {
	c.t.Helper()
	if gotS, gotM := h.Load(); gotS != s || gotM != mac {
		c.t.Errorf("%s: %s at %s, want %s at %s", c.now.Sub(c.zero), gotS, hardwareAddr(gotM), s, hardwareAddr(mac))
	}
}

func (c *clock) wantAsked(got []string, want ...string) {
	c.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("asked %q, want %q", got, want)
	}
}

func reply(mac [6]byte) packet.Neighbour {
	return packet.Neighbour{Addr: hopA, MAC: mac, Solicited: true, Override: true}
}

func TestNeighbourNeverAnswers(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.wantAsked(c.run(2390*time.Millisecond), "0.0 all", "0.1 all", "0.4 all", "1.4 all")
	c.want(h, HopPending, noMAC)
	c.wantAsked(c.run(2010*time.Millisecond), "2.4 all", "3.4 all", "4.4 all")
	c.want(h, HopFailed, noMAC)
	c.hops.heard(reply(macA), macA, c.now)
	c.want(h, HopReady, macA)
}

// What could not be asked is no silence: the neighbour stays pending until
// questions that left are not answered.
func TestNeighbourNotAsked(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	for range 50 {
		n, _, again := c.hops.next(c.now)
		if n != nil {
			n.unasked()
			_, _, again = c.hops.next(c.now)
		}
		c.now = again
	}
	c.want(h, HopPending, [6]byte{})
	c.run(5 * time.Second)
	c.want(h, HopFailed, [6]byte{})
}

// A host that gets no CPU looks late: the answer may be there, unread, and a
// neighbour fails only once there was time to read it.
func TestNeighbourLookedAtLate(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(2 * time.Second) // all questions
	c.now = c.now.Add(2 * time.Second)
	c.wantAsked(c.run(lastLook - time.Millisecond))
	c.want(h, HopPending, noMAC)
	c.hops.heard(reply(macA), macA, c.now)
	c.want(h, HopReady, macA)

	c.run(1900 * time.Millisecond) // asked again, and silent
	c.now = c.now.Add(2 * time.Second)
	c.run(3 * time.Second)
	c.want(h, HopFailed, noMAC)
}

func TestNeighbourSilentlyReplaced(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(0)
	c.hops.heard(reply(macA), macA, c.now)
	c.wantAsked(c.run(500 * time.Millisecond)) // it just answered
	c.want(h, HopReady, macA)
	c.wantAsked(c.run(time.Second), "1.0 0a", "1.1 0a", "1.4 all")
	c.hops.heard(reply(macB), macB, c.now)
	c.want(h, HopReady, macB)
	c.wantAsked(c.run(950*time.Millisecond), "2.4 0b")
}

func TestNeighbourDies(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(0)
	c.hops.heard(reply(macA), macA, c.now)
	c.wantAsked(c.run(2990*time.Millisecond), "1.0 0a", "1.1 0a", "1.4 all", "1.7 all", "2.0 all")
	c.want(h, HopReady, macA)
	c.run(20 * time.Millisecond)
	c.want(h, HopFailed, noMAC)
}

func TestNeighbourHears(t *testing.T) {
	for _, test := range []struct {
		name string
		a    packet.Neighbour
		from [6]byte
		want [6]byte
	}{
		{"reply with another MAC", reply(macB), macB, macB},
		{"announcement", packet.Neighbour{Addr: hopA, MAC: macB, Override: true}, macB, macB},
		{"advertisement without override", packet.Neighbour{Addr: hopA, MAC: macB, Solicited: true}, macB, macA},
		{"advertisement without MAC", packet.Neighbour{Addr: hopA, Solicited: true, Override: true}, macA, macA},
		{"of somebody else", packet.Neighbour{Addr: hopA.Next(), MAC: macB, Solicited: true, Override: true}, macB, macA},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock(t)
			h := c.use(hopA)
			c.run(0)
			c.hops.heard(reply(macA), macA, c.now)
			c.hops.heard(test.a, test.from, c.now)
			c.want(h, HopReady, test.want)
		})
	}
}

// TestNeighbourDoubts: contradictions one after the other are one question, not
// so many unanswered ones.
func TestNeighbourDoubts(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(0)
	c.hops.heard(reply(macA), macA, c.now)
	var asked []string
	for range 20 {
		c.hops.kernelSays(hopA, kernelEntry{mac: macB}, true, c.now)
		asked = append(asked, c.run(2*time.Millisecond)...)
	}
	c.wantAsked(asked, "0.0 all")
	c.want(h, HopReady, macA)
}

// TestNeighbourConfirmation: what shows that the station is there, and what
// does not.
func TestNeighbourConfirmation(t *testing.T) {
	for _, test := range []struct {
		name     string
		a        packet.Neighbour
		from     [6]byte
		confirms bool
	}{
		{"reply", reply(macA), macA, true},
		{"advertisement without MAC from the station asked", packet.Neighbour{Addr: hopA, Solicited: true}, macA, true},
		{"advertisement without MAC from another", packet.Neighbour{Addr: hopA, Solicited: true}, macB, false},
		{"announcement of the same MAC", packet.Neighbour{Addr: hopA, MAC: macA, Override: true}, macA, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock(t)
			h := c.use(hopA)
			c.run(0)
			c.hops.heard(reply(macA), macA, c.now)
			for range 8 { // one answer a second, for longer than failing takes
				c.run(time.Second)
				c.hops.heard(test.a, test.from, c.now)
			}
			want, mac := HopFailed, noMAC
			if test.confirms {
				want, mac = HopReady, macA
			} else if test.a.MAC == macA {
				c.run(0)
				s, _ := h.Load()
				want, mac = s, noMAC // an announcement revives what failed, for a while
				if s == HopReady {
					mac = macA
				}
			}
			c.want(h, want, mac)
		})
	}
}

func TestNeighbourKernel(t *testing.T) {
	c := newClock(t)
	stale, fresh := kernelEntry{mac: macA}, kernelEntry{mac: macB, reachable: true}
	pinned := kernelEntry{mac: macA, permanent: true}

	c.hops.kernelSays(hopA, stale, true, c.now)
	h := c.use(hopA)
	c.want(h, HopReady, macA) // serves at once, and is asked at once
	c.wantAsked(c.run(0), "0.0 0a")
	c.hops.heard(reply(macA), macA, c.now)

	c.hops.kernelSays(hopA, fresh, true, c.now) // against our own answer: only a doubt
	c.want(h, HopReady, macA)
	c.wantAsked(c.run(10*time.Millisecond), "0.0 all")
	c.run(5 * time.Second)
	c.want(h, HopFailed, noMAC)
	c.hops.kernelSays(hopA, stale, true, c.now) // the MAC that failed
	c.want(h, HopFailed, noMAC)
	c.hops.kernelSays(hopA, fresh, true, c.now)
	c.want(h, HopReady, macB)

	c.hops.kernelSays(hopA, pinned, true, c.now)
	c.want(h, HopReady, macA)
	c.wantAsked(c.run(5 * time.Second))
	c.hops.heard(reply(macB), macB, c.now)
	c.want(h, HopReady, macA)
	c.hops.linkDown()
	c.want(h, HopDown, noMAC)
	c.hops.linkUp(c.now)
	c.want(h, HopReady, macA)
	if !c.hops.kernelSays(hopA, kernelEntry{}, false, c.now) {
		t.Error("an entry in use vanished, and no change")
	}
	c.want(h, HopPending, noMAC)
	if c.hops.kernelSays(hopA, kernelEntry{}, false, c.now) {
		t.Error("a change though nothing changed")
	}
	if !c.hops.kernelTable(map[netip.Addr]kernelEntry{hopA: fresh}, c.now) {
		t.Error("no change by a new table")
	}
	c.want(h, HopReady, macB)
}

func TestNeighbourLinkDown(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(0)
	c.hops.heard(reply(macA), macA, c.now)
	c.hops.linkDown()
	c.want(h, HopDown, noMAC)
	c.wantAsked(c.run(3 * time.Second))
	c.hops.heard(reply(macA), macA, c.now)
	c.want(h, HopDown, noMAC)
	late := c.use(hopA.Next())
	c.want(late, HopDown, noMAC)
	c.hops.linkUp(c.now)
	c.want(h, HopPending, noMAC)
	c.want(late, HopPending, noMAC)
	c.wantAsked(c.run(50*time.Millisecond), "3.0 all", "3.0 all")
	c.hops.remove(h)
	c.hops.remove(late)
	c.wantAsked(c.run(10 * time.Second))
}

// TestNeighbourManySilent: those that never answer neither exceed the rate nor
// keep one that answers from being asked every second.
func TestNeighbourManySilent(t *testing.T) {
	c := newClock(t)
	h := c.use(hopA)
	c.run(0)
	c.hops.heard(reply(macA), macA, c.now)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 20_000 {
		addr = addr.Next()
		c.use(addr)
	}
	asked, toUs := 0, 0
	start := c.now
	for c.now.Sub(start) < 10*time.Second {
		n, unicast, again := c.hops.next(c.now)
		if n == nil {
			c.now = again
			continue
		}
		asked++
		if unicast {
			toUs++
			c.hops.heard(reply(macA), macA, c.now)
		}
	}
	if asked > 10_000+askBurst+1 || asked < 9_900 {
		t.Errorf("%d questions in 10 s, want 1,000 a second", asked)
	}
	if toUs < 9 || toUs > 11 {
		t.Errorf("the one that answers was asked %d times in 10 s", toUs)
	}
	c.want(h, HopReady, macA)
}
