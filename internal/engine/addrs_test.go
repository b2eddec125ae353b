// SPDX-License-Identifier: Apache-2.0

package engine

import "net/netip"

// addrs returns n addresses of 198.18.0.0/15, the benchmark range (RFC 2544).
func addrs(n int) []netip.Addr {
	all := make([]netip.Addr, n)
	a := netip.MustParseAddr("198.18.0.1")
	for i := range all {
		all[i], a = a, a.Next()
	}
	return all
}
