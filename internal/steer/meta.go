// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"encoding/binary"
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

const (
	// MetaLen is how many bytes of metadata stand right in front of a frame that
	// an AF_XDP socket receives: struct meta in bpf/include/steer.h.
	MetaLen = 24

	// ReceiveClock names who takes the time that ReadMeta returns: the XDP
	// program, not the network card.
	ReceiveClock = "xdp"

	metaMagic = 0x4e505831
)

// Meta is what the program says of a frame that it hands over.
type Meta struct {
	RxNS    uint64         // when the frame came in, ns of bpf_ktime_get_ns (see ClockOffset)
	Verdict packet.Verdict // the kind of reply
	Hash    uint64         // packet.Secret.Hash of the probe's flow; 0 for an error
}

// ReadMeta reads the metadata from the headroom in front of a received frame, of
// which the last MetaLen bytes are looked at. ok is false for a frame that the program
// did not hand over.
func ReadMeta(frameHeadroom []byte) (m Meta, ok bool) {
	n := len(frameHeadroom)
	if n < MetaLen {
		return m, false
	}
	b := frameHeadroom[n-MetaLen:]
	if binary.NativeEndian.Uint32(b[8:]) != metaMagic {
		return m, false
	}
	return Meta{binary.NativeEndian.Uint64(b), packet.Verdict(binary.NativeEndian.Uint32(b[12:])), binary.NativeEndian.Uint64(b[16:])}, true
}

// text is a local address as a person writes it.
func text(a [16]byte) netip.Addr { return netip.AddrFrom16(a).Unmap() }
