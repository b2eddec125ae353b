// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// sipBytes is SipHash-2-4 of a whole message, from the same pieces as Hash.
func sipBytes(k0, k1 uint64, msg []byte) uint64 {
	st := newSip(k0, k1)
	last := uint64(len(msg)) << 56
	for ; len(msg) >= 8; msg = msg[8:] {
		st = st.word(binary.LittleEndian.Uint64(msg))
	}
	for i, c := range msg {
		last |= uint64(c) << (8 * i)
	}
	return st.end(last)
}

// TestSipHashReference takes the vectors of the reference implementation
// (vectors_sip64 in github.com/veorq/SipHash): key 00..0f, message 00..(n-1).
func TestSipHashReference(t *testing.T) {
	want := map[int]uint64{
		0:  0x726fdb47dd0e0e31,
		1:  0x74f839c593dc67fd,
		2:  0x0d6c8009d9a94f5a,
		3:  0x85676696d7fb7e2d,
		4:  0xcf2794e0277187b7,
		7:  0xab0200f58b01d137,
		8:  0x93f5f5799a932462,
		15: 0xa129ca6149be45e5, // appendix A of the paper
	}
	var msg []byte
	for n := range 16 {
		w, ok := want[n]
		if got := sipBytes(0x0706050403020100, 0x0f0e0d0c0b0a0908, msg); ok && got != w {
			t.Errorf("%d bytes: %#016x, want %#016x", n, got, w)
		}
		msg = append(msg, byte(n))
	}
}

func TestHashLayout(t *testing.T) {
	s := Secret{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	for _, c := range []struct {
		f   Flow
		msg string
	}{
		{Flow{TCP, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7"), 65000, 443},
			"c0000201 c6336407 fde8 01bb 06 000000"},
		{Flow{ICMP, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 0x1234, 0},
			"20010db8000000000000000000000001 20010db8000000000000000000000002 1234 0000 01 000000"},
	} {
		if got, want := s.Hash(&c.f), sipBytes(s[0], s[1], unhex(t, c.msg)); got != want {
			t.Errorf("%+v: %#x, want %#x", c.f, got, want)
		}
	}
	if got, want := token(0x1122334455667788, 0xa1b2c3), sipBytes(0x1122334455667788, 0x1122334455667788, []byte{0xc3, 0xb2, 0xa1, 0}); got != want {
		t.Errorf("token %#x, want %#x", got, want)
	}
}

func TestNewSecret(t *testing.T) {
	if a, b := NewSecret(), NewSecret(); a == b || a[0] == 0 || a[1] == 0 {
		t.Errorf("secrets %x and %x", a, b)
	}
}
