// SPDX-License-Identifier: Apache-2.0

package packet

// ReadKnown reads what a reply says that the XDP program has judged: the verdict
// and the flow's hash are its own. It looks at echo and TCP replies right behind an IP
// header without options or extensions, and sets of r what tells the probe: Kind, Hash,
// Number, Alternate, Weak, Ack and TTL. The rest of r stays as it was.
// tail is the last four bytes of the sender's address. Where ok is false the frame
// is of another form, and for Parse.
func ReadKnown(frame []byte, v Verdict, hash uint64, r *Reply) (tail uint32, ok bool) {
	const v4, v6 = ethLen + ipv4Len, ethLen + ipv6Len
	var l4 []byte
	switch {
	case len(frame) >= v4+icmpLen && be.Uint32(frame[12:])>>8 == etherIPv4<<8|0x45:
		r.TTL, tail, l4 = frame[ethLen+8], be.Uint32(frame[ethLen+12:]), frame[v4:]
	case len(frame) >= v6+icmpLen && be.Uint16(frame[12:]) == etherIPv6 && (frame[ethLen+6] == byte(TCP) || frame[ethLen+6] == protoICMPv6):
		r.TTL, tail, l4 = frame[ethLen+7], be.Uint32(frame[ethLen+20:]), frame[v6:]
	default:
		return 0, false
	}
	switch Kind(v) {
	case Echo:
		r.Number = uint32(be.Uint16(l4[6:]))
	case SynAck, RstAck:
		if len(l4) < tcpLen {
			return 0, false
		}
		r.Ack = be.Uint32(l4[8:])
		r.Number = r.Ack - 1 - Base(hash)
	default:
		return 0, false
	}
	r.Kind, r.Hash, r.Alternate, r.Weak = Kind(v), hash, r.Number, false
	return tail, true
}
