// SPDX-License-Identifier: Apache-2.0

// Package packet crafts our probes and parses their replies: Ethernet, IPv4,
// IPv6, TCP, UDP, ICMP, checksums and tokens. Nothing in it allocates.
package packet

import "net/netip"

// Proto is what a probe is made of.
type Proto uint8

// The IP protocol numbers; ICMP stands for ICMPv4 and ICMPv6 echo alike, by
// the family of the flow.
const (
	ICMP Proto = 1
	TCP  Proto = 6
	UDP  Proto = 17
)

// TokenLen is the number of payload bytes that hold the token of an ICMP or
// UDP probe.
const TokenLen = 8

// Flow is one path: what stays constant over all of its probes.
type Flow struct {
	Proto      Proto
	Local      netip.Addr // our address
	Remote     netip.Addr // the target's, same family
	LocalPort  uint16     // ICMP: the echo identifier
	RemotePort uint16     // ICMP: 0
}

// Shape is how a series' packets look beyond their flow.
type Shape struct {
	DSCP         uint8
	DontFragment bool   // IPv4 only
	PayloadLen   uint16 // bytes after the L4 header; ICMP and UDP: at least TokenLen
}

// Secret keys every token. A new one is drawn at every start.
type Secret [2]uint64

// Kind is what a reply is.
type Kind uint8

const (
	SynAck Kind = iota + 1
	RstAck
	Echo
	Error // an ICMP error quoting our probe
)

// Reply is a verified reply to one of our probes. The flow is the probe's own,
// as we sent it; From is who sent the reply.
type Reply struct {
	Kind Kind
	Flow Flow
	Hash uint64 // Secret.Hash of Flow
	From netip.Addr

	// Number identifies the probe on its flow.
	//   - TCP: ack - 1 - Base(Hash), which for a SynAck is the offset given to
	//     Build. For a RstAck it is that offset or, where the peer acknowledged
	//     the payload too, the offset plus payload. For an Error it is the offset.
	//   - ICMP: the echo sequence number, the number given to Build modulo ICMPNumbers.
	//   - UDP: the number given to Build modulo UDPNumbers.
	//
	// Alternate equals Number, but for an Error that quotes only the header of a
	// UDP probe over IPv4, and whose IPv4 id and UDP checksum name different
	// probes: Number is by the id, Alternate by the checksum.
	Number    uint32
	Alternate uint32

	// Weak says of such an Error that id and checksum do not name the same probe: a
	// device on the way rewrote one of them, or somebody guessed. One guess in eight
	// comes this far.
	Weak bool

	Ack  uint32 // SynAck, RstAck: the acknowledgement number as received, the sequence number of our RST
	TTL  uint8  // TTL or hop limit as received
	Type uint8  // of an Error
	Code uint8
}

// Unreachable says whether the error is a destination unreachable: ICMPv4 type
// 3 (RFC 792) or ICMPv6 type 1 (RFC 4443 section 3.1).
func (r *Reply) Unreachable() bool {
	if r.Kind != Error {
		return false
	}
	if r.Flow.Remote.Is4() {
		return r.Type == 3
	}
	return r.Type == 1
}
