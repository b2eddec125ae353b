// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"hash/maphash"
	"net/netip"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
)

// loop is an engine without sockets, with one echo flow whose probes are
// noted as sent and whose replies are at hand.
type loop struct {
	*worker
	flow   *flow
	leg    uint32
	number uint32
	frames [1 << 16][]byte // the reply to probe n is frames[n mod 65536]
}

func newLoop() *loop {
	e := &Engine{
		Options: Options{Secret: packet.NewSecret(), Interval: time.Second, Percentiles: []int{95, 50}, Blocks: NewBlocks(1e8)},
		numbers: map[netip.Addr]uint32{}, fresh: map[uint32]int{}, dead: map[uint32]int64{}, classes: map[classKey]*class{}, kinds: map[kindKey]*result.Kind{},
		seed: maphash.MakeSeed(),
	}
	e.verifier = packet.NewVerifier(e.Secret)
	e.index.Store(newIndex(0))
	e.locals.Store(new([]netip.Addr))
	l := &loop{worker: &worker{engine: e}}
	e.workers = []*worker{l.worker}

	local, remote := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	p := &plan.Target{
		Name: "t", Type: probe.ICMPping, Family: "ipv4", Addrs: []netip.Addr{remote}, Timeout: time.Second,
		Groups: []plan.Group{{Name: "g", NbPackets: 1, PayloadLen: 8, Sources: []plan.Source{{}}, Order: []uint32{0}}},
	}
	n := e.enter(p)
	t := e.targets.at(n)
	key := packet.Flow{Proto: packet.ICMP, Local: local, Remote: remote, LocalPort: 7}
	number := e.acquire(key, t, &p.Groups[0], 0)
	l.flow, l.leg = e.flows.at(number), e.series.at(t.series).legs
	l.flow.bits = 3
	l.flow.slots.Store(e.slots.take(8))
	e.legs.at(l.leg).flow.Store(number)
	l.expiries = []*expiry{newExpiry(int64(p.Timeout), &l.flights)}

	ft := new(packet.Filter)
	ft.AddLocal(local)
	e.verifier.SetFilter(ft)
	shape := packet.Shape{PayloadLen: 8}
	for n := range l.frames {
		b := make([]byte, 64)
		b = b[:packet.Build(b, &key, &shape, l.flow.hash, uint32(n), [6]byte{2}, [6]byte{4})]
		copy(b[26:30], remote.AsSlice())
		copy(b[30:34], local.AsSlice())
		b[34] = 0 // echo reply
		l.frames[n] = b
	}
	return l
}

// send notes the next probe as sent, as kick does.
func (l *loop) send() {
	e := l.engine
	l.number++
	at := l.flow.at(l.number)
	sl := e.slots.at(at)
	s := e.series.at(e.legs.at(l.leg).series)
	r := l.begin(s, l.number)
	r.left--
	r.Sent++
	sl.leg.Store(l.leg)
	n := l.flights.take()
	*l.flights.at(n) = flight{slot: at, round: l.number, sent: int64(l.number) * 1000, bracket: 500}
	l.flow.last.Store(l.number)
	sl.word.Store(wordOf(uint16(l.number), inFlight, int64(n)))
	l.expiries[0].push(n)
}

// receive takes the reply to probe n, as the XDP program hands it over.
func (l *loop) receive(n uint32) {
	l.take(l.frames[n%(1<<16)], steer.Meta{RxNS: uint64(n)*1000 + 700, Verdict: packet.Verdict(packet.Echo), Hash: l.flow.hash})
}

func (l *loop) snapshot() (s result.Snapshot) {
	l.engine.series.at(l.engine.legs.at(l.leg).series).result.Snapshot(&s)
	return s
}

// One answer counts, the second is a duplicate, and one to a probe whose place
// was taken is nobody's.
func TestReplyCountsOnce(t *testing.T) {
	l := newLoop()
	l.send()
	l.receive(1)
	l.receive(1)
	if s := l.snapshot(); s.Sent != 1 || s.Lost != 0 || s.RoundAnswered != 1 || s.Duplicates != 1 || s.RoundTrips[0] != 700 {
		t.Errorf("after an answer and its copy: %+v", s)
	}
	for range 9 { // the flow has eight slots
		l.send()
		l.receive(l.number)
	}
	l.receive(1)
	if l.foreign.Load() != 1 {
		t.Errorf("%d foreign, want the answer to a probe long gone", l.foreign.Load())
	}
	if got := testing.AllocsPerRun(1000, func() { l.send(); l.receive(l.number) }); got != 0 {
		t.Errorf("a probe and its reply: %v allocations", got)
	}
}

// BenchmarkReply is what a probe costs in this program beyond building and
// kicking it: note it as sent, parse its reply, match it, count it, publish the
// round.
func BenchmarkReply(b *testing.B) {
	l := newLoop()
	b.ReportAllocs()
	for b.Loop() {
		l.send()
		l.receive(l.number)
	}
}

// BenchmarkMatch is the receiving of a reply alone: parse it, find its probe,
// claim it. Its probe is over, so that nothing else is to be done.
func BenchmarkMatch(b *testing.B) {
	l := newLoop()
	l.send()
	l.receive(1)
	b.ReportAllocs()
	for b.Loop() {
		l.receive(1)
	}
}

// A round whose answer came after that of a newer round counts in the totals; the
// figures of the last round stay the newer one's.
func TestOvertakenRoundIsNotTheLast(t *testing.T) {
	l := newLoop()
	l.send()
	l.send()
	l.send()
	l.receive(2)
	l.take(l.frames[1], steer.Meta{RxNS: 1000 + 5000, Verdict: packet.Verdict(packet.Echo), Hash: l.flow.hash})
	if s := l.snapshot(); s.Sent != 2 || s.Rounds != 2 || s.RoundTrips[0] != 700 {
		t.Errorf("after the second answer and then the first: %+v; want 2 sent, and a round trip of 700 ns", s)
	}
	l.receive(3)
	l.send()
	l.take(l.frames[4], steer.Meta{RxNS: 4000 + 900, Verdict: packet.Verdict(packet.Echo), Hash: l.flow.hash})
	if s := l.snapshot(); s.Sent != 4 || s.Lost != 0 || s.Rounds != 4 || s.RoundTrips[0] != 900 {
		t.Errorf("after all answers: %+v; want 4 sent, and a round trip of 900 ns", s)
	}
}
