// SPDX-License-Identifier: Apache-2.0

package packet

import "testing"

// TestChecksumRange: every hash gives a checksum that is not 0 in either of
// one's complement's spellings, and a UDP checksum names its probe.
func TestChecksumRange(t *testing.T) {
	for bits := range uint64(1 << 16) {
		if c := echoChecksum(bits << 16); c == 0 || c == 0xffff {
			t.Fatalf("bits %#x: echo checksum %#x", bits, c)
		}
		h := bits << 32
		for _, n := range []uint32{0, 1, 2, 2047, UDPNumbers - 2, UDPNumbers - 1} {
			c := udpChecksum(h, n)
			if c == 0 || c == 0xffff || numberOfChecksum(h, c) != n {
				t.Fatalf("bits %#x, probe %d: checksum %#x, which names probe %d", bits, n, c, numberOfChecksum(h, c))
			}
		}
		for _, c := range []uint16{0, 0xffff} {
			if n := numberOfChecksum(h, c); n < UDPNumbers {
				t.Fatalf("bits %#x: checksum %#x names probe %d", bits, c, n)
			}
		}
	}
}

func TestFlowLabel(t *testing.T) {
	for h, want := range map[uint64]uint32{0: 1, 1<<44 - 1: 1, 1 << 44: 1, 5 << 44: 5, 1<<64 - 1: 1<<20 - 1} {
		if got := flowLabel(h); got != want {
			t.Errorf("label of %#x is %#x, want %#x", h, got, want)
		}
	}
}
