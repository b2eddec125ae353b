// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// A packet that is too large is explained by the smaller of the two limits, in
// bytes of IP packets.
func TestTooLargeSaysWhy(t *testing.T) {
	e := &Engine{maxFrame: 3840}
	for mtu, want := range map[int]string{
		1500: "a packet would have 5028 bytes, and the MTU of the route is 1500: lower ip_payload_size by 3528, or raise the MTU",
		3826: "a packet would have 5028 bytes, and the MTU of the route is 3826: lower ip_payload_size by 1202, or raise the MTU",
		9000: "a packet would have 5028 bytes, and AF_XDP sockets hold 3826 on this interface: lower ip_payload_size by 1202",
	} {
		if got := e.tooLarge(5042, mtu).Error(); got != want {
			t.Errorf("MTU %d: %s\nwant %s", mtu, got, want)
		}
	}
}
