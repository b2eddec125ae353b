// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
)

const (
	bareFrame = 2048 // bytes
	bareRing  = 2048 // frames; a power of two
	// Where things stand in a frame of IPv4 without options. The number is an
	// echo's identifier and sequence number, or a TCP sequence number.
	offEtherType = 12
	etherIPv4    = 0x0800
	offNumber    = 14 + 20 + 4
	offEchoSum   = 14 + 20 + 2
	offTCPSum    = 14 + 20 + 16
	offAck       = 14 + 20 + 8
	offSource    = 14 + 12
)

// bareSpec is what the child that runs the bare loop is told.
type bareSpec struct {
	Load     load
	Ifindex  int
	Src, Dst net.HardwareAddr
	Batch    int // frames in one kick, as fast as it goes
}

type bareReport struct {
	Sent, Received uint64
	P50, P99       float64 // us; 0 where it was as fast as it goes
}

// bareLoop is (a): what the wire, the kernel and the library take, and nothing
// else. It sends the packets that ours sends, a RST for each SYN-ACK included, but
// it keeps no token, matches nothing and knows no targets. Paced, it sends one probe a
// kick and knows when each left: then its round trips are the wire's, as near
// as user space can see them.
type bareLoop struct {
	spec  bareSpec
	sock  *xdp.Socket
	flows []packet.Flow // by target
	begin time.Time
	clock time.Duration // of bpf_ktime_get_ns at begin

	stamps []int64 // when each probe left, ns since begin; nil as fast as it goes
	trips  []float64
	sent   int
	got    uint64

	resets    []xdp.Desc // to be sent, built
	nextReset int
}

