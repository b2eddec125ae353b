// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

const near, far = "192.0.2.1", "192.0.2.2"

// watcher notes when a probe to which address arrives at the far end of a link.
type watcher struct {
	frames *lab.Frames

	mu   sync.Mutex
	seen map[netip.Addr][]time.Time
}

func watch(t *testing.T, at *lab.End) *watcher {
	t.Helper()
	w := &watcher{frames: at.Frames(unix.ETH_P_IP), seen: map[netip.Addr][]time.Time{}}
	w.frames.Each(func(frame []byte, at time.Time) {
		if dst, ok := probed(frame); ok {
			w.mu.Lock()
			w.seen[dst] = append(w.seen[dst], at)
			w.mu.Unlock()
		}
	})
	return w
}

// of returns when probes of a target arrived, in order.
func (w *watcher) of(tg *probedTarget) (all []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range tg.addrs { // it leads to one after the other
		for _, at := range w.seen[a] {
			if at.After(tg.added) && (tg.again.IsZero() || at.Before(tg.again)) {
				all = append(all, at)
			}
		}
	}
	return all
}

// probed returns where to a frame carries an echo request, a SYN or UDP.
func probed(b []byte) (dst netip.Addr, ok bool) {
	if len(b) < 14+20+14 || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IP || b[14] != 0x45 {
		return dst, false
	}
	l4 := b[34:]
	switch b[14+9] {
	case unix.IPPROTO_ICMP:
		ok = l4[0] == 8
	case unix.IPPROTO_TCP:
		ok = l4[13]&0x3f == 0x02
	case unix.IPPROTO_UDP:
		ok = true
	}
	return netip.AddrFrom4([4]byte(b[30:34])), ok
}

// probedTarget is one target of the property test: when it was added and removed, and
// where it led.
type probedTarget struct {
	name            string
	addrs           []netip.Addr
	added, addedBy  time.Time // before and after the call
	removed, goneBy time.Time
	again           time.Time // when another target took its name and address
	phase           time.Duration
}

// moment says which of its moments a probe left at that arrived at the given time, if it is
// not late by the time between two: moments are aligned to the wall clock.
func (tg *probedTarget) moment(at time.Time, gap time.Duration) int64 {
	const early = 2 * time.Millisecond // a tick, and a little
	return (at.UnixNano() - int64(tg.phase-early)) / int64(gap)
}

// Over any number of queues and any sequence of Add, Remove and Move while
// probing goes on, each target is probed exactly as often as planned: not a
// probe is missing, none comes twice, and none after the target's removal.
// The far side counts. Replies arrive on all queues, whichever the probe left by.
func TestEachTargetIsProbedAsPlanned(t *testing.T) {
	for queues := 1; queues <= 4; queues++ {
		t.Run(fmt.Sprintf("%d queues", queues), func(t *testing.T) {
			t.Parallel()
			asPlanned(t, queues)
		})
	}
}

