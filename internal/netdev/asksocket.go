// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	mdpacket "github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// askSockets are the packet sockets through which neighbours are asked. Two,
// each bound to one protocol: a socket for all protocols would look at every
// packet of the host. The send side is for the neighbour goroutine alone.
type askSockets struct {
	arp, nd *mdpacket.Conn
	closed  chan struct{}
}

// answer is what one frame said about a neighbour.
type answer struct {
	packet.Neighbour
	sender [6]byte // source address of the frame
}

// openAskSockets must run inside the interface's namespace.
func openAskSockets(ifindex int) (*askSockets, error) {
	arp, err := openAskSocket(ifindex, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, err
	}
	nd, err := openAskSocket(ifindex, unix.ETH_P_IPV6, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 14 + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 14 + 40, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 136, SkipTrue: 1}, // neighbour advertisement
	})
	if err != nil {
		_ = arp.Close()
		return nil, err
	}
	return &askSockets{arp: arp, nd: nd, closed: make(chan struct{})}, nil
}

func openAskSocket(ifindex, protocol int, match []bpf.Instruction) (*mdpacket.Conn, error) {
	filter, err := bpf.Assemble(askFilter(match))
	if err != nil {
		return nil, fmt.Errorf("assemble the filter for neighbour answers: %w", err)
	}
	c, err := mdpacket.Listen(&net.Interface{Index: ifindex}, mdpacket.Raw, protocol, &mdpacket.Config{Filter: filter})
	if errors.Is(err, unix.EPERM) {
		return nil, exitcode.With(exitcode.NoPermission, fmt.Errorf("open a packet socket to ask neighbours: %w; CAP_NET_RAW is needed", err))
	}
	if err != nil {
		return nil, fmt.Errorf("open a packet socket to ask neighbours: %w", err)
	}
	return c, nil
}

// askFilter accepts what match leaves over of the frames for this host. The
// kernel marks a frame of a VLAN without device here as PACKET_OTHERHOST
// (__netif_receive_skb_core in net/core/dev.c): the same address there is
// another station. match ends with a jump over one instruction for what it
// refuses.
func askFilter(match []bpf.Instruction) []bpf.Instruction {
	f := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: uint8(len(match) + 1)},
	}
	f = append(f, match...)
	return append(f, bpf.RetConstant{Val: 256}, bpf.RetConstant{Val: 0})
}

func (s *askSockets) both() [2]*mdpacket.Conn { return [2]*mdpacket.Conn{s.arp, s.nd} }

func (s *askSockets) close() {
	close(s.closed)
	for _, c := range s.both() {
		_ = c.Close()
	}
}

// ask sends one question: to mac alone when unicast, else to all stations. b is
// scratch space of packet.NeighbourLen bytes.
func (s *askSockets) ask(b []byte, own [6]byte, src, addr netip.Addr, mac [6]byte, unicast bool) error {
	if !unicast {
		mac = [6]byte{}
	}
	c, n := s.arp, 0
	if addr.Is4() {
		n = packet.BuildARPRequest(b, own, src, mac, addr)
	} else {
		c, n = s.nd, packet.BuildNeighbourSolicit(b, own, src, mac, addr)
	}
	// A stopped transmit queue must not stop the neighbour goroutine.
	if err := c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return err
	}
	_, err := c.WriteTo(b[:n], &mdpacket.Addr{HardwareAddr: b[:6]})
	return err
}

// openAsks opens the sockets for the interface with this index.
func (l *Link) openAsks(index int) (s *askSockets, err error) {
	err = l.ns.do(func() error {
		s, err = openAskSockets(index)
		return err
	})
	return s, err
}

// hear hands every answer on these sockets to the neighbour goroutine, until
// they are closed.
func (l *Link) hear(s *askSockets) {
	for _, c := range s.both() {
		l.wg.Go(func() { receive(c, s.closed, func(a answer) { l.send(a) }) })
	}
}

// receive hands every answer to take until stop is closed. A link that goes
// down is an error once, after which the socket works on.
func receive(c *mdpacket.Conn, stop <-chan struct{}, take func(answer)) {
	b := make([]byte, 256)
	for {
		n, _, err := c.ReadFrom(b)
		switch {
		case err == nil:
			if a, ok := packet.ParseNeighbour(b[:n]); ok {
				take(answer{a, [6]byte(b[6:12])})
			}
		case errors.Is(err, unix.ENETDOWN):
		default:
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

func hardwareAddr(m [6]byte) net.HardwareAddr { return net.HardwareAddr(m[:]) }