// runBare is the child: it sends what it is told, says what came back, and ends.
func runBare(arg string) error {
	b := &bareLoop{begin: time.Now()}
	if err := json.Unmarshal([]byte(arg), &b.spec); err != nil {
		return err
	}
	runtime.LockOSThread()
	var err error
	if b.clock, _, err = steer.ClockOffset(b.begin); err != nil {
		return err
	}
	// The first bareRing frames are received into, then one per target, then
	// the resets.
	xdp.DefaultSocketFlags = unix.XDP_COPY
	b.sock, err = xdp.NewSocket(b.spec.Ifindex, 0, &xdp.SocketOptions{
		NumFrames: 2*bareRing + b.spec.Load.Targets, FrameSize: bareFrame,
		FillRingNumDescs: bareRing, RxRingNumDescs: bareRing, TxRingNumDescs: bareRing, CompletionRingNumDescs: bareRing,
	})
	if err != nil {
		return fmt.Errorf("open the bare loop's socket: %w", err)
	}
	defer b.sock.Close()
	paced := b.spec.Load.PPS > 0
	detach, err := bareProgram(b.spec.Ifindex, []int{b.sock.FD()}, paced)
	if err != nil {
		return err
	}
	defer detach()
	b.prepare()
	if paced {
		b.stamps = make([]int64, b.spec.Load.Probes)
		b.trips = make([]float64, 0, b.spec.Load.Probes)
		b.paced()
	} else {
		b.flat()
	}
	r := bareReport{Sent: uint64(b.sent), Received: b.got}
	if len(b.trips) > 0 {
		r.P50, r.P99 = quantiles(b.trips)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// prepare builds each target's packet once, and fills the receive ring.
func (b *bareLoop) prepare() {
	var fill []xdp.Desc
	for i := range bareRing {
		fill = append(fill, xdp.Desc{Addr: uint64(i * bareFrame), Len: bareFrame})
	}
	b.sock.Fill(fill)
	for i := range b.spec.Load.Targets {
		f := packet.Flow{Proto: packet.ICMP, Local: netip.MustParseAddr(nearAddr), Remote: targetAddr(i), LocalPort: firstPort}
		if b.spec.Load.Proto == tcp {
			f.Proto, f.LocalPort, f.RemotePort = packet.TCP, uint16(firstPort+i%oursPorts), tcpPort
		}
		b.flows = append(b.flows, f)
		frame := b.sock.GetFrame(xdp.Desc{Addr: b.probeFrame(i), Len: bareFrame})
		packet.Build(frame, &b.flows[i], &packet.Shape{DontFragment: true}, 0, 0, mac(b.spec.Src), mac(b.spec.Dst))
	}
}

func mac(a net.HardwareAddr) [6]byte { return [6]byte(a) }

func (b *bareLoop) probeFrame(target int) uint64 { return uint64((bareRing + target) * bareFrame) }

// next makes the next probe ready to go.
func (b *bareLoop) next() xdp.Desc {
	i := b.sent % len(b.flows)
	d := xdp.Desc{Addr: b.probeFrame(i), Len: uint32(packet.FrameLen(&b.flows[i], &packet.Shape{}))}
	number(b.sock.GetFrame(d), b.spec.Load.Proto, uint32(b.sent))
	b.sent++
	return d
}

// number gives a probe its number: identifier and sequence number of an echo,
// sequence number of a SYN. The checksum follows (RFC 1624).
func number(frame []byte, proto string, n uint32) {
	sumAt := offEchoSum
	if proto == tcp {
		sumAt = offTCPSum
	}
	old := ^binary.BigEndian.Uint32(frame[offNumber:])
	sum := uint32(^binary.BigEndian.Uint16(frame[sumAt:])) + old>>16 + old&0xffff + n>>16 + n&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint32(frame[offNumber:], n)
	binary.BigEndian.PutUint16(frame[sumAt:], ^uint16(sum))
}

// flat sends as fast as it goes.
func (b *bareLoop) flat() {
	batch := make([]xdp.Desc, 0, bareRing)
	for quiet := time.Now(); b.sent < b.spec.Load.Probes || time.Since(quiet) < 100*time.Millisecond; {
		b.sock.Complete(b.sock.NumCompleted())
		batch = append(batch[:0], b.resets...)
		b.resets = b.resets[:0]
		for n := 0; n < b.spec.Batch && b.sent < b.spec.Load.Probes; n++ {
			batch = append(batch, b.next())
		}
		if len(batch) > 0 || b.sock.NumTransmitted() > 0 {
			b.send(batch)
			quiet = time.Now()
		}
		b.receive()
	}
}

// send hands frames over and kicks until the kernel has taken all of them: one
// kick sends at most 32.
func (b *bareLoop) send(batch []xdp.Desc) {
	for n := b.sock.Transmit(batch); ; n = b.sock.Transmit(batch) {
		batch = batch[n:]
		b.sock.Complete(b.sock.NumCompleted())
		if len(batch) == 0 && b.sock.NumTransmitted() == 0 {
			return
		}
	}
}

// paced sends what is due once a millisecond, each probe by a kick of its own.
func (b *bareLoop) paced() {
	l := b.spec.Load
	one := make([]xdp.Desc, 1)
	start := time.Now()
	for b.sent < l.Probes {
		for due := int(time.Since(start) * time.Duration(l.PPS) / time.Second); b.sent < min(due, l.Probes); {
			one[0] = b.next()
			b.stamps[b.sent-1] = int64(time.Since(b.begin))
			b.send(one)
			b.receive()
		}
		if len(b.resets) > 0 {
			b.send(b.resets)
			b.resets = b.resets[:0]
		}
		rest := unix.NsecToTimespec(int64(time.Millisecond - time.Since(start)%time.Millisecond))
		_ = unix.Nanosleep(&rest, nil) // what woke it does not matter
	}
	time.Sleep(50 * time.Millisecond)
	b.receive()
	b.send(b.resets)
}

// receive takes what came in.
func (b *bareLoop) receive() {
	descs := b.sock.Receive(b.sock.NumReceived())
	for i := range descs {
		frame := b.sock.GetFrame(descs[i])
		if binary.BigEndian.Uint16(frame[offEtherType:]) != etherIPv4 { // the far end's kernel speaks IPv6 at times
			descs[i].Addr &^= bareFrame - 1
			continue
		}
		b.got++
		if b.spec.Load.Proto == tcp {
			b.reset(frame)
		}
		if b.stamps != nil {
			b.trip(descs[i], frame)
		}
		descs[i].Addr &^= bareFrame - 1 // a received address includes the headroom
	}
	b.sock.Fill(descs)
}

// reset makes the RST for a SYN-ACK ready.
func (b *bareLoop) reset(frame []byte) {
	d := xdp.Desc{Addr: uint64((bareRing + len(b.flows) + b.nextReset) * bareFrame), Len: bareFrame}
	b.nextReset = (b.nextReset + 1) % bareRing
	f := &b.flows[targetIndex(frame[offSource:offSource+4])]
	d.Len = uint32(packet.BuildReset(b.sock.GetFrame(d), f, 0, 0, binary.BigEndian.Uint32(frame[offAck:]), mac(b.spec.Src), mac(b.spec.Dst)))
	b.resets = append(b.resets, d)
}

// trip notes how long the probe took whose number the answer brings back.
func (b *bareLoop) trip(d xdp.Desc, frame []byte) {
	n := binary.BigEndian.Uint32(frame[offNumber:])
	if b.spec.Load.Proto == tcp {
		n = binary.BigEndian.Uint32(frame[offAck:]) - 1
	}
	meta := b.sock.GetFrame(xdp.Desc{Addr: d.Addr - bareMeta, Len: bareMeta})
	received := int64(binary.NativeEndian.Uint64(meta)) - int64(b.clock)
	b.trips = append(b.trips, float64(received-b.stamps[n]))
}

// bare starts the bare loop.
type bare struct {
	batch int
	child *child
}

func (a *bare) name() string { return "bare loop" }
func (a *bare) pass() bool   { return false }

func (a *bare) start(r *rig, dir string, l load) (_ []*child, err error) {
	a.child, err = startSelf(where{r.prober, dir, anyCPU}, roleBare,
		bareSpec{Load: l, Ifindex: r.near.Index, Src: r.near.MAC, Dst: r.far.MAC, Batch: a.batch})
	return []*child{a.child}, err
}

func (a *bare) finish(l load) (claims, error) {
	var r bareReport
	if err := a.child.answer(20*time.Second, &r); err != nil {
		a.child.kill()
		return claims{}, err
	}
	c := claims{Sent: float64(r.Sent), Matched: float64(r.Received), Lost: float64(r.Sent) - float64(r.Received), NotSent: none, Unknown: none, Marked: none, P50: none, P99: none}
	if l.PPS > 0 {
		c.P50, c.P99 = r.P50, r.P99
	}
	return c, a.child.wait(10 * time.Second)
}
