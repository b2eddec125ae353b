// SPDX-License-Identifier: Apache-2.0

package packet

// The rules that tie a packet to a probe: docs/design.md, "A probe's identity".
// bpf/include/steer.h holds the same numbers.
const (
	// SeqWindow bounds the offset of a TCP probe: offsets lie in [0, SeqWindow).
	SeqWindow = 1 << 20

	// seqSlack is how much a RST+ACK may acknowledge beyond that: the payload.
	seqSlack = 1 << 16

	// UDPNumbers is how many numbers a UDP flow has before they repeat.
	UDPNumbers = 1 << 12

	// ICMPNumbers is how many sequence numbers an echo flow has before they repeat.
	ICMPNumbers = 1 << 16

	// checksums is how many values a forced checksum takes. 0 and 0xffff are
	// the same number in one's complement, and a device that mends a checksum
	// may turn one into the other, so neither is used.
	checksums = 0xfffe
)

// Base is the sequence number of a TCP flow's probe at offset 0.
func Base(h uint64) uint32 { return uint32(h) }

// echoChecksum is the ICMP checksum of every probe of an echo flow.
func echoChecksum(h uint64) uint16 { return 1 + uint16(h>>16)%checksums }

// udpChecksum is the UDP checksum of probe n, n < UDPNumbers.
func udpChecksum(h uint64, n uint32) uint16 {
	return uint16(1 + (uint32(uint16(h>>32))+n)%checksums)
}

// numberOfChecksum is the inverse of udpChecksum. A result of UDPNumbers or
// more means that the checksum is not of this flow.
func numberOfChecksum(h uint64, c uint16) uint32 {
	if c == 0 || c == 0xffff {
		return UDPNumbers
	}
	return (uint32(c) + 2*checksums - 1 - uint32(uint16(h>>32))) % checksums
}

// ipv4ID is the IPv4 identification of probe n. It varies where the packet may be
// fragmented (RFC 6864 section 4.3), and names a UDP probe in an error that quotes
// eight bytes of it.
func ipv4ID(h uint64, n uint32) uint16 { return uint16(h>>16) + uint16(n) }

// numberOfID is the inverse of ipv4ID, modulo 2^16.
func numberOfID(h uint64, id uint16) uint32 { return uint32(id - uint16(h>>16)) }

// flowLabel is the IPv6 flow label of a flow: constant, so that all its probes
// take one path, and not zero, which would mean unlabelled (RFC 6437).
func flowLabel(h uint64) uint32 { return max(1, uint32(h>>44)) }
