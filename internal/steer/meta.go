// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"encoding/binary"
	"net/netip"
)

const (
	// MetaLen is how many bytes of metadata stand right in front of a frame that
	// an AF_XDP socket receives: struct meta in bpf/include/steer.h.
	MetaLen = 16

	// ReceiveClock names who takes the time that Meta returns: the XDP program,
	// not the network card.
	ReceiveClock = "xdp"

	metaMagic = 0x4e505831
)

// Meta reads the metadata from the headroom in front of a received frame, of
// which the last MetaLen bytes are looked at. rxNS is when the frame came in, in
// nanoseconds of bpf_ktime_get_ns (see ClockOffset). ok is false for a frame that
// the program did not hand over.
func Meta(frameHeadroom []byte) (rxNS uint64, ok bool) {
	n := len(frameHeadroom)
	if n < MetaLen {
		return 0, false
	}
	m := frameHeadroom[n-MetaLen:]
	if binary.NativeEndian.Uint32(m[8:]) != metaMagic {
		return 0, false
	}
	return binary.NativeEndian.Uint64(m), true
}

// text is a local address as a person writes it.
func text(a [16]byte) netip.Addr { return netip.AddrFrom16(a).Unmap() }
