// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// oddHost answers echo requests over IPv4 to addresses that its host's stack
// does not have, each address in its own way, and counts.
type oddHost struct {
	t      *testing.T
	frames *lab.Frames
	ways   map[[4]byte]func(n int, reply []byte) // n counts the requests to the address, from 0
	seen   map[[4]byte]int

	held    []byte // for the way that swaps neighbours
	delayed sync.WaitGroup
}

func newOddHost(t *testing.T, at *lab.End, ways func(o *oddHost) map[[4]byte]func(n int, reply []byte)) *oddHost {
	t.Helper()
	o := &oddHost{t: t, frames: at.Frames(unix.ETH_P_IP), seen: map[[4]byte]int{}}
	o.ways = ways(o)
	o.frames.Each(func(frame []byte, _ time.Time) { o.answer(frame) })
	t.Cleanup(o.stop)
	return o
}

// stop ends the answering.
func (o *oddHost) stop() {
	if err := o.frames.Stop(); err != nil {
		o.t.Error(err)
	}
	o.delayed.Wait()
}

func (o *oddHost) send(frame []byte) {
	if err := o.frames.Send(frame); err != nil {
		o.t.Error(err)
	}
}

func (o *oddHost) answer(request []byte) {
	if len(request) < 14+20+16 || request[14] != 0x45 || request[14+9] != unix.IPPROTO_ICMP || request[34] != 8 {
		return
	}
	dst := [4]byte(request[30:34])
	if way := o.ways[dst]; way != nil {
		way(o.seen[dst], echoReply(request))
		o.seen[dst]++
	}
}

// echoReply returns the answer to an echo request, with a TTL of 64.
func echoReply(request []byte) []byte {
	r := append([]byte(nil), request...)
	copy(r[0:6], request[6:12])
	copy(r[6:12], request[0:6])
	copy(r[26:30], request[30:34])
	copy(r[30:34], request[26:30])
	setTTL(r, 64)
	r[34] = 0
	sum := uint32(binary.BigEndian.Uint16(r[36:])) + 0x0800 // RFC 1624: the type went down by 8
	binary.BigEndian.PutUint16(r[36:], uint16(sum+sum>>16))
	return r
}

// setTTL sets the TTL and completes the header's checksum.
func setTTL(frame []byte, ttl byte) {
	h := frame[14:34]
	h[8], h[10], h[11] = ttl, 0, 0
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
}

// What an answer is besides being there is counted exactly: twice, late, out of order,
// by another way back.
func TestOddAnswersAreCountedExactly(t *testing.T) {
	t.Parallel()
	const (
		packets, sameTTL = 200, 10
		timeout          = 300 * time.Millisecond
	)
	l := lab.ForTest(t, "truth")
	prober, host := l.Host("prober"), l.Host("host")
	near, farEnd := l.Connect(prober, host, lab.Link{Queues: 2, A: []string{near4 + "/24"}, B: []string{far4 + "/24"}})
	prober.SetRoute("198.18.0.0/24", lab.Hop{Via: far4})
	addr := func(n byte) [4]byte { return [4]byte{198, 18, 0, n} }
	o := newOddHost(t, farEnd, func(o *oddHost) map[[4]byte]func(n int, reply []byte) {
		return map[[4]byte]func(n int, reply []byte){
			addr(1): func(_ int, reply []byte) { o.send(reply) },
			addr(2): func(_ int, reply []byte) { o.send(reply); o.send(reply); o.send(reply) },
			addr(3): func(_ int, reply []byte) {
				o.delayed.Add(1)
				time.AfterFunc(timeout+200*time.Millisecond, func() { defer o.delayed.Done(); o.send(reply) })
			},
			addr(4): func(n int, reply []byte) { // the second of a pair before the first
				if n%2 == 0 {
					o.held = reply
					return
				}
				o.send(reply)
				o.send(o.held)
			},
			addr(5): func(n int, reply []byte) {
				setTTL(reply, byte(64-n/sameTTL%2))
				o.send(reply)
			},
			addr(6): func(n int, reply []byte) { // every fourth is never answered
				if n%4 != 3 {
					o.send(reply)
				}
			},
		}
	})
	s := setup{on: prober, ifaces: []string{near.Name}, interval: 4 * time.Second, gap: 8 * time.Millisecond}
	names := []string{"plain", "thrice", "late", "swapped", "ttl", "quarter"}
	for i, name := range names {
		s.targets = append(s.targets, target{name: name, kind: "ICMPping", addr: fmt.Sprintf("198.18.0.%d", i+1), packets: packets, timeout: timeout})
	}
	r := start(t, s)
	want := map[string]result.Snapshot{
		"plain":   {},
		"thrice":  {Duplicates: 2 * packets},
		"late":    {Lost: packets, Late: packets},
		"swapped": {Reordered: packets / 2},
		"ttl":     {TTLChanges: packets/sameTTL - 1},
		"quarter": {Lost: packets / 4},
	}
	r.quiet(1, func() {
		o.stop() // late answers were sent
		var steered uint64
		for name, w := range want {
			all := r.series(name)
			var got result.Snapshot
			r.wait(func() bool { all[0].Snapshot(&got); return got.Late == w.Late && got.Duplicates == w.Duplicates },
				time.Second, func() string { return fmt.Sprintf("%s: %s", name, show(got)) })
			if got.Sent != packets || got.Lost != w.Lost || got.Causes[result.Timeout] != w.Lost || notSent(got)+unknown(got) != 0 ||
				got.Reordered != w.Reordered || got.TTLChanges != w.TTLChanges {
				t.Errorf("%s: %s, %d reordered, %d TTL changes; want %d lost, %d duplicates, %d late, %d reordered, %d TTL changes",
					name, show(got), got.Reordered, got.TTLChanges, w.Lost, w.Duplicates, w.Late, w.Reordered, w.TTLChanges)
			}
			steered += got.Sent - got.Lost + got.Duplicates + got.Late
		}
		t.Logf("%d answers", steered)
		r.accounted()
	})
}

