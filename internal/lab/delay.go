// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Wire carries frames between two hosts in user space and can hold them back,
// each direction for its own time. A frame leaves when the hold has passed
// since the kernel received it, some microseconds late for the system call and
// more when the machine is busy: good for answers that are late, beyond a
// timeout or slower one way than the other. Where a round trip has to move by
// exactly a known time, use a Reflector's hold. VLAN tags are not carried.
// Any goroutine may call its methods.
type Wire struct {
	ab, ba direction
}

// direction is one way of a Wire.
type direction struct {
	hold    atomic.Int64 // ns
	carried atomic.Uint64
	from    *packet.Conn
	to      *packet.Conn
}

// spin is how long before a frame's time its sender stops sleeping: more than
// a timer's usual lateness.
const spin = 300 * time.Microsecond

// ConnectDelayed connects two hosts as Connect does, with a Wire between
// them. The ends' checksums are finished, since user space would hand on
// unfinished ones; the ends' Peer is the wire's.
func (l *Lab) ConnectDelayed(a, b *Host, link Link) (*End, *End, *Wire) {
	if l.test != nil {
		l.test.Helper()
	}
	w := &Wire{}
	mid := l.Host(fmt.Sprintf("wire%d", len(l.hosts)))
	// The wire itself must not speak: no link-local address, no neighbour
	// discovery, no multicast reports.
	mid.noIPv6 = true
	mid.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	plain := Link{Queues: link.Queues, MTU: link.MTU}
	aLink, bLink := plain, plain
	aLink.A, aLink.ChecksumA = link.A, true
	bLink.A, bLink.ChecksumA = link.B, true
	ea, wa := l.Connect(a, mid, aLink)
	eb, wb := l.Connect(b, mid, bLink)
	if l.err != nil {
		return ea, eb, w
	}
	if err := w.start(wa, wb); err != nil {
		l.fail(fmt.Errorf("carrying frames between %s and %s: %w", a.Name, b.Name, err))
	}
	return ea, eb, w
}

func (w *Wire) start(a, b *End) error {
	ca, err := listenStamped(a)
	if err != nil {
		return err
	}
	cb, err := listenStamped(b)
	if err != nil {
		return errors.Join(err, ca.Close())
	}
	w.ab.from, w.ab.to = ca, cb
	w.ba.from, w.ba.to = cb, ca
	var wg sync.WaitGroup
	for _, d := range []*direction{&w.ab, &w.ba} {
		frames := make(chan heldFrame, 65536)
		wg.Go(func() { d.receive(frames) })
		wg.Go(func() { d.send(frames) })
	}
	a.Host.lab.onClose(func() error {
		err := errors.Join(ca.Close(), cb.Close())
		wg.Wait()
		return err
	})
	return nil
}

// listenStamped opens a socket for all frames of an end, and has the kernel stamp
// them.
func listenStamped(e *End) (*packet.Conn, error) {
	c, err := listenFrames(e, unix.ETH_P_ALL)
	if err != nil {
		return nil, err
	}
	if err := setOption(c, unix.SO_TIMESTAMPNS, 1); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("asking for receive times on %s of %s: %w", e.Name, e.Host.Name, err)
	}
	return c, nil
}

// SetHold holds frames from now on: those from a to b, and those from b to a.
// Frames of one direction stay in order.
func (w *Wire) SetHold(ab, ba time.Duration) {
	w.ab.hold.Store(int64(ab))
	w.ba.hold.Store(int64(ba))
}

// Carried returns how many frames went each way.
func (w *Wire) Carried() (ab, ba uint64) {
	return w.ab.carried.Load(), w.ba.carried.Load()
}

// Lost returns how many frames the wire could not take in time, since the last
// call. Where it is not 0, what was measured over the wire is void.
func (w *Wire) Lost() (uint64, error) {
	var lost uint64
	for _, d := range []*direction{&w.ab, &w.ba} {
		if d.from == nil {
			return 0, errors.New("the wire was never built: see the lab's Err")
		}
		s, err := d.from.Stats()
		if err != nil {
			return 0, fmt.Errorf("reading what the wire dropped: %w", err)
		}
		lost += uint64(s.Drops)
	}
	return lost, nil
}

// heldFrame is a frame on its way; due is a wall clock time in ns, the clock
// of the kernel's stamps.
type heldFrame struct {
	data []byte
	due  int64
}

// receive reads frames until the socket is closed. When it falls behind by
// more than the channel and the socket hold, the kernel drops, and Lost says so.
func (d *direction) receive(frames chan<- heldFrame) {
	defer close(frames)
	raw, err := d.from.SyscallConn()
	if err != nil {
		return // closed
	}
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		var n, oobn int
		var from unix.Sockaddr
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, rerr = unix.Recvmsg(int(fd), buf, oob, 0)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err != nil {
			return // closed
		}
		if rerr != nil {
			continue // ENETDOWN, once, when an end goes down
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue // what we sent ourselves
		}
		stamp, ok := receiveTime(oob[:oobn])
		if !ok {
			stamp = time.Now().UnixNano()
		}
		frames <- heldFrame{append([]byte(nil), buf[:n]...), stamp + d.hold.Load()}
	}
}

// receiveTime finds the kernel's receive time, ns of the wall clock.
func receiveTime(oob []byte) (int64, bool) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range msgs {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			sec := int64(binary.NativeEndian.Uint64(m.Data))
			nsec := int64(binary.NativeEndian.Uint64(m.Data[8:]))
			return sec*1e9 + nsec, true
		}
	}
	return 0, false
}

// send lets each frame go at its time: asleep until shortly before, awake for
// the rest.
func (d *direction) send(frames <-chan heldFrame) {
	to := &packet.Addr{HardwareAddr: make(net.HardwareAddr, 6)}
	for f := range frames {
		if wait := time.Duration(f.due - time.Now().UnixNano()); wait > spin {
			time.Sleep(wait - spin)
		}
		for time.Now().UnixNano() < f.due {
		}
		if _, err := d.to.WriteTo(f.data, to); err == nil {
			d.carried.Add(1)
		}
	}
}
