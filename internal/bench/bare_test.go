// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// The bare loop's packets stay right whatever their number.
func TestNumber(t *testing.T) {
	for proto, f := range map[string]packet.Flow{
		icmp: {Proto: packet.ICMP, LocalPort: firstPort},
		tcp:  {Proto: packet.TCP, LocalPort: firstPort, RemotePort: tcpPort},
	} {
		f.Local, f.Remote = netip.MustParseAddr(nearAddr), targetAddr(999)
		b := make([]byte, bareFrame)
		b = b[:packet.Build(b, &f, &packet.Shape{DontFragment: true}, 0, 0, [6]byte{2}, [6]byte{4})]
		for _, n := range []uint32{0, 1, 0xffff, 0x10000, 0xfffe0001, 0xffffffff, 12345, 0} {
			number(b, proto, n)
			if got := binary.BigEndian.Uint32(b[offNumber:]); got != n {
				t.Errorf("%s: number %d, want %d", proto, got, n)
			}
			if sum := sumOf(b, proto); sum != 0xffff {
				t.Errorf("%s, number %#x: the checksum is wrong: the sum is %#x", proto, n, sum)
			}
		}
	}
}

// sumOf adds up what the L4 checksum covers (RFC 1071); 0xffff is right.
func sumOf(frame []byte, proto string) uint32 {
	l4, sum := frame[34:], uint32(0)
	if proto == tcp {
		sum = 6 + uint32(len(l4))
		for i := 26; i < 34; i += 2 {
			sum += uint32(binary.BigEndian.Uint16(frame[i:]))
		}
	}
	for i := 0; i < len(l4); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(l4[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}
