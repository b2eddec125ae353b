// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// NewSecret draws a secret from the system's random source.
func NewSecret() Secret {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return Secret{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
}

// Hash returns SipHash-2-4 of the flow under the secret. What is hashed, in
// network byte order: our address, the target's address, our port, the target's
// port, the protocol, three zero bytes; 16 bytes for IPv4, 40 for IPv6. ICMP and
// ICMPv6 are both protocol 1: the length tells the families apart.
func (s Secret) Hash(f *Flow) uint64 {
	le := binary.LittleEndian
	tail := uint64(bits.ReverseBytes16(f.LocalPort)) | uint64(bits.ReverseBytes16(f.RemotePort))<<16 | uint64(f.Proto)<<32
	st := newSip(s[0], s[1])
	if f.Local.Is4() {
		l, r := f.Local.As4(), f.Remote.As4()
		st = st.word(uint64(le.Uint32(l[:])) | uint64(le.Uint32(r[:]))<<32)
		return st.word(tail).end(16 << 56)
	}
	l, r := f.Local.As16(), f.Remote.As16()
	st = st.word(le.Uint64(l[:])).word(le.Uint64(l[8:]))
	st = st.word(le.Uint64(r[:])).word(le.Uint64(r[8:]))
	return st.word(tail).end(40 << 56)
}

// token returns SipHash-2-4 of n, four bytes little-endian, under the flow's
// hash as both halves of the key. Build needs no secret for it, and the token of
// one flow tells nothing about another's.
func token(h uint64, n uint32) uint64 {
	return newSip(h, h).end(4<<56 | uint64(n))
}

// sip is the state of SipHash-2-4 (Aumasson and Bernstein, 2012). It goes by
// value, so that it stays in registers.
type sip struct{ v0, v1, v2, v3 uint64 }

func newSip(k0, k1 uint64) sip {
	return sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

func (s sip) round() sip {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}

// word takes the next eight bytes of the message, little-endian.
func (s sip) word(m uint64) sip {
	s.v3 ^= m
	s = s.round()
	s = s.round()
	s.v0 ^= m
	return s
}

// end takes the last word, which holds the message's length in its top byte
// and the bytes that did not fill a word, and returns the hash.
func (s sip) end(m uint64) uint64 {
	s = s.word(m)
	s.v2 ^= 0xff
	s = s.round()
	s = s.round()
	s = s.round()
	s = s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}