// ICMP errors from a router on the way are losses, counted by type and code;
// the router's own packet filter says how many it sent.
func TestErrorsByTypeAndCode(t *testing.T) {
	t.Parallel()
	const packets = 100
	p := newPair(t, 2)
	must(t, p.host, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	beyond := p.lab.Host("beyond")
	p.lab.Connect(p.host, beyond, lab.Link{A: []string{"198.51.100.1/24", "2001:db8:1::1/64"}, B: []string{"198.51.100.2/24", "2001:db8:1::2/64"}})
	p.prober.SetRoute("198.51.100.0/24", lab.Hop{Via: far4})
	p.prober.SetRoute("2001:db8:1::/64", lab.Hop{Via: far6})
	s := setup{on: p.prober, ifaces: []string{p.nearEnd.Name}, interval: 4 * time.Second, gap: 15 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20255}}}
	type refusal struct {
		target    string
		typ, code uint8
		filter    *lab.Filter
	}
	var all []refusal
	for family, k := range map[string]struct {
		addr  string
		typ   uint8
		codes map[lab.RejectWith]uint8
	}{
		"ipv4": {"198.51.100.", 3, map[lab.RejectWith]uint8{lab.AdminProhibited: 13, lab.HostUnreachable: 1, lab.NoRoute: 0}},
		"ipv6": {"2001:db8:1::", 1, map[lab.RejectWith]uint8{lab.AdminProhibited: 1, lab.HostUnreachable: 3, lab.NoRoute: 0}},
	} {
		for with, code := range k.codes {
			addr := fmt.Sprintf("%s%d", k.addr, 10+with)
			filter := p.host.Reject(lab.Forward, lab.Match{To: addr}, with)
			for _, tg := range everyType(fmt.Sprintf("r%d-", with), packets, 300*time.Millisecond, map[string]string{family: addr}) {
				s.targets = append(s.targets, tg)
				all = append(all, refusal{tg.name, k.typ, code, filter})
			}
		}
	}
	r := start(t, s)
	r.quiet(1, func() {
		for _, a := range all {
			got := r.of(a.target)
			first := got.ICMPErrors[0]
			if got.Sent != packets || got.Lost != packets || got.Causes[result.ICMPError] != packets || got.Late+got.Duplicates != 0 ||
				first != (result.ICMPErrors{Type: a.typ, Code: a.code, Count: packets}) || got.ICMPErrors[1].Count != 0 {
				t.Errorf("%s: %s, errors %+v; want %d of type %d code %d", a.target, show(got), got.ICMPErrors, packets, a.typ, a.code)
			}
			if c := counts(t, a.filter); c.Acted != 3*packets {
				t.Errorf("%s: the router refused %d, want %d", a.target, c.Acted, 3*packets)
			}
		}
		r.accounted()
	})
}
