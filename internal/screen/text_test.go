// SPDX-License-Identifier: Apache-2.0

package screen

import "testing"

// TestRate: a rate is a number that can be read and compared, however large.
func TestRate(t *testing.T) {
	for pps, want := range map[float64]string{6: "6", 12.25: "12.25", 3.8333: "3.833", 999.96: "1000", 1234.5: "1234", 123456: "123456", 1e8: "100000000"} {
		if got := Rate(pps, 4); got != want {
			t.Errorf("%v is %q, want %q", pps, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 targets", 1: "1 target", 2: "2 targets"} {
		if got := Count(n, "target"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
