// SPDX-License-Identifier: Apache-2.0

package packet

// A payload's byte i is byte(i), as ping's is, but for the token. Its sum is
// known without reading it.
const patternPeriod = 256

var (
	pattern     [patternPeriod + 2048]byte
	patternSums [patternPeriod + 1]uint64 // of the first i bytes, carries not folded
)

func init() {
	for i := range pattern {
		pattern[i] = byte(i)
	}
	for i := range patternPeriod {
		word := uint64(i)
		if i%2 == 0 {
			word <<= 8
		}
		patternSums[i+1] = patternSums[i] + word
	}
}

// putPattern fills payload p from byte from on.
func putPattern(p []byte, from int) {
	for i := from; i < len(p); {
		i += copy(p[i:], pattern[i%patternPeriod:])
	}
}

// patternSum returns the sum of the bytes from to n of a payload, n >= from; from is
// even and below patternPeriod.
func patternSum(from, n int) uint64 {
	return uint64(n/patternPeriod)*patternSums[patternPeriod] + patternSums[n%patternPeriod] - patternSums[from]
}