func asPlanned(t *testing.T, queues int) {
	const (
		interval = 500 * time.Millisecond
		packets  = 2
		gap      = interval / packets
		steps    = 60
		// tolerance is how late a single probe may be on a busy machine, beyond its moment.
		tolerance = gap / 2
	)
	l := lab.ForTest(t, "engine")
	prober, host := l.Host("prober"), l.Host("host")
	nearEnd, farEnd := l.Connect(prober, host, lab.Link{Queues: queues, A: []string{near + "/24"}, B: []string{far + "/24"}})
	host.UnlimitedICMP()
	prober.SetRoute("198.18.0.0/16", lab.Hop{Via: far})
	if _, err := host.Exec(t.Context(), "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, uint64(queues)))
	w := watch(t, farEnd)
	r := newRig(t, nearEnd, queues, interval)

	next := netip.MustParseAddr("198.18.0.0")
	fresh := func() netip.Addr { next = next.Next(); return next }
	add := func(targets ...*probedTarget) {
		var all []config.Target
		for i, tg := range targets {
			c := config.Target{Name: tg.name, Destination: tg.addrs[0].String(), NbPackets: packets, Timeout: 150 * time.Millisecond}
			switch (i + len(tg.name)) % 3 {
			case 0:
				c.Type = "ICMPping"
			case 1:
				c.Type, c.DstPort = "TCPsyn", 81
			case 2:
				c.Type, c.DstPort = "UDPunreachable", 33434
			}
			all = append(all, c)
		}
		p := planOf(t, interval, [2]uint16{20000, 20001}, all...)
		now := time.Now()
		if err := r.Add(p.Targets...); err != nil {
			t.Fatal(err)
		}
		for i, tg := range targets {
			tg.added, tg.addedBy, tg.phase = now, time.Now(), p.Targets[i].Phase
		}
	}
	// One target keeps the next hop known, so that the others need not wait for it.
	first := &probedTarget{name: "first", addrs: []netip.Addr{fresh()}}
	add(first)
	time.Sleep(2 * time.Second)
	var targets, live, gone []*probedTarget
	for step := range steps {
		var pick int
		if len(live) > 0 {
			pick = rnd.IntN(len(live))
		}
		switch op := rnd.IntN(6); {
		case op < 2 || len(live) == 0:
			var batch []*probedTarget
			for i := range 1 + rnd.IntN(8) {
				batch = append(batch, &probedTarget{name: fmt.Sprintf("t%d-%d", step, i), addrs: []netip.Addr{fresh()}})
			}
			add(batch...)
			targets, live = append(targets, batch...), append(live, batch...)
		case op < 4:
			batch := slices.Clone(live[pick:min(len(live), pick+1+rnd.IntN(6))])
			var names []string
			for _, tg := range batch {
				names = append(names, tg.name)
				tg.removed = time.Now()
			}
			if err := r.Remove(names...); err != nil {
				t.Fatal(err)
			}
			for _, tg := range batch {
				tg.goneBy = time.Now()
			}
			gone = append(gone, batch...)
			live = slices.Delete(live, pick, pick+len(batch))
		case op == 4 && len(gone) > 0: // one that was there before, where it was last, perhaps with another worker
			old := gone[len(gone)-1]
			gone = gone[:len(gone)-1]
			tg := &probedTarget{name: old.name, addrs: slices.Clone(old.addrs[len(old.addrs)-1:])}
			add(tg)
			old.again = tg.added
			targets, live = append(targets, tg), append(live, tg)
		default:
			tg, to := live[pick], fresh()
			tg.addrs = append(tg.addrs, to)
			if err := r.Move(tg.name, to); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
	}
	time.Sleep(3 * interval)
	sum, series := r.totals()
	t.Logf("%d targets, %d of them still there; of these: %s", len(targets), len(live), show(sum))
	if series != len(live)+1 || sum.Lost+sum.Duplicates+sum.Late != 0 || slices.Max(sum.Unknown[:]) != 0 || sum.Sent == 0 {
		t.Errorf("%d series: %s; want %d, and every probe answered once", series, show(sum), len(live)+1)
	}
	for _, tg := range live {
		tg.removed = time.Now()
		if err := r.Remove(tg.name); err != nil {
			t.Fatal(err)
		}
		tg.goneBy = time.Now()
	}
	time.Sleep(2 * interval)
	if err := w.frames.Stop(); err != nil {
		t.Fatalf("the far side missed probes: the test is void: %v", err)
	}
	for _, tg := range targets {
		at := w.of(tg)
		if lived := tg.removed.Sub(tg.addedBy); len(at) == 0 {
			if lived > 2*interval {
				t.Errorf("%s was never probed in %v", tg.name, lived)
			}
			continue
		}
		from, to := at[0], at[len(at)-1]
		if planned := tg.moment(to, gap) - tg.moment(from, gap) + 1; int64(len(at)) != planned {
			t.Errorf("%s: %d probes arrived, the last %v after the first; planned are %d, one every %v", tg.name, len(at), to.Sub(from), planned, gap)
		}
		if late := from.Sub(tg.addedBy); late > 2*interval {
			t.Errorf("%s: its first probe came %v after it was added", tg.name, late)
		}
		if early := tg.removed.Sub(to); early > gap+tolerance && tg.removed.Sub(tg.addedBy) > 2*interval {
			t.Errorf("%s: its last probe came %v before it was removed", tg.name, early)
		}
		if after := to.Sub(tg.goneBy); after > tolerance {
			t.Errorf("%s: a probe came %v after it was removed", tg.name, after)
		}
	}
	counted, err := r.Program.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for q := range queues {
		if counted.Queues[q].Steered == 0 {
			t.Errorf("no reply came on queue %d: the test shows nothing of it", q)
		}
	}
	if st := r.Stats(); st.Foreign != 0 || st.ClockFaults != 0 {
		t.Errorf("%d foreign frames, %d clock faults", st.Foreign, st.ClockFaults)
	}
}
