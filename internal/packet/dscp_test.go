// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

// The DSCP is the top six bits of IPv4's type of service and IPv6's traffic
// class, of probes and resets alike: netprobify's vectors.
func TestDSCP(t *testing.T) {
	for dscp, class := range map[uint8]byte{8: 32, 56: 224, 46: 184, 0: 0, 63: 252} {
		for _, f := range packettest.Flows() {
			h := packettest.Secret.Hash(&f)
			frame := make([]byte, 2048)
			check := func(what string, frame []byte) {
				t.Helper()
				got := frame[15]
				if !f.Local.Is4() {
					got = frame[14]<<4 | frame[15]>>4
				}
				if got != class {
					t.Errorf("%s of %+v with DSCP %d: %d, want %d", what, f, dscp, got, class)
				}
			}
			check("probe", frame[:packet.Build(frame, &f, &packet.Shape{DSCP: dscp, PayloadLen: 8}, h, 1, macUs, macHop)])
			if f.Proto == packet.TCP {
				check("reset", frame[:packet.BuildReset(frame, &f, dscp, h, 1, macUs, macHop)])
			}
		}
	}
}
